"""How long a call may take, and each part of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from pentad_common.call import CallContext
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
        """Around the wait for each further token."""
        return self._within("the next token", self._limits.between_tokens)

    @asynccontextmanager
    async def _within(self, phase: str, seconds: float) -> AsyncIterator[None]:
        left = self._until - time.monotonic()
        try:
            async with asyncio.timeout(min(seconds, left)):
                yield
        except TimeoutError:
            if left <= seconds:
                raise upstream_timeout(
                    self._provider, "the answer", self._limits.total, retryable=False
                ) from None
            raise upstream_timeout(self._provider, phase, seconds) from None
