"""The registry's state in this process: for one registry alone, which forgets it when it ends."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from uuid import uuid4

from pentad_registry.model import AgentFile, Card, Change, Lease

LOG_LENGTH = 10_000
EPOCHS_REMEMBERED = 10_000


@dataclass
class _Tenant:
    leases: dict[str, dict[str, Lease]] = field(default_factory=dict)
    epochs: OrderedDict[tuple[str, str], int] = field(default_factory=OrderedDict)
    log: deque[Change] = field(default_factory=lambda: deque(maxlen=LOG_LENGTH))
    position: int = 0
    grown: asyncio.Event = field(default_factory=asyncio.Event)
    reports: dict[str, tuple[float, Sequence[AgentFile]]] = field(default_factory=dict)


class MemoryLiveStore:
    """A LiveStore for one event loop: no method lets another task run in between, which makes each atomic."""

    def __init__(self) -> None:
        self.registry_epoch = uuid4().hex
        self._tenants: dict[str, _Tenant] = {}

    def _of(self, tenant: str) -> _Tenant:
        return self._tenants.setdefault(tenant, _Tenant())

    async def lease(self, tenant: str, agent: str, instance: str) -> Lease | None:
        """As in LiveStore."""
        return self._of(tenant).leases.get(agent, {}).get(instance)

    async def leases(self, tenant: str, agent: str | None = None) -> list[Lease]:
        """As in LiveStore."""
        by_agent = self._of(tenant).leases
        if agent is not None:
            return list(by_agent.get(agent, {}).values())
        return [lease for instances in by_agent.values() for lease in instances.values()]

    async def all_leases(self) -> list[Lease]:
        """As in LiveStore."""
        return [lease for tenant in self._tenants for lease in await self.leases(tenant)]

    async def last_epoch(self, tenant: str, agent: str, instance: str) -> int:
        """As in LiveStore."""
        return self._of(tenant).epochs.get((agent, instance), 0)

    async def put(self, lease: Lease) -> Lease | None:
        """As in LiveStore."""
        of = self._of(lease.tenant)
        instances = of.leases.setdefault(lease.agent, {})
        known = instances.get(lease.instance)
        if (known.generation if known else 0) != lease.generation:
            return None
        stored = replace(lease, generation=lease.generation + 1)
        instances[lease.instance] = stored
        of.epochs[lease.agent, lease.instance] = lease.epoch
        of.epochs.move_to_end((lease.agent, lease.instance))
        while len(of.epochs) > EPOCHS_REMEMBERED:
            of.epochs.popitem(last=False)
        return stored

    async def remove(self, lease: Lease) -> bool:
        """As in LiveStore."""
        by_agent = self._of(lease.tenant).leases
        instances = by_agent.get(lease.agent, {})
        known = instances.get(lease.instance)
        if known is None or known.generation != lease.generation:
            return False
        del instances[lease.instance]
        if not instances:
            del by_agent[lease.agent]
        return True

    async def append(self, tenant: str, change: Change) -> int:
        """As in LiveStore."""
        of = self._of(tenant)
        of.log.append(change)
        of.position += 1
        of.grown.set()
        of.grown = asyncio.Event()
        return of.position

    async def position(self, tenant: str) -> int:
        """As in LiveStore."""
        return self._of(tenant).position

    async def oldest(self, tenant: str) -> int:
        """As in LiveStore."""
        of = self._of(tenant)
        return of.position - len(of.log)

    async def changes(self, tenant: str, after: int) -> Sequence[tuple[int, Change]] | None:
        """As in LiveStore."""
        of = self._of(tenant)
        if after < await self.oldest(tenant):
            return None
        missing = of.position - after
        newest = [of.log[-index] for index in range(missing, 0, -1)]
        return list(enumerate(newest, start=after + 1))

    async def wait(self, tenant: str, after: int) -> None:
        """As in LiveStore."""
        of = self._of(tenant)
        while of.position <= after:
            await of.grown.wait()

    async def put_report(
        self, tenant: str, host: str, files: Sequence[AgentFile], expire_time: float
    ) -> None:
        """As in LiveStore."""
        self._of(tenant).reports[host] = (expire_time, tuple(replace(item, host=host) for item in files))

    async def reports(self, tenant: str, now: float) -> list[AgentFile]:
        """As in LiveStore."""
        of = self._of(tenant)
        of.reports = {host: report for host, report in of.reports.items() if report[0] > now}
        return [item for _, files in of.reports.values() for item in files]


class MemoryCardStore:
    """A CardStore that forgets: for registries without a database."""

    def __init__(self) -> None:
        self._cards: dict[tuple[str, str], dict[str, Card]] = {}

    async def put(self, tenant: str, card: Card) -> Card:
        """As in CardStore."""
        versions = self._cards.setdefault((tenant, card.name), {})
        if versions.get(card.version) != card:
            versions.pop(card.version, None)  # so that the newest is the last
            versions[card.version] = replace(card, since=datetime.now(UTC))
        return versions[card.version]

    async def latest(self, tenant: str) -> Mapping[str, Card]:
        """As in CardStore."""
        mine = {name: versions for (owner, name), versions in self._cards.items() if owner == tenant}
        return {name: list(versions.values())[-1] for name, versions in mine.items()}

    async def remove(self, tenant: str, name: str) -> bool:
        """As in CardStore."""
        return self._cards.pop((tenant, name), None) is not None
