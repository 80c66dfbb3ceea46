"""The two ways to keep queues."""

from __future__ import annotations

from pentad_bus.bus import Bus
from pentad_bus.message_types import MessageTypes
from pentad_bus.redis.archive import Archive
from pentad_bus.redis.bus import RedisBus
from pentad_bus.settings import BusSettings
from pentad_bus.store.sql import SqlJournal


def make_bus(settings: BusSettings) -> Bus | RedisBus:
    """The bus that the settings ask for, not started. Raises StartupError."""
    url = settings.journal_url or settings.database_url
    full_sync = settings.journal_sync == "full"
    limits, keep, every = settings.limits(), settings.retention(), settings.bus_sweep_seconds
    types = MessageTypes.installed()
    if settings.bus_backend == "memory":
        return Bus(SqlJournal(url, full_sync=full_sync), limits, keep, every, types)
    archive = Archive(url, full_sync=full_sync)
    return RedisBus(settings.redis_url, archive, limits, keep, every, types, lease=settings.bus_lease_seconds)
