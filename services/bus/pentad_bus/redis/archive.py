"""The history in SQL, as a bus on Redis uses it: many read it, one process at a time writes it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from pentad_bus.store.journal import Changes
from pentad_bus.store.sql import SqlJournal
from pentad_common.db import ALL_TENANTS
from pentad_common.errors import StartupError
from pentad_common.models import BusMessage
from pentad_common.schema import check_schema

MOST_REPEATED = 40_000
"""More rows than one transaction of the archiver can have."""


class Archive(SqlJournal):
    """The journal as an archive: what is read of it needs no possession, what is written does."""

    def try_open(self) -> bool:
        """Takes possession, if no other process has it. Raises StartupError if it cannot be used."""
        check_schema(self._engine)
        if not (self._lock_sqlite() if self._sqlite else self._lock_postgres()):
            self.give_up()
            return False
        with self._transaction() as cursor:  # what a bus with a journal has left here
            self._last, self._behind = self._statements.log_size(cursor)
        self.catch_up()
        return True

    def give_up(self) -> None:
        """Another may have it now."""
        with self._turn:
            self._drop_connection()
        lock, self._lock_connection = self._lock_connection, None
        if lock is not None:
            lock.invalidate()
            lock.close()
        file, self._lock_file = self._lock_file, None
        if file is not None:
            file.close()

    def last_rows(self) -> tuple[int, set[tuple[str, int]]]:
        """The last seq, and what tells the last messages from others: their tenants, and hashes of them."""
        newest = self.newest_seq()
        query = select(BusMessage.tenant_id, BusMessage.body).where(BusMessage.seq > newest - MOST_REPEATED)
        with self._connect(ALL_TENANTS) as connection:
            return newest, {(row.tenant_id, hash(bytes(row.body))) for row in connection.execute(query)}

    def store(self, changes: Changes) -> None:
        """Messages and dead letters, in one transaction, past the journal's log. Raises StartupError if it is
        no longer possessed.
        """
        self._check_lock()
        statements = self._statements
        dead = self._unknown(changes)
        with self._turn, self._transaction() as cursor:
            statements.insert_messages(cursor, statements.message_rows(changes.messages))
            statements.insert_dead(cursor, dead)
            statements.delete_dead(cursor, changes.redriven)
        self._unsynced += sum(len(row[-1]) for row in changes.messages)
        self.archive(0)  # SQLite's own log is put into the file now and then

    def _unknown(self, changes: Changes) -> list[Any]:
        """The dead letters that are not there yet."""
        known: set[str] = set()
        for tenant_id in {row.tenant_id for row in changes.dead}:
            ids = [row.id for row in changes.dead if row.tenant_id == tenant_id]
            known.update(row.id for row in self.dead_by_id(tenant_id, ids))
        return [row for row in changes.dead if row.id not in known]

    def _check_lock(self) -> None:
        if self._lock_connection is None:
            return
        try:
            self._lock_connection.exec_driver_sql("select 1")
        except DBAPIError as error:
            raise StartupError("the journal's lock is lost") from error
