"""How long a call may take, and each part of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from types import TracebackType

from pentad_common.call import CallContext
from pentad_common.errors import PentadError
from pentad_llm_gateway.errors import upstream_timeout


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """Seconds; `total` is from the first attempt at a deployment to the last token."""

    connect: float
    first_token: float
    between_tokens: float
    total: float


class Pace:
    """The time limits of one call at one provider, from its first attempt there on."""

    def __init__(self, provider: str, caller: CallContext, limits: TimeLimits) -> None:
        self._provider = provider
        self._caller = caller
        self._limits = limits
        self._until = time.monotonic() + limits.total
        self._patience = Patience(self._too_late)

    def left(self) -> float:
        """Seconds until the call is over: the limit in total, or the caller's deadline if that is sooner."""
        total = max(0.0, self._until - time.monotonic())
        caller = self._caller.remaining()
        return total if caller is None else min(total, caller)

    def whole(self) -> AbstractAsyncContextManager[None]:
        """Around a whole answer."""
        return self._within("the answer", self._limits.total)

    def first_token(self) -> AbstractAsyncContextManager[None]:
        """Around the wait for the first token."""
        return self._within("the first token", self._limits.first_token)

    def next_token(self) -> AbstractAsyncContextManager[None]:
        """Around the wait for each further token. `close` it after the last one."""
        seconds = self._limits.between_tokens
        self._patience.until = min(time.monotonic() + seconds, self._until)
        return self._patience

    def close(self) -> None:
        """No more tokens are waited for."""
        self._patience.close()

    @asynccontextmanager
    async def _within(self, phase: str, seconds: float) -> AsyncIterator[None]:
        left = self._until - time.monotonic()
        try:
            async with asyncio.timeout(min(seconds, left)):
                yield
        except TimeoutError:
            raise self._timeout(phase, seconds, whole=left <= seconds) from None

    def _too_late(self) -> PentadError:
        whole = time.monotonic() >= self._until
        return self._timeout("the next token", self._limits.between_tokens, whole=whole)

    def _timeout(self, phase: str, seconds: float, *, whole: bool) -> PentadError:
        if whole:
            return upstream_timeout(self._provider, "the answer", self._limits.total, retryable=False)
        return upstream_timeout(self._provider, phase, seconds)


class Patience:
    """A time limit that is entered again and again, thousands of times a second: one timer serves them all,
    which is set anew only when it rings too early. `asyncio.timeout` for each would be a fifth of a stream's
    cost.

    `until`: in seconds of `time.monotonic()`; later with each entry. `error()` is raised once it is past.
    """

    def __init__(self, error: Callable[[], PentadError]) -> None:
        self.until = 0.0
        self._error = error
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0
        self._expired = False

    async def __aenter__(self) -> None:
        self._task = asyncio.current_task()
        assert self._task is not None
        self._cancelling = self._task.cancelling()
        if self._timer is None:
            self._set()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        task, self._task = self._task, None
        if not self._expired:
            return
        self._expired = False
        assert task is not None
        if task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise self._error() from None

    def close(self) -> None:
        """The timer is not needed any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set(self) -> None:
        left = max(0.0, self.until - time.monotonic())
        self._timer = asyncio.get_running_loop().call_later(left, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._task is None:
            return  # nobody waits; the next to enter sets it
        if time.monotonic() < self.until:
            self._set()
            return
        self._expired = True
        self._task.cancel()
