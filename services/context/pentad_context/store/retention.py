"""Forgetting: histories within their bounds, answers to requests within their time.

What stays of a key's history is always its newest changes without holes, and its last one while the entry
exists: so an older revision is either known exactly or known to be forgotten.
"""

from __future__ import annotations

from datetime import datetime
from functools import partial

from sqlalchemy import ColumnElement, and_, delete, exists, func, or_, select
from sqlalchemy.orm import Session, aliased

from pentad_common.db import Database
from pentad_common.models import ContextHistory, ContextRequest
from pentad_context.model import Address
from pentad_context.store import Retention
from pentad_context.store.rows import at, lock_revision


async def trim(database: Database, tenant: str, keep: Retention, now: datetime) -> int:
    """Trims a tenant; returns how many changes were forgotten. The search for them holds up no writer."""
    crowded = await database.read(lambda session: _crowded(session, tenant, keep, now), tenant=tenant)
    conditions = [_aged(tenant, keep, now), *(_beyond(tenant, place, cut) for place, cut in crowded)]
    forgotten = 0
    for condition in conditions:
        forgotten += await database.run(partial(_forget, tenant=tenant, condition=condition), tenant=tenant)
    old = and_(ContextRequest.tenant_id == tenant, ContextRequest.create_time < now - keep.requests)
    await database.run(lambda session: session.execute(delete(ContextRequest).where(old)), tenant=tenant)
    return forgotten


def _forget(session: Session, *, tenant: str, condition: ColumnElement[bool]) -> int:
    """Deletes rows and notes up to which revision there may now be holes."""
    if session.scalar(select(ContextHistory.id).where(condition).limit(1)) is None:
        return 0
    counter = lock_revision(session, tenant)
    newest = session.scalar(select(func.max(ContextHistory.revision)).where(condition)) or 0
    rows = session.scalars(delete(ContextHistory).where(condition).returning(ContextHistory.id)).all()
    counter.oldest_revision = max(counter.oldest_revision, newest)
    return len(rows)


def _aged(tenant: str, keep: Retention, now: datetime) -> ColumnElement[bool]:
    """Changes that were history already at the end of the age: followed by another one, or removals."""
    end = now - keep.age
    later = aliased(ContextHistory)
    followed = exists().where(
        later.tenant_id == ContextHistory.tenant_id,
        later.scope == ContextHistory.scope,
        later.namespace == ContextHistory.namespace,
        later.key == ContextHistory.key,
        later.revision > ContextHistory.revision,
        later.change_time < end,
    )
    return and_(
        ContextHistory.tenant_id == tenant,
        ContextHistory.change_time < end,
        or_(ContextHistory.deleted, followed),
    )


def _crowded(session: Session, tenant: str, keep: Retention, now: datetime) -> list[tuple[Address, int]]:
    """Keys with more changes than they may have, each with the newest revision to forget."""
    place = (ContextHistory.scope, ContextHistory.namespace, ContextHistory.key)
    query = select(*place).where(ContextHistory.tenant_id == tenant).group_by(*place)
    crowded = [Address(*row) for row in session.execute(query.having(func.count() > keep.per_key))]
    cuts = [(address, _cut(session, tenant, address, keep, now)) for address in crowded]
    return [(address, cut) for address, cut in cuts if cut is not None]


def _cut(session: Session, tenant: str, address: Address, keep: Retention, now: datetime) -> int | None:
    where = at(ContextHistory, tenant, address)
    newest_first = ContextHistory.revision.desc()
    query = select(ContextHistory.revision).where(where).order_by(newest_first)
    beyond = session.scalar(query.offset(keep.per_key).limit(1))
    old = session.scalar(query.where(ContextHistory.change_time < now - keep.least_age).limit(1))
    return None if beyond is None or old is None else min(beyond, old)


def _beyond(tenant: str, address: Address, cut: int) -> ColumnElement[bool]:
    return and_(at(ContextHistory, tenant, address), ContextHistory.revision <= cut)
