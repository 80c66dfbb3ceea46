"""Batches as those see them who work on them: claiming, holding on, settling.

Several gateways share the work. Who claims something holds it by a lease that must be renewed; what a gateway
held that died is claimed by another one when the lease has run out. What is settled is never claimed again.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, and_, exists, insert, or_, select, update
from sqlalchemy.orm import Session

from pentad_common.clock import utcnow
from pentad_common.db import ALL_TENANTS, Database
from pentad_common.models import LlmBatch, LlmBatchItem, LlmCall
from pentad_llm_gateway.batches.model import ENDED, Batch, Item, Outcome, caller_from
from pentad_llm_gateway.batches.store import finish_if_done, stop_batch, to_batch

_MOST_BATCHES = 200
_OPEN = ("PENDING", "RUNNING")


class BatchQueue:
    """The work of one gateway, `owner`; its leases last `lease_seconds`."""

    def __init__(self, database: Database, owner: str, lease_seconds: float) -> None:
        self._database = database
        self._owner = owner
        self._lease = timedelta(seconds=lease_seconds)

    async def claim_items(self, most: int) -> list[Item]:
        """So many items to be asked call by call, those of several tenants in turn."""
        return await self._database.run(lambda session: self._claim(session, most), tenant=ALL_TENANTS)

    async def items_waiting(self) -> bool:
        """Whether there are items to claim: a look that takes no lock."""
        return await self._any(_claimable(utcnow(), self._owner))

    async def natives_due(self) -> bool:
        """Whether there is a batch to claim: a look that takes no lock."""
        return await self._any(_due(utcnow(), self._owner))

    async def _any(self, query: Any) -> bool:
        return await self._database.read(
            lambda session: session.execute(query.limit(1)).first() is not None, tenant=ALL_TENANTS
        )

    async def renew(self) -> tuple[set[str], set[str]]:
        """Holds on to everything; returns the batches with items here that are to be stopped, and those that
        this gateway looks after at their providers."""
        until = utcnow() + self._lease
        mine = and_(LlmBatchItem.lease_owner == self._owner, LlmBatchItem.state == "RUNNING")
        batches = select(LlmBatchItem.batch_id).where(mine)
        stopping = select(LlmBatch.id).where(LlmBatch.state == "CANCELLING", LlmBatch.id.in_(batches))

        owned = select(LlmBatch.id).where(LlmBatch.lease_owner == self._owner)

        def hold(session: Session) -> tuple[set[str], set[str]]:
            session.execute(update(LlmBatchItem).where(mine).values(lease_time=until))
            held = update(LlmBatch).where(LlmBatch.lease_owner == self._owner)
            session.execute(held.values(lease_time=until))
            return set(session.scalars(stopping)), set(session.scalars(owned))

        return await self._database.run(hold, tenant=ALL_TENANTS)

    async def settle(self, batch_id: str, outcomes: Sequence[Outcome]) -> None:
        """Keeps what came of items, of those that this gateway holds, or whose batch it holds. Ends the batch
        with the last of them."""

        def keep(session: Session) -> None:
            row = session.get(LlmBatch, batch_id, with_for_update=True)
            if row is None:
                return
            if row.native and row.lease_owner != self._owner:
                return
            self._keep(session, row, outcomes)
            finish_if_done(session, row)

        await self._database.run(keep, tenant=ALL_TENANTS)

    async def put_back(self, item: Item, seconds: float) -> None:
        """The item is to be asked again, in so many seconds."""
        values = {"state": "PENDING", "lease_owner": "", "next_time": utcnow() + timedelta(seconds=seconds)}
        await self._update_item(item, **values)

    async def release(self) -> None:
        """What this gateway holds was not asked to the end; anyone may ask it, at once."""
        item = LlmBatchItem
        held = update(item).where(item.lease_owner == self._owner, item.state == "RUNNING")
        values = {"state": "PENDING", "lease_owner": "", "attempts": item.attempts - 1}
        natives = update(LlmBatch).where(LlmBatch.lease_owner == self._owner)

        def let_go(session: Session) -> None:
            session.execute(held.values(values))
            session.execute(natives.values(lease_owner="", lease_time=None))

        await self._database.run(let_go, tenant=ALL_TENANTS)

    async def claim_native(self) -> Batch | None:
        """A batch that its provider does, for which there is something to do: one that nobody holds, or one
        of this gateway's own. It holds it until the batch ends."""

        def claim(session: Session) -> Batch | None:
            now = utcnow()
            row = session.scalar(_due(now, self._owner).limit(1).with_for_update(skip_locked=True))
            if row is None:
                return None
            row.lease_owner, row.lease_time = self._owner, now + self._lease
            row.polls += 1
            if row.state == "PENDING":
                row.state = "RUNNING"
            return to_batch(row)

        return await self._database.run(claim, tenant=ALL_TENANTS)

    async def native_requests(self, batch_id: str) -> list[tuple[int, bytes]]:
        """Number and request of the items that have no result yet."""
        query = (
            select(LlmBatchItem.number, LlmBatchItem.request)
            .where(LlmBatchItem.batch_id == batch_id, LlmBatchItem.state.in_(_OPEN))
            .order_by(LlmBatchItem.number)
        )
        found = await self._database.read(lambda session: session.execute(query).all(), tenant=ALL_TENANTS)
        return [(number, request or b"") for number, request in found]

    async def handed_on(self, batch_id: str, provider_batch_id: str) -> None:
        """The provider has the batch."""
        await self._update_native(batch_id, provider_batch_id=provider_batch_id, polls=1)

    async def wait(self, batch: Batch, seconds: float) -> None:
        """There is nothing to do for the batch for so many seconds, unless it was stopped meanwhile."""
        later = utcnow() + timedelta(seconds=seconds)
        held = and_(LlmBatch.id == batch.id, LlmBatch.lease_owner == self._owner)

        def note(session: Session) -> None:
            row = session.scalar(select(LlmBatch).where(held).with_for_update())
            if row is not None and (row.state != "CANCELLING" or batch.state == "CANCELLING"):
                row.next_time = later

        await self._database.run(note, tenant=ALL_TENANTS)

    async def fail(self, batch_id: str, error: bytes) -> None:
        """The batch could not be run: it and what is open of it end with that error."""

        def end(session: Session) -> None:
            row = session.get(LlmBatch, batch_id, with_for_update=True)
            if row is None or row.state in ENDED:
                return
            _end_items(session, batch_id, _OPEN, "FAILED", error)
            row.state, row.error, row.finish_time, row.lease_owner = "FAILED", error, utcnow(), ""

        await self._database.run(end, tenant=ALL_TENANTS)

    async def open_keys(self) -> dict[str, str]:
        """The batches under way, with the ids of the keys that handed them in."""
        query = select(LlmBatch.id, LlmBatch.key_id).where(LlmBatch.state.in_(_OPEN))
        found = await self._database.read(lambda session: session.execute(query).all(), tenant=ALL_TENANTS)
        return {batch_id: key_id for batch_id, key_id in found}

    async def stop(self, batch_ids: Collection[str], error: bytes) -> None:
        """Stops batches; what is not begun ends with that error."""

        def end(session: Session) -> None:
            for batch_id in sorted(batch_ids):
                row = session.get(LlmBatch, batch_id, with_for_update=True)
                if row is not None:
                    stop_batch(session, row, error)

        await self._database.run(end, tenant=ALL_TENANTS)

    async def give_up(self, error: bytes) -> None:
        """Ends, with that error, what waits in batches that are over their time."""
        late = select(LlmBatch.id).where(
            LlmBatch.state.in_((*_OPEN, "CANCELLING")),
            LlmBatch.native.is_(False),
            LlmBatch.expire_time < utcnow(),
        )

        def end(session: Session) -> None:
            for batch_id in session.scalars(late.limit(_MOST_BATCHES)).all():
                row = session.get(LlmBatch, batch_id, with_for_update=True)
                if row is not None:
                    _end_items(session, batch_id, ("PENDING",), "FAILED", error)
                    finish_if_done(session, row)

        await self._database.run(end, tenant=ALL_TENANTS)

    def _claim(self, session: Session, most: int) -> list[Item]:
        now = utcnow()
        found = [
            (row[0], row[1]) for row in session.execute(_claimable(now, self._owner).limit(_MOST_BATCHES))
        ]
        claimed: list[Item] = []
        turns = _turns(found)
        for place, batch_id in enumerate(turns):
            share = -(-(most - len(claimed)) // (len(turns) - place))
            if share > 0:
                claimed += self._claim_of(session, batch_id, share, now)
        return claimed

    def _claim_of(self, session: Session, batch_id: str, most: int, now: datetime) -> list[Item]:
        batch = session.get(LlmBatch, batch_id)
        query = (
            select(LlmBatchItem)
            .where(LlmBatchItem.batch_id == batch_id, _ready(now, self._owner))
            .order_by(LlmBatchItem.number)
            .limit(most)
            .with_for_update(skip_locked=True)
        )
        rows = list(session.scalars(query))
        if batch is None or not rows:
            return []
        session.execute(
            update(LlmBatch)
            .where(LlmBatch.id == batch_id, LlmBatch.state == "PENDING")
            .values(state="RUNNING")
        )
        caller = caller_from(batch.tenant_id, batch.key_id, batch.caller)
        for row in rows:
            row.state, row.lease_owner, row.lease_time = "RUNNING", self._owner, now + self._lease
            row.attempts += 1
        return [
            Item(
                batch_id,
                row.number,
                caller,
                row.request or b"",
                row.attempts,
                batch.expire_time,
                stopping=batch.state == "CANCELLING",
            )
            for row in rows
        ]

    def _keep(self, session: Session, batch: LlmBatch, outcomes: Sequence[Outcome]) -> None:
        numbers = [outcome.number for outcome in outcomes]
        query = select(LlmBatchItem).where(
            LlmBatchItem.batch_id == batch.id,
            LlmBatchItem.number.in_(numbers),
            LlmBatchItem.state.in_(_OPEN),
        )
        rows = {row.number: row for row in session.scalars(query)}
        calls = []
        for outcome in outcomes:
            row = rows.get(outcome.number)
            if row is None or not (batch.native or row.lease_owner == self._owner):
                continue
            _write(row, outcome)
            if outcome.call is not None:
                calls.append(dict(outcome.call))
        if calls:
            session.execute(insert(LlmCall), calls)

    async def _update_item(self, item: Item, **values: Any) -> None:
        held = and_(
            LlmBatchItem.batch_id == item.batch_id,
            LlmBatchItem.number == item.number,
            LlmBatchItem.lease_owner == self._owner,
            LlmBatchItem.state == "RUNNING",
        )
        await self._database.run(
            lambda session: session.execute(update(LlmBatchItem).where(held).values(**values)),
            tenant=ALL_TENANTS,
        )

    async def _update_native(self, batch_id: str, **values: Any) -> None:
        held = and_(LlmBatch.id == batch_id, LlmBatch.lease_owner == self._owner)
        await self._database.run(
            lambda session: session.execute(update(LlmBatch).where(held).values(**values)),
            tenant=ALL_TENANTS,
        )


def _write(row: LlmBatchItem, outcome: Outcome) -> None:
    usage = outcome.usage
    row.state, row.response, row.error = outcome.state, outcome.response, outcome.error
    row.request, row.lease_owner = None, ""
    row.input_tokens, row.output_tokens = usage.input_tokens, usage.output_tokens
    row.cached_input_tokens, row.reasoning_tokens = usage.cached_input_tokens, usage.reasoning_tokens
    row.estimated, row.cost_micros = usage.estimated, outcome.cost_micros


def _ready(now: datetime, owner: str) -> Any:
    """Whether `owner` can claim an item: it waits, or another one that held it has let go of it by dying."""
    waits = and_(
        LlmBatchItem.state == "PENDING", or_(LlmBatchItem.next_time.is_(None), LlmBatchItem.next_time <= now)
    )
    dead = and_(LlmBatchItem.lease_time < now, LlmBatchItem.lease_owner != owner)
    return or_(waits, and_(LlmBatchItem.state == "RUNNING", dead))


def _claimable(now: datetime, owner: str) -> Select[str, str]:
    """Batches with items that can be claimed, and their tenants. Of one that is being stopped, those whose
    holder died: they have to be ended."""
    item = select(LlmBatchItem.number).where(LlmBatchItem.batch_id == LlmBatch.id, _ready(now, owner))
    return select(LlmBatch.id, LlmBatch.tenant_id).where(
        LlmBatch.state.in_((*_OPEN, "CANCELLING")), LlmBatch.native.is_(False), exists(item)
    )


def _due(now: datetime, owner: str) -> Select[LlmBatch]:
    """Batches at their providers that `owner` has to look after, or anyone."""
    return (
        select(LlmBatch)
        .where(
            LlmBatch.native.is_(True),
            LlmBatch.state.in_((*_OPEN, "CANCELLING")),
            LlmBatch.next_time <= now,
            or_(LlmBatch.lease_owner.in_(("", owner)), LlmBatch.lease_time < now),
        )
        .order_by(LlmBatch.next_time)
    )


def _turns(found: Sequence[tuple[str, str]]) -> list[str]:
    """Batches in the order in which they are served: tenants take turns, and so do the batches of each."""
    by_tenant: dict[str, list[str]] = {}
    for batch_id, tenant in random.sample(found, len(found)):
        by_tenant.setdefault(tenant, []).append(batch_id)
    tenants = list(by_tenant.values())
    rounds = max(map(len, tenants), default=0)
    return [batches[turn] for turn in range(rounds) for batches in tenants if turn < len(batches)]


def _end_items(session: Session, batch_id: str, states: Sequence[str], end: str, error: bytes) -> None:
    open_items = and_(LlmBatchItem.batch_id == batch_id, LlmBatchItem.state.in_(states))
    session.execute(
        update(LlmBatchItem).where(open_items).values(state=end, error=error, request=None, lease_owner="")
    )
