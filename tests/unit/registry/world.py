"""A registry in memory with a clock that tests set."""

from __future__ import annotations

from typing import Any

from pentad_common.call import CallContext
from pentad_registry.model import Card, Lease, Load
from pentad_registry.parts import Parts
from pentad_registry.registry import Heartbeat, Registration
from pentad_registry.store.memory import MemoryCardStore, MemoryLiveStore

ADMIN = CallContext(tenant_id="acme", key_id="k", role="admin")


class World:
    """The parts, a clock at 1000 s, and short ways to do things as an admin of `acme`."""

    def __init__(self, **options: Any) -> None:
        self.time = 1000.0
        self.live = MemoryLiveStore()
        self.parts = Parts(MemoryCardStore(), self.live, clock=lambda: self.time, **options)
        self.registry = self.parts.registry

    async def register(self, name: str, instance: str = "", capacity: int = 1, **options: Any) -> Lease:
        """Registers an instance; `options` are those of Card and of Registration."""
        of_card = {key: options.pop(key) for key in list(options) if key in Card.__dataclass_fields__}
        asked = Registration(Card(name, **of_card), instance, load=Load(0, capacity), **options)
        return await self.registry.register(ADMIN, asked)

    async def beat(self, lease: Lease, **options: Any) -> Lease | None:
        """Sends a heartbeat of a registration's epoch."""
        return await self.registry.heartbeat(
            ADMIN, Heartbeat(lease.agent, lease.instance, lease.epoch, **options)
        )

    async def pass_time(self, seconds: float) -> None:
        """Lets time go by, and the registry notice."""
        self.time += seconds
        await self.registry.sweep()
