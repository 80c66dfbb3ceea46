"""How long what is done with is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pentad_common.telemetry import get_logger

if TYPE_CHECKING:
    from pentad_bus.bus import Bus
    from pentad_bus.redis.bus import RedisBus

log = get_logger(__name__)

_ROWS = 2000
_PAUSE = 0.05


@dataclass(frozen=True, slots=True)
class Retention:
    """Ages in seconds, sizes in bytes. `size` 0: no bound."""

    history: float = 30 * 86400.0
    messages: int = 5_000_000
    size: int = 0
    dead_age: float = 30 * 86400.0
    dead_letters: int = 1_000_000


class Sweeper:
    """Deletes history and dead letters that are too old or too much, a little at a time."""

    def __init__(self, bus: Bus | RedisBus, keep: Retention) -> None:
        self._bus = bus
        self._keep = keep
        self._size: int | None = None
        """Bytes of the history, less what this process stored; counted at the first sweep that asks."""

    async def sweep(self) -> int:
        """Gives up what waited too long, then deletes; how many messages."""
        broker, journal = self._bus.broker, self._bus.journal
        before = broker.clock.wall() - self._keep.history
        await self._bus.give_up_older(before)
        dead_before = broker.clock.wall() - self._keep.dead_age
        await self._all(
            lambda: self._bus.ledger.call(journal.sweep_dead, dead_before, self._keep.dead_letters, _ROWS)
        )

        async def some() -> int:
            count, size = await self._bus.ledger.call(
                journal.sweep,
                before,
                self._keep.messages,
                await self._bus.oldest_needed(),
                _ROWS,
                await self._excess(),
            )
            self._size = None if self._size is None else self._size - size
            return count

        return await self._all(some)

    async def _excess(self) -> int:
        """Bytes that the history has too much."""
        if not self._keep.size:
            return 0
        stored = self._bus.counters.stored_bytes
        if self._size is None:
            self._size = await self._bus.read(self._bus.journal.history_size) - stored
        return max(0, self._size + stored - self._keep.size)

    @staticmethod
    async def _all(step: Callable[[], Awaitable[int]]) -> int:
        swept = 0
        while count := await step():
            swept += count
            await asyncio.sleep(_PAUSE)
        return swept
