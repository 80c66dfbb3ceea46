"""The registry's parts on one pair of stores, and the task that lets leases run out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from pentad_common.telemetry import get_logger
from pentad_registry.directory import Directory
from pentad_registry.files import FileReports
from pentad_registry.places import Places
from pentad_registry.registry import Registry
from pentad_registry.store import CardStore, LiveStore
from pentad_registry.watch import Watches

log = get_logger(__name__)

SWEEP_SECONDS = 0.25


class Parts:
    """What the servicer needs."""

    def __init__(
        self,
        cards: CardStore,
        live: LiveStore,
        *,
        lease_seconds: float = 10.0,
        most_instances: int = 10_000,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.live = live
        self.now = clock
        self.directory = Directory(cards, live, clock)
        self.registry = Registry(
            self.directory, cards, live, lease_seconds=lease_seconds, most_instances=most_instances
        )
        self.places = Places(self.directory, live)
        self.watches = Watches(self.directory, live)
        self.files = FileReports(live, lease_seconds, clock)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Lets leases run out while the block runs."""
        task = asyncio.create_task(self._sweep())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            try:
                await self.registry.sweep()
            except Exception:  # such as a database that is away: the next round tries again
                log.exception("sweep failed")
