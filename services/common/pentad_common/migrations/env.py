"""Alembic's entry: runs the chain on the connection that `pentad_common.schema` hands over."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection, text

from pentad_common import models
from pentad_common.models.base import Base

_LOCK = 7_263_911
"""Of PostgreSQL's advisory locks: two upgrades at once take turns."""


def run(connection: Connection) -> None:
    """Migrates within the connection's transaction."""
    assert models
    if connection.dialect.name == "postgresql":
        connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    context.configure(connection=connection, target_metadata=Base.metadata, transactional_ddl=True)
    with context.begin_transaction():
        context.run_migrations()


run(context.config.attributes["connection"])
