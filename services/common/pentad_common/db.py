"""The database: SQLAlchemy sessions in worker threads, one transaction at a time, on SQLite and PostgreSQL.

`await db.run(fn, tenant=…)` runs `fn(session)` in one transaction that commits when `fn` returns and rolls
back when it raises. On PostgreSQL the transaction sees the rows of `tenant` alone (row-level security);
queries still say `tenant_id` themselves, since SQLite has no such net. A caller that is cancelled stops
waiting; its transaction goes on.
"""

from __future__ import annotations

import asyncio
import contextvars
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.orm import Session

from pentad_common.errors import StartupError, Unavailable

ALL_TENANTS = "*"
"""The tenant of scans by the system itself, which see every tenant's rows."""

APPLICATION_ROLE = "pentad_app"
"""The PostgreSQL role that transactions run as: neither owner nor superuser, so that row-level security
holds.
"""

Result = TypeVar("Result")

_SCOPE = text("select set_config('role', :role, true), set_config('app.tenant_id', :tenant, true)")
_RETRYABLE_SQLSTATES = {"40001", "40P01"}
_DISK_FULL = "53100"
_MOST_ATTEMPTS = 6


def parse_url(url: str) -> URL:
    """The URL, with psycopg2 as PostgreSQL's driver. Raises StartupError if it is none, or of another
    database.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise StartupError("the database URL is not one; use sqlite:///path or postgresql://…") from None
    backend = parsed.get_backend_name()
    if backend in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+psycopg2")
    if backend != "sqlite" or not parsed.database or parsed.database == ":memory:":
        raise StartupError(
            "the database must be a SQLite file (sqlite:///path) or PostgreSQL (postgresql://…)"
        )
    return parsed


def open_engine(url: str | URL, pool_size: int = 8) -> Engine:
    """An engine with Pentad's settings; SQLite: WAL, foreign keys, 5 s busy time-out, transactions that begin
    at once.
    """
    parsed = parse_url(url) if isinstance(url, str) else url
    if parsed.get_backend_name() == "sqlite":
        engine = create_engine(
            parsed, connect_args={"timeout": 5, "check_same_thread": False}, pool_size=pool_size
        )
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    return create_engine(
        parsed, pool_size=pool_size, max_overflow=0, pool_timeout=10, connect_args={"connect_timeout": 5}
    )


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver must not open transactions by itself: _begin_sqlite does
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "busy_timeout=5000"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Any) -> None:
    # IMMEDIATE, because a reader that turns writer halfway fails at once instead of waiting for its turn.
    reading = connection.get_execution_options().get("reading", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


class Database:
    """A pool of connections and the threads that use them. Close it when done."""

    def __init__(self, url: str, pool_size: int = 8) -> None:
        self.url = parse_url(url)
        self.engine = open_engine(self.url, pool_size)
        self.is_sqlite = self.engine.dialect.name == "sqlite"
        self._readers = ThreadPoolExecutor(pool_size, thread_name_prefix="db")
        # SQLite takes one writer at a time: a queue here is kinder than contention for its lock.
        self._writers = (
            ThreadPoolExecutor(1, thread_name_prefix="db-write") if self.is_sqlite else self._readers
        )
        self._reading = self.engine.execution_options(reading=True)
        self._closed = threading.Event()

    async def run(self, fn: Callable[[Session], Result], *, tenant: str) -> Result:
        """Runs `fn(session)` in one transaction that may write, and returns what it returns.

        `fn` runs again from the start, in a new transaction, when the database asks for a retry (locked,
        serialisation failure, lost connection before the commit): it must have no other effects. Raises
        Unavailable DATABASE_UNAVAILABLE when the database cannot be reached or stays locked.
        """
        return await self._submit(self._writers, self.engine, fn, tenant)

    async def read(self, fn: Callable[[Session], Result], *, tenant: str) -> Result:
        """Like `run`, for an `fn` that only reads: on SQLite it does not wait for writers."""
        return await self._submit(self._readers, self._reading, fn, tenant)

    def run_sync(self, fn: Callable[[Session], Result], *, tenant: str) -> Result:
        """`run` in the calling thread: for programs without an event loop."""
        return self._attempts(self.engine, fn, tenant)

    async def _submit(
        self, pool: ThreadPoolExecutor, engine: Engine, fn: Callable[[Session], Result], tenant: str
    ) -> Result:
        if self._closed.is_set():
            raise Unavailable("SHUTTING_DOWN", "this process is shutting down", retry_after=1.0)
        context = contextvars.copy_context()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(pool, context.run, self._attempts, engine, fn, tenant)

    def _attempts(self, engine: Engine, fn: Callable[[Session], Result], tenant: str) -> Result:
        for attempt in range(1, _MOST_ATTEMPTS + 1):
            session = Session(engine, expire_on_commit=False)
            committing = False
            try:
                self._scope(session, tenant)
                result = fn(session)
                committing = True
                session.commit()
                return result
            except (OperationalError, InterfaceError) as error:
                session.rollback()
                again = _wants_retry(error) or (error.connection_invalidated and not committing)
                if not again or attempt == _MOST_ATTEMPTS:
                    raise _unavailable(error) from error
            except BaseException:
                session.rollback()
                raise
            finally:
                session.close()
            time.sleep(random.uniform(0.5, 1.0) * 0.02 * 2**attempt)
        raise AssertionError("unreachable")

    def _scope(self, session: Session, tenant: str) -> None:
        if not tenant:
            raise ValueError("a transaction needs a tenant, or ALL_TENANTS")
        if not self.is_sqlite:
            session.execute(_SCOPE, {"role": APPLICATION_ROLE, "tenant": tenant})

    def check_schema(self) -> None:
        """Raises StartupError, saying what to do, unless the schema is the one this program was made for."""
        from pentad_common.schema import check_schema

        check_schema(self.engine)

    def close(self) -> None:
        """Waits for transactions under way, then closes the connections."""
        self._closed.set()
        self._readers.shutdown(wait=True)
        self._writers.shutdown(wait=True)
        self.engine.dispose()


def _wants_retry(error: DBAPIError) -> bool:
    if getattr(error.orig, "pgcode", None) in _RETRYABLE_SQLSTATES:
        return True
    return "database is locked" in str(error.orig)


def _unavailable(error: DBAPIError) -> Unavailable:
    full = "full" in str(error.orig) or getattr(error.orig, "pgcode", None) == _DISK_FULL
    why = "its disk is full" if full else "the service's log has the details"
    message = f"the database cannot be used at the moment; {why}"
    return Unavailable("DATABASE_UNAVAILABLE", message, retry_after=1.0)


if __name__ == "__main__":
    from pentad_common.schema import main

    main()
