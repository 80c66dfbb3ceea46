"""The two ways to keep queues."""

from __future__ import annotations

from pentad_bus.bus import Bus
from pentad_bus.redis.archive import Archive
from pentad_bus.redis.bus import RedisBus
from pentad_bus.settings import BusSettings
from pentad_bus.store.sql import SqlJournal


def make_bus(settings: BusSettings) -> Bus | RedisBus:
    """The bus that the settings ask for, not started. Raises StartupError."""
    url = settings.journal_url or settings.database_url
    full_sync = settings.journal_sync == "full"
    keep, every = settings.bus_history_max_messages, settings.bus_sweep_seconds
    if settings.bus_backend == "memory":
        journal = SqlJournal(url, full_sync=full_sync)
        return Bus(journal, settings.limits(), keep_messages=keep, sweep_every=every)
    return RedisBus(
        settings.redis_url,
        Archive(url, full_sync=full_sync),
        settings.limits(),
        lease=settings.bus_lease_seconds,
        keep_messages=keep,
        sweep_every=every,
    )
