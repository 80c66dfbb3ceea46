"""On PostgreSQL the database itself keeps tenants apart, whatever a query forgets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import ProgrammingError

from pentad_common.db import ALL_TENANTS, APPLICATION_ROLE, Database
from pentad_common.models import AuditEvent, Base, Tenant

QUERY = select(AuditEvent.tenant_id).order_by(AuditEvent.tenant_id)


@pytest.fixture
def postgres(postgres_url: str) -> Iterator[Database]:
    """A migrated PostgreSQL with two tenants, each with a row."""
    opened = Database(postgres_url)
    for tenant in ("one", "two"):
        opened.run_sync(lambda session, name=tenant: session.add(Tenant(id=name, name=name)), tenant=tenant)  # type: ignore[misc]
        event = AuditEvent(tenant_id=tenant, action="x")
        opened.run_sync(lambda session, row=event: session.add(row), tenant=tenant)  # type: ignore[misc]
    yield opened
    opened.close()


async def test_a_tenant_sees_its_own_rows(postgres: Database) -> None:
    """A query that names no tenant sees the rows of the transaction's; a system scan sees all."""
    assert await postgres.read(lambda session: list(session.scalars(QUERY)), tenant="one") == ["one"]
    assert await postgres.read(lambda session: list(session.scalars(QUERY)), tenant="two") == ["two"]
    assert await postgres.read(lambda session: list(session.scalars(QUERY)), tenant=ALL_TENANTS) == [
        "one",
        "two",
    ]
    tenants = await postgres.read(lambda session: list(session.scalars(select(Tenant.id))), tenant="one")
    assert tenants == ["one"]


async def test_no_row_for_another_tenant(postgres: Database) -> None:
    """A transaction can neither write another tenant's rows nor change them."""
    with pytest.raises(ProgrammingError, match="row-level security"):
        await postgres.run(lambda session: session.add(AuditEvent(tenant_id="two", action="y")), tenant="one")
    update = text("update audit_events set action = 'stolen' where tenant_id = 'two'")
    changed = await postgres.run(lambda session: session.execute(update).rowcount, tenant="one")  # type: ignore[attr-defined]
    assert changed == 0


def test_no_tenant_means_no_rows(postgres: Database) -> None:
    """As the application's role, without a tenant, every table is empty."""
    with postgres.engine.begin() as connection:
        connection.execute(text(f"set local role {APPLICATION_ROLE}"))
        for table in Base.metadata.sorted_tables:
            assert connection.execute(text(f"select count(*) from {table.name}")).scalar() == 0, table.name


def test_the_tenant_does_not_outlive_its_transaction(postgres: Database) -> None:
    """The next user of the same connection starts without a tenant and in the login's own role."""
    postgres.run_sync(lambda session: session.scalars(QUERY).all(), tenant="one")
    with postgres.engine.connect() as connection:
        tenant, role, login = connection.execute(
            text("select current_setting('app.tenant_id', true), current_user, session_user")
        ).one()
    assert not tenant
    assert role == login


async def test_transactions_run_as_a_role_that_the_policies_hold(postgres: Database) -> None:
    """The role is neither superuser nor owner nor exempt, and every table forces its policy."""
    role = await postgres.read(lambda session: session.scalar(text("select current_user")), tenant="one")
    assert role == APPLICATION_ROLE
    with postgres.engine.connect() as connection:
        query = text("select rolsuper, rolbypassrls, rolcanlogin from pg_roles where rolname = :role")
        assert connection.execute(query, {"role": role}).one() == (False, False, False)
        forced = connection.execute(
            text(
                "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r' "
                "and relrowsecurity and relforcerowsecurity and relowner <> cast(:role as regrole)"
            ),
            {"role": role},
        )
        assert set(forced.scalars()) == {table.name for table in Base.metadata.sorted_tables}
