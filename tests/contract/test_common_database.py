"""Transactions behave the same on every database."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta, timezone

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import func, select, text
from sqlalchemy.exc import IntegrityError, StatementError
from sqlalchemy.orm import Session

from pentad_common.db import ALL_TENANTS, Database
from pentad_common.errors import StartupError, Unavailable
from pentad_common.models import Agent, AuditEvent, Base, Tenant
from pentad_common.schema import check_schema, current_revision, known_revisions, upgrade


def test_models_and_migrations_do_not_differ(database: Database) -> None:
    """A migrated database is what the models say."""
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_a_migrated_database_is_at_the_newest_revision(database_url: str, database: Database) -> None:
    """Upgrading again changes nothing; a revision that this program does not know is refused."""
    upgrade(database_url)
    assert current_revision(database.engine) == known_revisions()[-1]
    check_schema(database.engine)
    with database.engine.begin() as connection:
        connection.execute(text("update alembic_version set version_num = '9999'"))
    with pytest.raises(StartupError, match="newer than this version of Pentad"):
        check_schema(database.engine)
    with pytest.raises(StartupError, match="newer than this version of Pentad"):
        upgrade(database_url)


async def test_a_transaction_is_all_or_nothing(database: Database, tenant: str) -> None:
    """What a function wrote before it raised is gone, and its exception comes out as it is."""

    def write_and_fail(session: Session) -> None:
        session.add(AuditEvent(tenant_id=tenant, action="x"))
        session.flush()
        raise LookupError("no")

    with pytest.raises(LookupError):
        await database.run(write_and_fail, tenant=tenant)
    count = select(func.count()).select_from(AuditEvent)
    assert await database.read(lambda session: session.scalar(count), tenant=tenant) == 0


async def test_many_writers_at_once(database_url: str, database: Database, tenant: str) -> None:
    """Read-modify-write from two pools at once loses no update and raises no lock error."""
    other = Database(database_url)
    agent = Agent(tenant_id=tenant, name="counter", version="1", card={"n": 0})
    await database.run(lambda session: session.add(agent), tenant=tenant)

    def count_up(session: Session) -> None:
        row = session.scalars(select(Agent).where(Agent.tenant_id == tenant).with_for_update()).one()
        row.card = {"n": row.card["n"] + 1}

    await asyncio.gather(
        *(pool.run(count_up, tenant=tenant) for pool in (database, other) for _ in range(30))
    )
    row = await database.read(lambda session: session.scalars(select(Agent)).one(), tenant=tenant)
    other.close()
    assert row.card == {"n": 60}


async def test_times_come_back_aware_and_in_utc(database: Database, tenant: str) -> None:
    """A time of any zone comes back as the same moment in UTC; one without a zone is refused."""
    moment = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=timezone(timedelta(hours=5)))
    await database.run(
        lambda session: session.add(AuditEvent(tenant_id=tenant, action="x", create_time=moment)),
        tenant=tenant,
    )
    row = await database.read(lambda session: session.scalars(select(AuditEvent)).one(), tenant=tenant)
    assert row.create_time == moment and row.create_time.tzinfo is UTC
    with pytest.raises(StatementError):
        await database.run(
            lambda session: session.add(
                AuditEvent(tenant_id=tenant, action="x", create_time=datetime(2026, 1, 1))
            ),
            tenant=tenant,
        )


async def test_what_belongs_to_a_tenant_goes_with_it(database: Database, tenant: str) -> None:
    """Deleting a tenant deletes its rows; a row of no tenant is refused."""
    await database.run(lambda session: session.add(AuditEvent(tenant_id=tenant, action="x")), tenant=tenant)
    await database.run(lambda session: session.delete(session.get_one(Tenant, tenant)), tenant=tenant)
    count = select(func.count()).select_from(AuditEvent)
    assert await database.read(lambda session: session.scalar(count), tenant=ALL_TENANTS) == 0
    with pytest.raises(IntegrityError):
        await database.run(
            lambda session: session.add(AuditEvent(tenant_id="nobody", action="x")), tenant="nobody"
        )


async def test_readers_do_not_wait_for_a_writer(database: Database, tenant: str) -> None:
    """A read is answered while a write is under way, and does not see it."""
    inside, done = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def write(session: Session) -> None:
        session.add(AuditEvent(tenant_id=tenant, action="x"))
        session.flush()
        loop.call_soon_threadsafe(inside.set)
        asyncio.run_coroutine_threadsafe(done.wait(), loop).result(10)

    writing = asyncio.create_task(database.run(write, tenant=tenant))
    await inside.wait()
    count = select(func.count()).select_from(AuditEvent)
    assert await database.read(lambda session: session.scalar(count), tenant=tenant) == 0
    done.set()
    await writing
    assert await database.read(lambda session: session.scalar(count), tenant=tenant) == 1


async def test_a_full_disk_is_named(sqlite_url: str) -> None:
    """Where the disk is full, the error says so."""
    opened = Database(sqlite_url)
    with opened.engine.connect() as connection:
        pages = connection.execute(text("pragma page_count")).scalar_one()

    def fill(session: Session) -> None:
        session.execute(text(f"pragma max_page_count = {pages}"))
        for number in range(200):
            session.add(Tenant(id=f"t{number}", name="x" * 100 + str(number)))
        session.flush()

    with pytest.raises(Unavailable, match="its disk is full"):
        await opened.run(fill, tenant=ALL_TENANTS)
    opened.close()
