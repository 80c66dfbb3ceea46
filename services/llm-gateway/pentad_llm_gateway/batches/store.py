"""Batches in the tables `llm_batches` and `llm_batch_items`: handing in, looking, stopping."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import and_, case, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from pentad_common.clock import utcnow
from pentad_common.db import ALL_TENANTS, Database
from pentad_common.errors import NotFound
from pentad_common.ids import new_id
from pentad_common.models import LlmBatch, LlmBatchItem
from pentad_llm_gateway.batches.model import (
    ENDED,
    Batch,
    NewBatch,
    Progress,
    Result,
    caller_document,
    caller_from,
)
from pentad_llm_gateway.store.sql import summed_usage

_SAME_REQUEST = timedelta(hours=24)


class BatchStore:
    """What callers see of batches."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, new: NewBatch, seconds: float) -> Batch:
        """Takes a batch; what is not answered after so many seconds is given up. The one that the caller
        handed in with the same request id in the last 24 hours is answered instead."""
        tenant = new.caller.tenant_id
        try:
            return await self._database.run(lambda session: _add(session, new, seconds), tenant=tenant)
        except IntegrityError:  # the same request id at the same moment
            found = await self._database.run(lambda session: _same(session, new), tenant=tenant)
            if found is None:
                raise
            return found

    async def get(self, tenant: str, batch_id: str) -> Batch:
        """Raises NotFound BATCH_NOT_FOUND."""
        return await self._database.read(
            lambda session: _with_progress(session, [_find(session, tenant, batch_id)])[0], tenant=tenant
        )

    async def page(self, tenant: str, size: int, before: str = "") -> list[Batch]:
        """The tenant's newest batches, or those older than batch `before`; one more than `size`, if there
        are."""
        query = select(LlmBatch).where(LlmBatch.tenant_id == tenant)
        if before:
            query = query.where(LlmBatch.id < before)
        query = query.order_by(LlmBatch.id.desc()).limit(size + 1)
        return await self._database.read(
            lambda session: _with_progress(session, list(session.scalars(query))), tenant=tenant
        )

    async def results(self, tenant: str, batch_id: str, size: int, after: int = -1) -> list[Result]:
        """What came of items, in their order, from the one after number `after` on; one more than `size`, if
        there are. Raises NotFound BATCH_NOT_FOUND."""
        query = (
            select(LlmBatchItem.number, LlmBatchItem.custom_id, LlmBatchItem.response, LlmBatchItem.error)
            .where(LlmBatchItem.batch_id == batch_id, LlmBatchItem.number > after)
            .where(LlmBatchItem.tenant_id == tenant, LlmBatchItem.state.not_in(("PENDING", "RUNNING")))
            .order_by(LlmBatchItem.number)
            .limit(size + 1)
        )

        def read(session: Session) -> list[Result]:
            _find(session, tenant, batch_id)
            return [Result(*row) for row in session.execute(query)]

        return await self._database.read(read, tenant=tenant)

    async def cancel(self, tenant: str, batch_id: str, error: bytes) -> Batch:
        """Stops a batch: items that are not begun end with `error`. Raises NotFound BATCH_NOT_FOUND."""

        def stop(session: Session) -> Batch:
            row = _find(session, tenant, batch_id, lock=True)
            stop_batch(session, row, error)
            return _with_progress(session, [row])[0]

        return await self._database.run(stop, tenant=tenant)

    async def purge(self, seconds: float) -> int:
        """Deletes batches that ended longer than `seconds` ago; returns how many."""
        before = utcnow() - timedelta(seconds=seconds)
        old = delete(LlmBatch).where(LlmBatch.finish_time < before)
        return await self._database.run(
            lambda session: int(session.execute(old).rowcount),  # type: ignore[attr-defined]
            tenant=ALL_TENANTS,
        )


def _add(session: Session, new: NewBatch, seconds: float) -> Batch:
    if (same := _same(session, new)) is not None:
        return same
    now = utcnow()
    row = LlmBatch(
        id=new_id(),
        tenant_id=new.caller.tenant_id,
        key_id=new.caller.key_id,
        request_id=new.request_id or None,
        caller=caller_document(new.caller),
        requested_model=new.requested_model,
        model=new.model,
        native=new.native,
        state="PENDING",
        items=len(new.requests),
        create_time=now,
        next_time=now,
        expire_time=now + timedelta(seconds=seconds),
    )
    session.add(row)
    session.flush()
    rows = [
        {
            "batch_id": row.id,
            "tenant_id": row.tenant_id,
            "number": number,
            "custom_id": custom_id,
            "state": "PENDING",
            "request": request,
        }
        for number, (custom_id, request) in enumerate(new.requests)
    ]
    session.execute(insert(LlmBatchItem), rows)
    return to_batch(row)


def _same(session: Session, new: NewBatch) -> Batch | None:
    """The batch that was handed in by the same request. One of long ago gives its request id up."""
    if not new.request_id:
        return None
    row = session.scalar(
        select(LlmBatch).where(
            LlmBatch.tenant_id == new.caller.tenant_id,
            LlmBatch.key_id == new.caller.key_id,
            LlmBatch.request_id == new.request_id,
        )
    )
    if row is None:
        return None
    if row.create_time < utcnow() - _SAME_REQUEST:
        row.request_id = None
        session.flush()
        return None
    return _with_progress(session, [row])[0]


def _find(session: Session, tenant: str, batch_id: str, *, lock: bool = False) -> LlmBatch:
    row = session.get(LlmBatch, batch_id, with_for_update=lock)
    if row is None or row.tenant_id != tenant:
        raise NotFound(
            "BATCH_NOT_FOUND",
            f"there is no batch {batch_id!r}; `pentad llm batch list` shows what there is",
            batch_id=batch_id,
        )
    return row


def stop_batch(session: Session, row: LlmBatch, error: bytes) -> None:
    """What is not begun is cancelled, with that error; what runs is to be ended by whoever runs it. `row` is
    locked. Nothing happens to a batch that has ended or is being stopped."""
    if row.state in ENDED or row.state == "CANCELLING":
        return
    row.state, row.error = "CANCELLING", error
    row.next_time = utcnow()
    if not row.native or not row.polls:  # nobody has begun to hand it on
        pending = and_(LlmBatchItem.batch_id == row.id, LlmBatchItem.state == "PENDING")
        session.execute(
            update(LlmBatchItem).where(pending).values(state="CANCELLED", error=error, request=None)
        )
    finish_if_done(session, row)


def finish_if_done(session: Session, row: LlmBatch) -> None:
    """Ends a batch all of whose items have ended. `row` is locked."""
    session.flush()
    if row.state in ENDED:
        return
    left = select(LlmBatchItem.number).where(
        LlmBatchItem.batch_id == row.id, LlmBatchItem.state.in_(("PENDING", "RUNNING"))
    )
    if session.scalar(left.limit(1)) is None:
        row.state = "CANCELLED" if row.state == "CANCELLING" else "COMPLETED"
        row.finish_time = utcnow()
        row.lease_owner = ""


def to_batch(row: LlmBatch, progress: Progress | None = None) -> Batch:
    """A row as a batch."""
    return Batch(
        id=row.id,
        caller=caller_from(row.tenant_id, row.key_id, row.caller),
        requested_model=row.requested_model,
        model=row.model,
        native=row.native,
        state=row.state,  # type: ignore[arg-type]
        items=row.items,
        create_time=row.create_time,
        expire_time=row.expire_time,
        finish_time=row.finish_time,
        error=row.error,
        provider_batch_id=row.provider_batch_id,
        polls=row.polls,
        progress=progress or Progress(),
    )


def _with_progress(session: Session, rows: Sequence[LlmBatch]) -> list[Batch]:
    session.flush()
    found = _progress(session, [row.id for row in rows]) if rows else {}
    return [to_batch(row, found.get(row.id)) for row in rows]


def _progress(session: Session, batch_ids: Sequence[str]) -> Mapping[str, Progress]:
    def count(state: str) -> Any:
        return func.sum(case((LlmBatchItem.state == state, 1), else_=0))

    item = LlmBatchItem
    query = (
        select(
            item.batch_id,
            *map(count, ("SUCCEEDED", "FAILED", "CANCELLED")),
            *map(
                func.sum,
                (item.input_tokens, item.output_tokens, item.cached_input_tokens, item.reasoning_tokens),
            ),
            func.max(case((item.estimated, 1), else_=0)),
            func.sum(item.cost_micros),
        )
        .where(item.batch_id.in_(batch_ids))
        .group_by(item.batch_id)
    )
    return {row[0]: _read_progress(row) for row in session.execute(query)}


def _read_progress(row: Any) -> Progress:
    _, succeeded, failed, cancelled, *tokens, cost = row
    usage = summed_usage(tokens)
    return Progress(int(succeeded), int(failed), int(cancelled), usage, None if cost is None else int(cost))
