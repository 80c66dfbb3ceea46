"""The end of a bus process: its clients are told, and have some time to go elsewhere."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from pentad_common.errors import Unavailable

if TYPE_CHECKING:
    from pentad_bus.broker import Broker
    from pentad_bus.redis.broker import RedisBroker


class Draining:
    """What a bus does before it is closed."""

    def __init__(self, broker: Broker | RedisBroker) -> None:
        self.draining: float | None = None
        """When the process ends, in epoch seconds, once that is known."""
        self._ended = asyncio.Event()
        self._drained = broker
        broker.on_ended = self._ended.set

    async def drain(self, seconds: float) -> None:
        """Tells every client to finish and connect elsewhere, and waits until they have, at most
        `seconds`.
        """
        self.draining = self._drained.clock.wall() + seconds
        self._drained.drain()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._drained.directory.sessions():
                    self._ended.clear()
                    await self._ended.wait()

    def check_open(self) -> None:
        """Raises Unavailable SERVER_DRAINING if nobody may connect any more."""
        if self.draining is not None:
            raise Unavailable("SERVER_DRAINING", "this bus is going away; connect again", retry_after=0.2)
