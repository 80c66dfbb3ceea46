"""The journal in SQL: a SQLite file, or PostgreSQL. Writing is done by hand on the driver, for it is the
bus's hot path.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import IO, Any

from sqlalchemy import Row, Select, func, select, text
from sqlalchemy.exc import DBAPIError

from pentad_bus.policy import Policy
from pentad_bus.store import retention
from pentad_bus.store.journal import (
    Changes,
    DeadRow,
    HistoryFilter,
    HistoryRow,
    InboxRow,
    Recovered,
    WaitingRow,
)
from pentad_bus.store.statements import Statements
from pentad_common.db import ALL_TENANTS, APPLICATION_ROLE, open_engine, parse_url
from pentad_common.errors import StartupError, Unavailable
from pentad_common.models import BusMessage, DeadLetter, Inbox, QueueEntry
from pentad_common.schema import check_schema

_OWNER_LOCK = 0x70656E74  # "pent": the advisory lock of the one bus process that owns a journal on PostgreSQL
_RECOVERY_PAGE = 5000
_CHECKPOINT_PAGES = 16_384
"""64 MB of log before SQLite writes it to the file, and waits for the disk: at 4 MB, its default, half the
time is waiting.
"""


class SqlJournal:
    """One process at a time has it; SQLite holds that by a lock on a file beside it, PostgreSQL by an
    advisory lock.
    """

    def __init__(self, url: str, *, full_sync: bool = False) -> None:
        self._url = parse_url(url)
        self._engine = open_engine(self._url)
        self._reading = self._engine.execution_options(reading=True)
        self._sqlite = self._engine.dialect.name == "sqlite"
        self._full_sync = full_sync
        self._statements = Statements(self._engine.dialect)
        self._connection: Any = None
        self._lock_file: IO[str] | None = None
        self._lock_connection: Any = None

    # --------------------------------------------------------------------------------------------- possession

    def open(self) -> None:
        """Takes possession. Raises StartupError if it cannot be used or another process has it."""
        check_schema(self._engine)
        taken = self._lock_sqlite() if self._sqlite else self._lock_postgres()
        if not taken:
            where = self._url.render_as_string(hide_password=True)
            raise StartupError(
                f"another bus process is using the journal {where}: stop it, or give this one its own"
            )

    def _lock_sqlite(self) -> bool:
        self._lock_file = open(f"{self._url.database}.lock", "w")  # noqa: SIM115 (held until close)
        try:
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _lock_postgres(self) -> bool:
        self._lock_connection = self._engine.connect()
        return bool(
            self._lock_connection.execute(text(f"select pg_try_advisory_lock({_OWNER_LOCK})")).scalar()
        )

    def close(self) -> None:
        """Gives up possession."""
        self._drop_connection()
        lock, self._lock_connection = self._lock_connection, None
        if lock is not None:
            lock.invalidate()  # closed and not given back to the pool: with it goes the lock
            lock.close()
        self._engine.dispose()
        if self._lock_file is not None:
            self._lock_file.close()

    # ---------------------------------------------------------------------------------------------- writing

    def write(self, changes: Changes) -> None:
        """Stores all of it in one transaction, or nothing."""
        statements = self._statements
        removed = set(changes.removed)
        inboxes = {row.id: row for row in changes.inboxes if row.id not in removed}
        with self._transaction() as cursor:
            statements.remove_inboxes(cursor, changes.removed)
            statements.save_inboxes(cursor, inboxes.values())
            statements.insert_messages(cursor, changes.messages)
            statements.insert_entries(cursor, changes.entries)
            statements.update_retried(cursor, changes.retried)
            statements.delete_settled(cursor, changes.settled)
            statements.insert_dead(cursor, changes.dead)
            statements.delete_dead(cursor, changes.redriven)

    @contextmanager
    def _transaction(self) -> Iterator[Any]:
        """The driver's cursor, on a connection that stays open; closed after an error, for it may be what is
        broken.
        """
        try:
            cursor = self._cursor()
            yield cursor
            self._connection.commit()
        except self._outages as error:
            self._drop_connection()
            raise Unavailable(
                "JOURNAL_UNAVAILABLE",
                f"the bus cannot store messages at the moment ({str(error).strip().splitlines()[0]})",
                retry_after=1.0,
            ) from error
        except BaseException:
            self._drop_connection()
            raise

    @property
    def _outages(self) -> tuple[type[Exception], ...]:
        """What says that the database cannot be used, and not that something cannot be stored in it."""
        driver = self._engine.dialect.loaded_dbapi
        return (driver.OperationalError, driver.InterfaceError, driver.InternalError, DBAPIError)

    def _cursor(self) -> Any:
        if self._connection is None:
            self._connection = self._engine.raw_connection()
            if self._sqlite:
                pragmas = self._connection.cursor()
                pragmas.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}")
                pragmas.execute(f"PRAGMA synchronous={'FULL' if self._full_sync else 'NORMAL'}")
        cursor = self._connection.cursor()
        if self._sqlite:
            cursor.execute("BEGIN IMMEDIATE")
        else:
            cursor.execute(
                "select set_config('role', %s, true), set_config('app.tenant_id', %s, true)",
                (APPLICATION_ROLE, ALL_TENANTS),
            )
        return cursor

    def _drop_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()

    def check(self) -> None:
        """Writes something and takes it back. Raises Unavailable if nothing can be stored at the moment."""
        with self._transaction() as cursor:
            self._statements.insert_entries(cursor, [(-1, -1, "", "", 0.0)])
            self._statements.delete_settled(cursor, [(-1, -1)])

    def sweep(self, before: float, keep: int, floor: int, most: int, excess: int = 0) -> tuple[int, int]:
        """Deletes up to `most` of the oldest messages; how many it did, and their bytes."""
        with self._connect(ALL_TENANTS, writing=True) as connection:
            aged = self._seq_at(connection, before) - 1
            return retention.sweep(connection, aged, keep, floor, most, excess)

    def sweep_dead(self, before: float, keep: int, most: int) -> int:
        """Deletes up to `most` of the oldest dead letters; how many it did."""
        with self._connect(ALL_TENANTS, writing=True) as connection:
            return retention.sweep_dead(connection, datetime.fromtimestamp(before, UTC), keep, most)

    def history_size(self) -> int:
        """Bytes of all messages of the history."""
        with self._connect(ALL_TENANTS) as connection:
            return retention.history_size(connection)

    def purge(self, tenant: str, ids: Sequence[str], recipient: str) -> int:
        """Deletes dead letters: these, or all of an inbox, or all; how many."""
        with self._connect(tenant, writing=True) as connection:
            return retention.purge(connection, tenant, ids, recipient)

    # ---------------------------------------------------------------------------------------------- reading

    @contextmanager
    def _connect(self, tenant: str, *, writing: bool = False) -> Iterator[Any]:
        try:
            with (self._engine if writing else self._reading).connect() as connection:
                if not self._sqlite:
                    scope = text(
                        "select set_config('role', :role, true), set_config('app.tenant_id', :tenant, true)"
                    )
                    connection.execute(scope, {"role": APPLICATION_ROLE, "tenant": tenant})
                yield connection
        except DBAPIError as error:
            raise Unavailable(
                "JOURNAL_UNAVAILABLE",
                "the history cannot be read at the moment; the bus's log has the details",
                retry_after=1.0,
            ) from error

    def recover(self, recent_since: float) -> Recovered:
        """All that waits, and the ids taken since `recent_since`."""
        with self._connect(ALL_TENANTS) as connection:
            inboxes = [
                InboxRow(
                    row.id,
                    row.tenant_id,
                    row.recipient,
                    [tuple(item) for item in row.subscriptions],
                    Policy(**row.policy),
                )
                for row in connection.execute(select(Inbox.__table__).order_by(Inbox.id))
            ]
            first_recent = self._seq_at(connection, recent_since)
            recent = select(BusMessage.tenant_id, BusMessage.id).where(BusMessage.seq >= first_recent)
            last_entry = connection.execute(select(func.max(QueueEntry.message_seq))).scalar() or 0
            return Recovered(
                inboxes=inboxes,
                waiting=list(self._waiting(connection)),
                recent=[
                    (row.tenant_id, row.id) for row in connection.execute(recent.order_by(BusMessage.seq))
                ],
                last_seq=max(connection.execute(select(func.max(BusMessage.seq))).scalar() or 0, last_entry),
            )

    def _waiting(self, connection: Any) -> Iterator[WaitingRow]:
        query = (
            select(QueueEntry.__table__, BusMessage.id, BusMessage.create_time, BusMessage.body)
            .join_from(QueueEntry, BusMessage, BusMessage.seq == QueueEntry.message_seq)
            .order_by(QueueEntry.message_seq, QueueEntry.inbox_id)
        )
        for row in connection.execution_options(yield_per=_RECOVERY_PAGE).execute(query):
            due = row.due_time.timestamp() if row.due_time else 0.0
            created = row.create_time.timestamp()
            yield WaitingRow(
                row.message_seq,
                row.inbox_id,
                row.tenant_id,
                row.subscription,
                row.attempts,
                due,
                row.id,
                created,
                bytes(row.body),
                [tuple(item) for item in row.history or ()],
            )

    def _seq_at(self, connection: Any, time: float) -> int:
        """The first seq taken at or after `time`, by bisection: seqs go up with time."""
        bounds = connection.execute(select(func.min(BusMessage.seq), func.max(BusMessage.seq))).one()
        if bounds[0] is None:
            return 0
        low, high = bounds[0], bounds[1] + 1
        wanted = datetime.fromtimestamp(time, UTC)
        query = select(BusMessage.seq, BusMessage.create_time).order_by(BusMessage.seq).limit(1)
        while low < high:
            middle = (low + high) // 2
            row = connection.execute(query.where(BusMessage.seq >= middle)).first()
            if row is None or row.create_time >= wanted:
                high = middle
            else:
                low = row.seq + 1
        return int(low)

    def history(
        self, tenant: str, wanted: HistoryFilter, *, before: int | None, limit: int
    ) -> Sequence[HistoryRow]:
        """Messages with a seq below `before`, newest first."""
        with self._connect(tenant) as connection:
            query = self._filtered(connection, tenant, wanted).order_by(BusMessage.seq.desc()).limit(limit)
            if before is not None:
                query = query.where(BusMessage.seq < before)
            return [HistoryRow(row.seq, bytes(row.body)) for row in connection.execute(query)]

    def after(
        self, tenant: str, wanted: HistoryFilter, *, seq: int, upto: int, limit: int
    ) -> Sequence[HistoryRow]:
        """Messages with a seq above `seq` and not above `upto`, oldest first."""
        with self._connect(tenant) as connection:
            query = self._filtered(connection, tenant, wanted)
            query = (
                query.where(BusMessage.seq > seq, BusMessage.seq <= upto)
                .order_by(BusMessage.seq)
                .limit(limit)
            )
            return [HistoryRow(row.seq, bytes(row.body)) for row in connection.execute(query)]

    def _filtered(self, connection: Any, tenant: str, wanted: HistoryFilter) -> Select[int, bytes]:
        query = select(BusMessage.seq, BusMessage.body).where(BusMessage.tenant_id == tenant)
        if wanted.run_id:
            query = query.where(BusMessage.run_id == wanted.run_id)
        if wanted.type:
            query = query.where(BusMessage.type == wanted.type)
        if wanted.correlation_id:
            query = query.where(BusMessage.correlation_id == wanted.correlation_id)
        if wanted.agent:
            to_instance = BusMessage.recipient.startswith(f"{wanted.agent}/", autoescape=True)
            query = query.where(
                (BusMessage.sender == wanted.agent) | (BusMessage.recipient == wanted.agent) | to_instance
            )
        if wanted.start_time is not None:
            query = query.where(BusMessage.seq >= self._seq_at(connection, wanted.start_time))
        if wanted.end_time is not None:
            query = query.where(BusMessage.seq < self._seq_at(connection, wanted.end_time))
        return query

    def oldest_seq(self) -> int | None:
        """The seq of the oldest message that is kept, whoever's it is."""
        with self._connect(ALL_TENANTS) as connection:
            oldest: int | None = connection.execute(select(func.min(BusMessage.seq))).scalar()
            return oldest

    def dead_letters(
        self, tenant: str, recipient: str, *, before: tuple[float, str] | None, limit: int
    ) -> Sequence[DeadRow]:
        """Dead letters that died before (time, id), newest first."""
        query = select(DeadLetter.__table__).where(DeadLetter.tenant_id == tenant)
        if recipient:
            query = query.where(DeadLetter.recipient == recipient)
        if before is not None:
            time = datetime.fromtimestamp(before[0], UTC)
            same = (DeadLetter.dead_time == time) & (DeadLetter.id < before[1])
            query = query.where((DeadLetter.dead_time < time) | same)
        query = query.order_by(DeadLetter.dead_time.desc(), DeadLetter.id.desc()).limit(limit)
        return self._dead(tenant, query)

    def dead_by_id(self, tenant: str, ids: Iterable[str]) -> Sequence[DeadRow]:
        """Those of these dead letters that there are, oldest first."""
        query = select(DeadLetter.__table__).where(
            DeadLetter.tenant_id == tenant, DeadLetter.id.in_(list(ids))
        )
        return self._dead(tenant, query.order_by(DeadLetter.dead_time, DeadLetter.id))

    def _dead(self, tenant: str, query: Select[Any]) -> list[DeadRow]:
        with self._connect(tenant) as connection:
            return [_dead_row(row) for row in connection.execute(query)]

    def dead_counts(self, tenant: str) -> dict[str, int]:
        """Dead letters by recipient."""
        query = select(DeadLetter.recipient, func.count()).where(DeadLetter.tenant_id == tenant)
        with self._connect(tenant) as connection:
            return {
                recipient: count
                for recipient, count in connection.execute(query.group_by(DeadLetter.recipient))
            }


def _dead_row(row: Row[Any]) -> DeadRow:
    return DeadRow(
        row.id,
        row.tenant_id,
        row.message_id,
        row.recipient,
        row.reason,
        row.detail,
        row.attempts,
        bytes(row.body),
        row.dead_time.timestamp(),
        [tuple(item) for item in row.history or ()],
    )
