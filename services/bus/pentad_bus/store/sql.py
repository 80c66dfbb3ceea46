"""The journal in SQL: a SQLite file, or PostgreSQL. Writing is done by hand on the driver, for it is the
bus's hot path.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from threading import Lock
from typing import IO, Any

from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError

from pentad_bus.store import retention
from pentad_bus.store.archive import Merged, merged
from pentad_bus.store.journal import Changes, Needed, Recovered, Swept
from pentad_bus.store.log import decode, encode
from pentad_bus.store.log_reader import LogReader
from pentad_bus.store.quarantine import sift
from pentad_bus.store.recovery import Recovery
from pentad_bus.store.statements import Statements
from pentad_common.db import ALL_TENANTS, APPLICATION_ROLE, open_engine, parse_url
from pentad_common.errors import StartupError, Unavailable
from pentad_common.models import BusMessage, QueueEntry
from pentad_common.schema import check_schema
from pentad_common.telemetry import get_logger

log = get_logger(__name__)

_OWNER_LOCK = 0x70656E74  # "pent": the advisory lock of the one bus process that owns a journal on PostgreSQL
_ONE_SEGMENT = -1
_COMMIT_BYTES = 16_384
"""Of SQLite's log, that a transaction takes beside what is in it."""
_UNSYNCED_BYTES = 64 * 1024 * 1024
"""Before SQLite puts its log into the file, and waits for the disk: at 4 MB, its default, half the time is
waiting.
"""
_PATIENCE_MS = 5000
AT_ONCE_BYTES = 256 * 1024
"""Measured: such a commit takes 0.4 ms; with another thread to do it, a message costs 1 µs more and waits."""


class SqlJournal(LogReader):
    """One process at a time has it; SQLite holds that by a lock on a file beside it, PostgreSQL by an
    advisory lock.
    """

    def __init__(self, url: str, *, full_sync: bool = False) -> None:
        self._url = parse_url(url)
        super().__init__(open_engine(self._url))
        self._full_sync = full_sync
        self._statements = Statements(self._engine.dialect)
        self.at_once_bytes = AT_ONCE_BYTES if self._sqlite and not full_sync else 0
        self._turn = Lock()
        """Held by whoever uses the writing connection: the journal's thread, the event loop's, or whoever
        archives.
        """
        self._archiving = Lock()
        """Held by whoever archives, before `_turn`."""
        self.set_aside = 0
        """Messages of the log that the tables refused, since there is the journal."""
        self._unsynced = 0
        """Bytes written since SQLite last put its own log into the file, about."""
        self._patient = True
        self._connection: Any = None
        self._driver: Any = None
        """The driver's own connection within it."""
        self._lock_file: IO[str] | None = None
        self._lock_connection: Any = None

    # --------------------------------------------------------------------------------------------- possession

    def open(self) -> None:
        """Takes possession. Raises StartupError if it cannot be used or another process has it."""
        check_schema(self._engine)
        taken = self._lock_sqlite() if self._sqlite else self._lock_postgres()
        if not taken:
            self.close()
            where = self._url.render_as_string(hide_password=True)
            raise StartupError(
                f"another bus process is using the journal {where}: stop it, or give this one its own"
            )
        with self._transaction() as cursor:
            self._last, self._behind = self._statements.log_size(cursor)
            self.set_aside = self._statements.set_aside(cursor)
        if self.set_aside:
            log.warning(
                "messages of the log are set aside: the history could not take them", count=self.set_aside
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
        with self._turn:
            self._drop_connection()
        lock, self._lock_connection = self._lock_connection, None
        if lock is not None:
            lock.invalidate()  # closed and not given back to the pool: with it goes the lock
            lock.close()
        self._engine.dispose()
        if self._lock_file is not None:
            self._lock_file.close()

    # ---------------------------------------------------------------------------------------------- writing

    @property
    def behind(self) -> int:
        """Messages in the log that the tables do not have."""
        return self._behind

    def write(self, changes: Changes) -> None:
        """Stores all of it in one transaction, or nothing."""
        with self._turn:
            self._write(changes)

    def write_at_once(self, changes: Changes) -> bool:
        """The same, in any thread; False, and nothing was stored, if that would have meant to wait."""
        if not self._turn.acquire(blocking=False):
            return False
        try:
            self._write(changes, patient=False)
            return True
        except Unavailable:  # perhaps another process writes to the same file
            return False
        finally:
            self._turn.release()

    def _write(self, changes: Changes, *, patient: bool = True) -> None:
        segment = encode(changes) if changes.logged else b""
        alone = self._sqlite and changes.only_logged  # then the one statement is the transaction
        with self._transaction(patient, begin=not alone) as cursor:
            if not changes.only_logged:
                self._write_rows(cursor, changes)
            if segment:
                self._statements.append_segment(cursor, self._last + 1, len(changes.messages), segment)
        if segment:
            self._last += 1
            self._behind += len(changes.messages)
        self._unsynced += len(segment) + _COMMIT_BYTES

    def _write_rows(self, cursor: Any, changes: Changes) -> None:
        """What is kept as it is from the first."""
        statements = self._statements
        removed = set(changes.removed)
        inboxes = {row.id: row for row in changes.inboxes if row.id not in removed}
        statements.remove_inboxes(cursor, changes.removed)
        statements.save_inboxes(cursor, inboxes.values())
        statements.insert_dead(cursor, changes.dead)
        statements.delete_dead(cursor, changes.redriven)

    def archive(self, most: int) -> int:
        """Takes the oldest of the log, about `most` messages, into the tables; how many are left."""
        with self._archiving:
            if self._sqlite and self._unsynced > _UNSYNCED_BYTES:
                self._checkpoint()
            if self._archived < self._last:
                self._archive_or_sift(most)
            return self._behind

    def _archive_or_sift(self, most: int) -> None:
        try:
            self._archive(most)
        except Unavailable:
            raise
        except Exception:
            try:
                self._archive(_ONE_SEGMENT)
            except Unavailable:
                raise
            except Exception as error:
                with self._turn:
                    self._sift(error)

    def _checkpoint(self) -> None:
        """Has SQLite put its log into the file: most of it beside the writers, and the rest, without which
        its log would not start anew, while nobody writes.
        """
        connection = self._engine.raw_connection()
        try:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            with self._turn:
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
                self._unsynced = 0
        finally:
            connection.close()

    def _archive(self, most: int) -> None:
        """Commits wait for the reading and for the writing, but not for what Python makes of it between."""
        statements = self._statements
        with self._turn, self._transaction(begin=not self._sqlite) as cursor:
            last, segments = statements.oldest_segments(cursor, most)
        found = merged(map(decode, segments))
        messages = statements.message_rows(found.messages)
        with self._turn:
            with self._transaction() as cursor:
                self._take_over(cursor, found, messages)
                statements.drop_segments(cursor, last)
            self._archived = last if segments else self._last
            self._behind -= len(found.messages)
            self._unsynced += sum(map(len, segments)) + _COMMIT_BYTES

    def _take_over(self, cursor: Any, found: Merged, messages: Sequence[tuple[Any, ...]]) -> None:
        statements = self._statements
        statements.remove_inboxes(cursor, found.removed)
        statements.insert_messages(cursor, messages)
        statements.insert_entries(cursor, found.rows())
        statements.update_retried(cursor, found.retried)
        statements.delete_settled(cursor, found.settled)

    def _take_over_piece(self, cursor: Any, piece: Merged) -> None:
        self._take_over(cursor, piece, self._statements.message_rows(piece.messages))

    def _sift(self, error: Exception) -> None:
        """Takes over the oldest segment but for what the tables refuse."""
        statements = self._statements
        with self._transaction() as cursor:
            number, [segment] = statements.oldest_segments(cursor, _ONE_SEGMENT)
            messages = statements.messages_in(cursor, number)
            refused, kept = sift(cursor, statements, segment, self._take_over_piece, time.time())
            statements.drop_segments(cursor, number)
            if kept:
                statements.append_segment(cursor, statements.lowest(cursor) - 1, refused, kept)
        self._archived = number
        self._behind -= messages
        self.set_aside += max(1, refused) if kept else 0
        log.error("messages were set aside: the history could not take them", count=refused, error=str(error))

    @contextmanager
    def _transaction(self, patient: bool = True, *, begin: bool = True) -> Iterator[Any]:
        """The driver's cursor, on a connection that stays open; closed after an error, for it may be what is
        broken. Without `begin`, each statement is a transaction on SQLite.
        """
        try:
            cursor = self._cursor(patient, begin)
            yield cursor
            if begin:
                self._driver.commit()
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

    def _cursor(self, patient: bool, begin: bool) -> Any:
        if self._connection is None:
            self._connection = self._engine.raw_connection()
            self._driver = self._connection.driver_connection
            self._patient = True
            if self._sqlite:
                self._driver.isolation_level = None  # no BEGIN but ours
                pragmas = self._driver.cursor()
                pragmas.execute("PRAGMA wal_autocheckpoint=0")  # `archive` does it, beside the event loop
                pragmas.execute(f"PRAGMA synchronous={'FULL' if self._full_sync else 'NORMAL'}")
        cursor = self._driver.cursor()
        if self._sqlite:
            if self._patient != patient:
                cursor.execute(f"PRAGMA busy_timeout={_PATIENCE_MS if patient else 0}")
                self._patient = patient
            if begin:
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
            with suppress(Exception):  # SQLite keeps its lock while some traceback holds the cursor
                self._driver.rollback()
            connection.invalidate()

    def check(self) -> None:
        """Writes something and takes it back. Raises Unavailable if nothing can be stored at the moment."""
        with self._turn, self._transaction() as cursor:
            self._statements.append_segment(cursor, 0, 0, bytes(_COMMIT_BYTES))
            self._statements.drop_segments(cursor, 0, above=-1)

    def sweep(
        self, before: float, keep: int, needed: Needed, most: int, excess: int = 0, after: int = 0
    ) -> Swept:
        """Looks at the `most` oldest messages after `after`, and deletes what is not needed of it."""
        self.catch_up()
        with self._connect(ALL_TENANTS, writing=True) as connection:
            aged = self._seq_at(connection, before) - 1
            return retention.sweep(connection, aged, keep, needed, most, excess, after)

    def sweep_dead(self, before: float, keep: int, most: int) -> int:
        """Deletes up to `most` of the oldest dead letters; how many it did."""
        with self._connect(ALL_TENANTS, writing=True) as connection:
            return retention.sweep_dead(connection, datetime.fromtimestamp(before, UTC), keep, most)

    def history_size(self) -> int:
        """Bytes of all messages of the history."""
        self.catch_up()
        with self._connect(ALL_TENANTS) as connection:
            return retention.history_size(connection)

    def purge(self, tenant: str, ids: Sequence[str], recipient: str) -> int:
        """Deletes dead letters: these, or all of an inbox, or all; how many."""
        with self._connect(tenant, writing=True) as connection:
            return retention.purge(connection, tenant, ids, recipient)

    # --------------------------------------------------------------------------------------------- recovery

    def recover(self, recent_since: float) -> Recovered:
        """All that waits, and the ids taken since `recent_since`."""
        log_ = self._merged_log()
        with self._connect(ALL_TENANTS) as connection:
            found = Recovery(connection, log_)
            last = [connection.execute(select(func.max(BusMessage.seq))).scalar() or 0]
            last += [connection.execute(select(func.max(QueueEntry.message_seq))).scalar() or 0]
            last += [message[0] for message in log_.messages[-1:]]
            return Recovered(
                inboxes=found.inboxes(),
                waiting=list(found.waiting()),
                recent=found.recent(self._seq_at(connection, recent_since), recent_since),
                last_seq=max(last),
            )

    def _merged_log(self) -> Merged:
        """What the log says beyond the tables. A log that cannot be read is sifted into them instead."""
        with self._turn, self._transaction() as cursor:
            segments = self._statements.all_segments(cursor)
        try:
            return merged(map(decode, segments))
        except Exception:
            self.catch_up()
            return Merged()
