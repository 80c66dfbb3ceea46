"""Places: work is given to the least busy instance, and a place on it is kept for the caller."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from uuid import uuid4

from pentad_common.errors import NotFound, Unavailable
from pentad_registry import selection
from pentad_registry.directory import Directory
from pentad_registry.model import Lease, Reservation, Selector
from pentad_registry.store import LiveStore

DEFAULT_SECONDS = 30.0
RETRY_SECONDS = 0.5
"""When a caller that found no room should ask again: places come free at any time."""


class Places:
    """Reserves places; choosing and reserving are one step, so that callers at the same moment spread out."""

    def __init__(self, directory: Directory, live: LiveStore) -> None:
        self._directory = directory
        self._live = live

    async def select(
        self, tenant: str, selector: Selector, seconds: float | None = None, request_id: str = ""
    ) -> tuple[Lease, Reservation]:
        """The least busy instance that fits, and the place reserved on it for `seconds`.

        Raises NotFound NO_AGENT_MATCHES, Unavailable NO_INSTANCE_AVAILABLE.
        """
        while True:
            now = self._directory.now()
            leases = [lease for lease in await self._live.leases(tenant) if lease.expire_time > now]
            if (held := _held(leases, request_id, now)) is not None:
                return held
            fitting = [item for item in leases if selection.instance_fits(item, selector)]
            best = selection.choose(fitting, selector, now)
            if best is None:
                raise await self._refusal(tenant, selector, len(fitting))
            place = Reservation(uuid4().hex, now + (seconds or DEFAULT_SECONDS), request_id)
            stored = await self._live.put(
                replace(best, reservations=(*_open(best, now), place), picked_time=now)
            )
            if stored is not None:
                return stored, place

    async def _refusal(self, tenant: str, selector: Selector, fitting: int) -> NotFound | Unavailable:
        agents = await self._directory.agents(tenant)
        if not fitting and not any(selection.fits(agent.card, selector) for agent in agents):
            return NotFound(
                "NO_AGENT_MATCHES",
                "no agent is known that fits; `pentad agents list` shows those that there are",
                name=selector.name,
                capabilities=",".join(sorted(selector.capabilities)),
            )
        some, none = (
            f"all {fitting} instances that fit are full or draining",
            "no instance that fits is there",
        )
        state = some if fitting else none
        return Unavailable(
            "NO_INSTANCE_AVAILABLE", f"{state}; try again", retry_after=RETRY_SECONDS, name=selector.name
        )

    async def release(self, tenant: str, reservation_id: str) -> None:
        """Gives a place back, also when it had ended."""
        for lease in await self._live.leases(tenant):
            current: Lease | None = lease
            while current is not None and any(item.id == reservation_id for item in current.reservations):
                rest = tuple(item for item in current.reservations if item.id != reservation_id)
                if await self._live.put(replace(current, reservations=rest)) is not None:
                    return
                current = await self._live.lease(lease.tenant, lease.agent, lease.instance)


def _open(lease: Lease, now: float) -> tuple[Reservation, ...]:
    return tuple(item for item in lease.reservations if item.expire_time > now)


def _held(leases: Sequence[Lease], request_id: str, now: float) -> tuple[Lease, Reservation] | None:
    """The reservation that an earlier request of the same id made, while it lasts."""
    if not request_id:
        return None
    for lease in leases:
        for item in _open(lease, now):
            if item.request_id == request_id:
                return lease, item
    return None
