"""Entries in SQL: SQLite and PostgreSQL.

A tenant's writers take turns at its row in `context_revisions`, so revisions are committed in order: who has
read up to one has missed nothing before it.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.orm import Session

from pentad_common.db import ALL_TENANTS, Database
from pentad_common.models import ContextEntry, ContextHistory, ContextRevision
from pentad_context.model import END, Address, Entry, Position
from pentad_context.store import (
    Changes,
    Done,
    Page,
    Past,
    Request,
    Retention,
    Step,
    requests,
    retention,
    rows,
)
from pentad_context.store.window import Window
from pentad_context.transaction import Moment, removals

_FEW_ADDRESSES = 8
_EXPIRE_AT_ONCE = 200


class SqlContextStore:
    """A ContextStore."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def transact(
        self, tenant: str, addresses: Collection[Address], step: Step, request: Request | None = None
    ) -> Done:
        """As in ContextStore. Raises InvalidArgument TRANSACTION_TOO_LARGE."""

        def work(session: Session) -> Done:
            counter = rows.lock_revision(session, tenant)
            if request and (done := requests.find(session, tenant, request)):
                return done
            if len(addresses) > _FEW_ADDRESSES:
                rows.check_total(session, tenant, addresses)
            known = rows.load(session, tenant, addresses)
            entries = {address: rows.to_entry(row) for address, row in known.items()}
            outcome = step(entries, counter.revision)
            rows.store(session, tenant, outcome.changes, known)
            counter.revision = outcome.revision
            if request:
                requests.keep(session, tenant, request, outcome)
            return Done(outcome)

        return await self._database.run(work, tenant=tenant)

    async def get(self, tenant: str, address: Address) -> tuple[Entry | None, int]:
        """As in ContextStore."""

        def work(session: Session) -> tuple[Entry | None, int]:
            revision, _ = rows.revision(session, tenant)
            row = rows.load(session, tenant, [address]).get(address)
            return (rows.to_entry(row) if row else None), revision

        return await self._database.read(work, tenant=tenant)

    async def get_at(self, tenant: str, address: Address, revision: int) -> Past:
        """As in ContextStore. What a key keeps of its history is its newest changes, without holes."""
        where = rows.at(ContextHistory, tenant, address)
        newest_first = ContextHistory.revision.desc()

        def work(session: Session) -> Past:
            current, oldest = rows.revision(session, tenant)
            then = where & (ContextHistory.revision <= revision)
            row = session.scalar(select(ContextHistory).where(then).order_by(newest_first).limit(1))
            if row is not None:
                return Past(None if row.deleted else rows.to_entry(row), False, current)
            later = where & (ContextHistory.revision > revision)
            first_kept = (
                select(ContextHistory.create_revision).where(later).order_by(ContextHistory.revision).limit(1)
            )
            created = session.scalar(first_kept)
            existed = created is not None and created <= revision
            return Past(None, existed or revision < oldest, current)

        return await self._database.read(work, tenant=tenant)

    async def list(
        self,
        tenant: str,
        prefix: Address,
        *,
        after: str = "",
        size: int = 100,
        keys_only: bool = False,
        until: int | None = None,
        now: datetime,
    ) -> Page:
        """As in ContextStore."""
        where = [rows.below(ContextEntry, tenant, prefix), _not_expired(now)]
        if after:
            where.append(ContextEntry.key > after)
        if until is not None:
            where.append(ContextEntry.revision <= until)

        def work(session: Session) -> Page:
            revision, _ = rows.revision(session, tenant)
            page = Window(ContextEntry, and_(*where), [ContextEntry.key], size, keys_only)
            entries, more = page.read(session)
            return Page(entries, more, revision)

        return await self._database.read(work, tenant=tenant)

    async def changes(self, tenant: str, prefix: Address, after: Position, size: int = 100) -> Changes:
        """As in ContextStore."""
        revision, ordinal = ContextHistory.revision, ContextHistory.position
        later = or_(revision > after.revision, and_(revision == after.revision, ordinal > after.ordinal))

        def work(session: Session) -> Changes:
            current, oldest = rows.revision(session, tenant)
            where = and_(rows.below(ContextHistory, tenant, prefix), later, revision <= current)
            window = Window(ContextHistory, where, [revision, ordinal], size)
            found, more = window.read_rows(session)
            items = [(rows.position(row), rows.to_entry(row)) for row in found]
            end = items[-1][0] if more else Position(max(current, after.revision), END)
            return Changes(items, end, more, oldest)

        return await self._database.read(work, tenant=tenant)

    async def history(self, tenant: str, address: Address, before: int | None, size: int) -> Page:
        """As in ContextStore."""
        where = rows.at(ContextHistory, tenant, address)
        if before is not None:
            where = and_(where, ContextHistory.revision < before)

        def work(session: Session) -> Page:
            revision, _ = rows.revision(session, tenant)
            window = Window(ContextHistory, where, [ContextHistory.revision.desc()], size)
            entries, more = window.read(session)
            return Page(entries, more, revision)

        return await self._database.read(work, tenant=tenant)

    async def revisions(self, tenants: Collection[str]) -> dict[str, int]:
        """As in ContextStore."""
        query = select(ContextRevision.tenant_id, ContextRevision.revision)
        query = query.where(ContextRevision.tenant_id.in_(tenants))

        def work(session: Session) -> dict[str, int]:
            return {tenant: revision for tenant, revision in session.execute(query)}

        return await self._database.read(work, tenant=ALL_TENANTS)

    async def expire(self, now: datetime) -> dict[str, int]:
        """As in ContextStore."""
        query = select(ContextEntry.tenant_id).where(ContextEntry.expire_time <= now).distinct()
        tenants = await self._database.read(lambda session: list(session.scalars(query)), tenant=ALL_TENANTS)
        return {tenant: await self._expire(tenant, now) for tenant in tenants}

    async def _expire(self, tenant: str, now: datetime) -> int:
        ended = and_(ContextEntry.tenant_id == tenant, ContextEntry.expire_time <= now)
        query = select(ContextEntry).where(ended).order_by(ContextEntry.expire_time).limit(_EXPIRE_AT_ONCE)

        def work(session: Session) -> int:
            counter = rows.lock_revision(session, tenant)
            known = {rows.address(row): row for row in session.scalars(query)}
            moment = Moment(counter.revision, now, "")
            changes = removals((rows.to_entry(row) for row in known.values()), moment)
            rows.store(session, tenant, changes, known)
            counter.revision += 1 if changes else 0
            return counter.revision

        return await self._database.run(work, tenant=tenant)

    async def trim(self, keep: Retention, now: datetime) -> int:
        """As in ContextStore."""
        query = select(ContextRevision.tenant_id)
        tenants = await self._database.read(lambda session: list(session.scalars(query)), tenant=ALL_TENANTS)
        return sum([await retention.trim(self._database, tenant, keep, now) for tenant in tenants])


def _not_expired(now: datetime) -> ColumnElement[bool]:
    return or_(ContextEntry.expire_time.is_(None), ContextEntry.expire_time > now)
