"""Rows of the context's tables: locking, loading and storing them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from sqlalchemy import ColumnElement, and_, func, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from pentad_common.models import ContextEntry, ContextHistory, ContextRevision
from pentad_context.model import Address, Entry, Position
from pentad_context.transaction import too_large

MOST_LOADED_BYTES = 16 * 1024 * 1024

Row = ContextEntry | ContextHistory
Table = type[ContextEntry] | type[ContextHistory]


def lock_revision(session: Session, tenant: str) -> ContextRevision:
    """The tenant's counter, which no other transaction writes until this one ends."""
    counter = session.get(ContextRevision, tenant, with_for_update=True)
    if counter is None:
        insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
        session.execute(insert(ContextRevision).values(tenant_id=tenant).on_conflict_do_nothing())
        counter = session.get_one(ContextRevision, tenant, with_for_update=True)
    return counter


def revision(session: Session, tenant: str) -> tuple[int, int]:
    """The tenant's revision, and the one up to which changes may be forgotten."""
    counter = session.get(ContextRevision, tenant)
    return (counter.revision, counter.oldest_revision) if counter else (0, 0)


def at(table: Table, tenant: str, where: Address) -> ColumnElement[bool]:
    """Rows of one address."""
    return and_(
        table.tenant_id == tenant,
        table.scope == where.scope,
        table.namespace == where.namespace,
        table.key == where.key,
    )


def below(table: Table, tenant: str, prefix: Address) -> ColumnElement[bool]:
    """Rows whose key starts with the prefix's, as a range, which an index serves."""
    inside = and_(table.tenant_id == tenant, table.scope == prefix.scope, table.namespace == prefix.namespace)
    if not prefix.key:
        return inside
    inside = and_(inside, table.key >= prefix.key)
    end = after_prefix(prefix.key)
    return inside if end is None else and_(inside, table.key < end)


def after_prefix(prefix: str) -> str | None:
    """The first text, by code points, that sorts after all that start with `prefix`; None if there is
    none.
    """
    for length in range(len(prefix), 0, -1):
        following = ord(prefix[length - 1]) + 1
        if following == 0xD800:
            following = 0xE000  # surrogates are no characters
        if following <= 0x10FFFF:
            return prefix[: length - 1] + chr(following)
    return None


def load(session: Session, tenant: str, addresses: Collection[Address]) -> dict[Address, ContextEntry]:
    """The stored entries at the addresses."""
    if not addresses:
        return {}
    query = select(ContextEntry).where(_among(tenant, addresses))
    return {address(row): row for row in session.scalars(query)}


def check_total(session: Session, tenant: str, addresses: Collection[Address]) -> None:
    """Raises InvalidArgument TRANSACTION_TOO_LARGE if the entries together are more than a process should
    load.
    """
    query = select(func.sum(func.length(ContextEntry.data))).where(_among(tenant, addresses))
    if (session.scalar(query) or 0) > MOST_LOADED_BYTES:
        raise too_large(f"the entries that it names have more than {MOST_LOADED_BYTES} bytes together")


def _among(tenant: str, addresses: Collection[Address]) -> ColumnElement[bool]:
    place = tuple_(ContextEntry.scope, ContextEntry.namespace, ContextEntry.key)
    return and_(ContextEntry.tenant_id == tenant, place.in_([tuple(item) for item in addresses]))


def store(
    session: Session, tenant: str, changes: Iterable[Entry], known: Mapping[Address, ContextEntry]
) -> None:
    """Adds changes, which are in order, to the history and makes the entries what they say."""
    rows, ordinal, last = dict(known), 0, 0
    for change in changes:
        ordinal = ordinal + 1 if change.revision == last else 0
        last = change.revision
        session.add(_history(tenant, change, ordinal))
        _apply(session, tenant, change, rows)


def _apply(session: Session, tenant: str, change: Entry, rows: dict[Address, ContextEntry]) -> None:
    row = rows.get(change.address)
    if change.deleted:
        if row is not None:
            session.delete(rows.pop(change.address))
            session.flush()  # a delete goes before an insert of the same key only in its own flush
        return
    if row is None:
        row = rows[change.address] = ContextEntry(tenant_id=tenant, **change.address._asdict())
        session.add(row)
    row.content_type, row.data = change.content_type, change.data
    row.revision, row.create_revision, row.version = change.revision, change.create_revision, change.version
    row.writer, row.update_time, row.expire_time = change.writer, change.update_time, change.expire_time


def _history(tenant: str, change: Entry, ordinal: int) -> ContextHistory:
    return ContextHistory(
        tenant_id=tenant,
        **change.address._asdict(),
        content_type=change.content_type,
        data=None if change.deleted else change.data,
        revision=change.revision,
        position=ordinal,
        create_revision=change.create_revision,
        version=change.version,
        deleted=change.deleted,
        writer=change.writer,
        change_time=change.update_time,
        expire_time=change.expire_time,
    )


def address(row: Row) -> Address:
    """Where a row's entry is."""
    return Address(row.scope, row.namespace, row.key)


def position(row: Row) -> Position:
    """A change's place among the tenant's."""
    return Position(row.revision, row.position if isinstance(row, ContextHistory) else 0)


def to_entry(row: Row, with_data: bool = True) -> Entry:
    """A row as a plain value."""
    return Entry(
        address=address(row),
        content_type=row.content_type if with_data else "",
        data=(row.data or b"") if with_data else b"",
        revision=row.revision,
        create_revision=row.create_revision,
        version=row.version,
        writer=row.writer,
        update_time=row.change_time if isinstance(row, ContextHistory) else row.update_time,
        expire_time=row.expire_time,
        deleted=row.deleted if isinstance(row, ContextHistory) else False,
    )
