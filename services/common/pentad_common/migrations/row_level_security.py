"""Row-level security on PostgreSQL: a transaction sees the rows of the tenant it names, and none if it names
none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pentad_common.db import ALL_TENANTS, APPLICATION_ROLE

_CREATE_ROLE = f"""
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{APPLICATION_ROLE}') THEN
        CREATE ROLE {APPLICATION_ROLE} NOLOGIN NOSUPERUSER NOBYPASSRLS;
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$
"""

_GRANTS = f"""
DO $$ BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO {APPLICATION_ROLE}', current_schema());
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %I TO {APPLICATION_ROLE}',
                   current_schema());
    EXECUTE format('GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA %I TO {APPLICATION_ROLE}',
                   current_schema());
    IF NOT pg_has_role(current_user, '{APPLICATION_ROLE}', 'MEMBER') THEN
        EXECUTE format('GRANT {APPLICATION_ROLE} TO %I', current_user);
    END IF;
END $$
"""


def enable_row_level_security(op: Any, tables: Mapping[str, str]) -> None:
    """Forces row-level security on `tables` (name → column that holds the tenant), for the owner too.

    Creates the role that applications switch to, if it is missing, and grants it the tables. Does nothing on
    SQLite.
    """
    if op.get_bind().dialect.name != "postgresql":
        return
    op.execute(_CREATE_ROLE)
    for table, column in tables.items():
        setting = "current_setting('app.tenant_id', true)"
        rule = f"({column} = {setting} OR {setting} = '{ALL_TENANTS}')"
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY {table}_tenant ON {table} USING {rule} WITH CHECK {rule}")
    op.execute(_GRANTS)


def disable_row_level_security(op: Any, tables: Iterable[str]) -> None:
    """Takes the policies off `tables` again; the role stays: other databases of the server may use it."""
    if op.get_bind().dialect.name != "postgresql":
        return
    for table in tables:
        op.execute(f"DROP POLICY IF EXISTS {table}_tenant ON {table}")
