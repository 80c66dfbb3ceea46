"""How long what is done with is kept."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pentad_bus.store.journal import Swept
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
        self._place = 0
        """Up to here there is nothing left but what was needed then,"""
        self._held: dict[str, int] = {}
        """by these tenants: all of theirs from these seqs on."""

    async def sweep(self) -> int:
        """Gives up what waited too long, then deletes; how many messages."""
        broker, journal = self._bus.broker, self._bus.journal
        before = broker.clock.wall() - self._keep.history
        await self._bus.give_up_older(before)
        dead_before = broker.clock.wall() - self._keep.dead_age
        dead_letters = self._keep.dead_letters
        while await self._bus.ledger.call(journal.sweep_dead, dead_before, dead_letters, _ROWS):  # noqa: ASYNC110
            await asyncio.sleep(_PAUSE)
        return await self._history(before)

    async def _history(self, before: float) -> int:
        """What a tenant still needs is stepped over, once: the next sweep goes on behind it."""
        journal, needed, swept = self._bus.journal, await self._bus.still_needed(), 0
        moved = [seq - 1 for tenant, seq in self._held.items() if needed.tenants.get(tenant) != seq]
        place, done = min([self._place, *moved]), False
        while not done:
            excess = await self._excess()
            step: Swept = await self._bus.ledger.call(
                journal.sweep, before, self._keep.messages, needed, _ROWS, excess, place
            )
            self._size = None if self._size is None else self._size - step.size
            swept, place, done = swept + step.messages, step.place, step.done
            await asyncio.sleep(0 if done else _PAUSE)
        self._place = place
        self._held = {tenant: seq for tenant, seq in needed.tenants.items() if seq <= place}
        return swept

    async def _excess(self) -> int:
        """Bytes that the history has too much."""
        if not self._keep.size:
            return 0
        stored = self._bus.counters.stored_bytes
        if self._size is None:
            self._size = await self._bus.read(self._bus.journal.history_size) - stored
        return max(0, self._size + stored - self._keep.size)
