"""One call upstream for all who ask the same at the same time."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, fields
from typing import Any

from pentad_common.call import CallContext
from pentad_common.errors import Cancelled
from pentad_llm_gateway.completion import Delta
from pentad_llm_gateway.replies import Done, Embedded, Failed, Frame, Reply

End = Reply | Done | Failed | Embedded | BaseException


@dataclass(frozen=True, slots=True)
class SharedCaller(CallContext):
    """Whoever asked first, with the patience of all who wait: until the last of them gives up."""

    waiting: list[CallContext] = field(default_factory=list)

    def remaining(self) -> float | None:
        """See CallContext."""
        left = [caller.remaining() for caller in self.waiting]
        known = [seconds for seconds in left if seconds is not None]
        return max(known, default=0.0) if len(known) == len(left) else None


class Flight:
    """A call under way. It goes on as long as anyone waits for it, whoever began it."""

    def __init__(self, first: CallContext) -> None:
        values = {item.name: getattr(first, item.name) for item in fields(CallContext)}
        self.caller = SharedCaller(**values)
        self.deltas: list[Delta] = []
        self.end: End | None = None
        self._task: asyncio.Task[None] | None = None
        self._news = asyncio.Event()

    def start(self, run: Coroutine[Any, Any, None], ended: Callable[[Flight], None]) -> asyncio.Task[None]:
        """Begins. `ended` is called when all of it is over, the keeping of its answer included."""
        self._task = asyncio.create_task(run)
        self._task.add_done_callback(lambda task: self._over(task, ended))
        return self._task

    async def whole(self, answer: Awaitable[Reply | Embedded]) -> None:
        """The call that is answered as a whole."""
        self.tell(await answer)

    async def pieces(self, frames: AsyncGenerator[Frame, None]) -> None:
        """The call that is answered piece by piece."""
        async with aclosing(frames):
            async for frame in frames:
                if isinstance(frame, Done | Failed):
                    self.tell(frame)
                    return
                self.deltas.append(frame)
                self._wake()

    def tell(self, end: End) -> None:
        """This is how it ended."""
        self.end = end
        self._wake()

    @asynccontextmanager
    async def joined(self, caller: CallContext, abandoned: Callable[[Flight], None]) -> AsyncIterator[None]:
        """Within the block `caller` waits for it. The last who leaves ends the call, if it still goes on;
        `abandoned` is called then."""
        waiting = self.caller.waiting
        waiting.append(caller)
        try:
            yield
        finally:
            if len(waiting) > 1 or self.end is not None:
                waiting.remove(caller)
            elif self._task is not None:
                abandoned(self)
                self._task.cancel()

    async def seen(self) -> AsyncIterator[Delta]:
        """All deltas, those that came before included. Raises what the call raised."""
        at = 0
        while True:
            for delta in self.deltas[at:]:
                at += 1
                yield delta
            if at == len(self.deltas) and self.end is not None:
                break
            if at == len(self.deltas):
                await self._news.wait()
        self.raise_error()

    async def ended(self) -> None:
        """Waits for the end. Raises what the call raised."""
        while self.end is None:
            await self._news.wait()
        self.raise_error()

    def raise_error(self) -> None:
        """Raises what the call raised, if it did."""
        if isinstance(self.end, BaseException):
            raise copy.copy(self.end)  # each caller adds a traceback of its own

    def _over(self, task: asyncio.Task[None], ended: Callable[[Flight], None]) -> None:
        if self.end is None:
            error = None if task.cancelled() else task.exception()
            self.tell(error or Cancelled("CANCELLED", "the call that this one shared was ended"))
        elif not task.cancelled():
            task.exception()  # it ended before; what came after concerns nobody who waits
        ended(self)

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()
