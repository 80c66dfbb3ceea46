"""Leases: an instance is there for as long as it is heard of.

Every change of a lease is a compare-and-set on the store, so that several registries on one store agree.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from uuid import uuid4

from pentad_common.call import CallContext
from pentad_common.errors import InvalidArgument, NotFound, ResourceExhausted
from pentad_registry.directory import Directory
from pentad_registry.model import REPORTABLE, Agent, Card, Change, ChangeKind, Lease, Load, Status
from pentad_registry.names import check_instance, check_labels
from pentad_registry.schemas import check_schemas
from pentad_registry.selection import taken_up
from pentad_registry.store import CardStore, LiveStore

BEATS_A_LEASE = 3


@dataclass(frozen=True, slots=True)
class Registration:
    """What an instance announces. `instance` empty: the registry names it. `ttl` None: the default."""

    card: Card
    instance: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    ttl: float | None = None
    reported: Status = Status.ACTIVE
    load: Load = field(default_factory=Load)
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What an instance says of itself. `reported` and `load` None: as before."""

    agent: str
    instance: str
    epoch: int
    reported: Status | None = None
    load: Load | None = None


class Registry:
    """Gives leases, renews them, ends them."""

    def __init__(
        self,
        directory: Directory,
        cards: CardStore,
        live: LiveStore,
        *,
        lease_seconds: float = 10.0,
        most_instances: int = 10_000,
    ) -> None:
        self._directory = directory
        self._cards = cards
        self._live = live
        self._now = directory.now
        self._lease_seconds = lease_seconds
        self._most_instances = most_instances

    @property
    def registry_epoch(self) -> str:
        """Another one when leases were lost."""
        return self._live.registry_epoch

    async def register(self, call: CallContext, asked: Registration) -> Lease:
        """Takes a lease, or renews it with a new epoch; a repeat of the same request changes nothing.

        Raises PermissionDenied AGENT_NOT_GRANTED; InvalidArgument INVALID_SCHEMA, INSTANCE_NAME_INVALID,
        LABELS_INVALID, STATUS_INVALID; ResourceExhausted TOO_MANY_INSTANCES.
        """
        call.grant(asked.card.name)
        _check(asked)
        if (repeated := await self._repeated(call.tenant_id, asked)) is not None:
            return repeated
        await asyncio.to_thread(check_schemas, asked.card)  # half a second for the largest
        await self._check_room(call.tenant_id, asked)
        card = await self._cards.put(call.tenant_id, asked.card)
        named = replace(asked, card=card, instance=asked.instance or _name(asked.request_id))
        while True:
            if (repeated := await self._repeated(call.tenant_id, named)) is not None:
                return repeated  # by a twin of this request, meanwhile
            stored = await self._live.put(await self._new_lease(call.tenant_id, named))
            if stored is not None:
                await self._directory.announce(call.tenant_id, stored.agent)
                return stored

    async def _repeated(self, tenant: str, asked: Registration) -> Lease | None:
        if not asked.request_id:
            return None
        for lease in await self._live.leases(tenant, asked.card.name):
            same = lease.request_id == asked.request_id and asked.instance in ("", lease.instance)
            if same and lease.expire_time > self._now():
                return lease
        return None

    async def _check_room(self, tenant: str, asked: Registration) -> None:
        if await self._live.lease(tenant, asked.card.name, asked.instance) is not None:
            return
        if len(await self._live.leases(tenant)) >= self._most_instances:
            raise ResourceExhausted(
                "TOO_MANY_INSTANCES",
                f"this tenant has {self._most_instances} instances registered, which is the limit",
                limit=self._most_instances,
            )

    async def _new_lease(self, tenant: str, asked: Registration) -> Lease:
        now, name = self._now(), asked.card.name
        known = await self._live.lease(tenant, name, asked.instance)
        lease = Lease(
            tenant=tenant,
            card=asked.card,
            instance=asked.instance,
            epoch=await self._live.last_epoch(tenant, name, asked.instance) + 1,
            ttl=asked.ttl or self._lease_seconds,
            register_time=now,
            heartbeat_time=now,
            reported=asked.reported,
            load=asked.load,
            labels=dict(asked.labels),
            reservations=known.reservations if known and known.expire_time > now else (),
            request_id=asked.request_id,
            generation=known.generation if known else 0,
        )
        return replace(lease, announced=lease.status(now))

    async def heartbeat(self, call: CallContext, beat: Heartbeat) -> Lease | None:
        """Renews a lease; None if the instance or its epoch is not known: it must register again.

        Raises PermissionDenied AGENT_NOT_GRANTED, InvalidArgument STATUS_INVALID.
        """
        call.grant(beat.agent)
        if beat.reported is not None:
            _check_reported(beat.reported)
        while True:
            now = self._now()
            known = await self._live.lease(call.tenant_id, beat.agent, beat.instance)
            if known is None or known.epoch != beat.epoch or known.expire_time <= now:
                return None
            lease = replace(known, heartbeat_time=now, reported=beat.reported or known.reported)
            if beat.load is not None:
                lease = replace(lease, load=beat.load, reservations=taken_up(known, beat.load, now))
            stored = await self._put(lease, now)
            if stored is not None:
                return stored

    async def _put(self, lease: Lease, now: float) -> Lease | None:
        """Stores the lease, and tells watchers of another status; None if somebody else was faster."""
        status = lease.status(now)
        stored = await self._live.put(replace(lease, announced=status))
        if stored is not None and lease.announced is not status:
            await self._directory.announce(stored.tenant, stored.agent)
        return stored

    async def deregister(self, call: CallContext, agent: str, instance: str, *, forget: bool = False) -> None:
        """Takes an instance off the list; with `forget` also the agent, if none is left. No error if unknown.

        Raises PermissionDenied AGENT_NOT_GRANTED.
        """
        call.grant(agent)
        removed = False
        while (known := await self._live.lease(call.tenant_id, agent, instance)) is not None:
            removed = await self._live.remove(known) or removed
        if forget and not await self._live.leases(call.tenant_id, agent):
            await self._forget(call.tenant_id, agent)
        elif removed:
            await self._directory.announce(call.tenant_id, agent)

    async def _forget(self, tenant: str, agent: str) -> None:
        known = await self._directory.known(tenant, agent)
        if await self._cards.remove(tenant, agent):
            change = Change(ChangeKind.REMOVED, known or Agent(Card(agent)), self._now())
            await self._live.append(tenant, change)

    async def drain(self, tenant: str, agent: str, instance: str = "") -> int:
        """Orders an instance, or all of an agent's, to drain; returns how many.

        Raises NotFound AGENT_NOT_FOUND, INSTANCE_NOT_FOUND.
        """
        found = await self._directory.agent(tenant, agent)
        names = [lease.instance for lease in found.instances if instance in ("", lease.instance)]
        if instance and not names:
            raise NotFound(
                "INSTANCE_NOT_FOUND",
                f"agent {agent!r} has no instance {instance!r}; `pentad agents list` shows what there is",
                agent=agent,
                instance=instance,
            )
        return sum([await self._order_drain(tenant, agent, name) for name in names])

    async def _order_drain(self, tenant: str, agent: str, instance: str) -> bool:
        while (known := await self._live.lease(tenant, agent, instance)) is not None:
            if known.drain_ordered or await self._put(replace(known, drain_ordered=True), self._now()):
                return True
        return False

    async def sweep(self) -> None:
        """Ends leases that ran out; watchers hear of those that fell silent. Call it often."""
        now = self._now()
        for lease in await self._live.all_leases():
            status = lease.status(now)
            if status is Status.GONE:
                if await self._live.remove(lease):
                    await self._directory.announce(lease.tenant, lease.agent)
            elif status is not lease.announced:
                await self._put(lease, now)


def _name(request_id: str) -> str:
    """A name for an instance that has none: the same one for repeats of a request."""
    return hashlib.sha256(request_id.encode()).hexdigest()[:12] if request_id else uuid4().hex[:12]


def _check(asked: Registration) -> None:
    if asked.instance:
        check_instance(asked.instance)
    check_labels(asked.labels)
    _check_reported(asked.reported)


def _check_reported(status: Status) -> None:
    if status not in REPORTABLE:
        raise InvalidArgument(
            "STATUS_INVALID",
            f"an instance cannot report {status.name}; it reports STARTING, ACTIVE, BUSY or DRAINING",
            violations=[("status", "one of STARTING, ACTIVE, BUSY, DRAINING")],
        )
