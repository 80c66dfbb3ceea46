"""Alembic's chain of migrations, one for SQLite and PostgreSQL."""
