"""What all tables have in common: naming, types, tenant, keys, times."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, DateTime, Dialect, Enum, ForeignKey, Integer, MetaData, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator, TypeEngine

from pentad_common.clock import utcnow
from pentad_common.ids import new_id

BigInt = BigInteger().with_variant(Integer(), "sqlite")
"""64 bits on both; SQLite counts up by itself only what it calls INTEGER."""


class Json(TypeDecorator[Any]):
    """A JSON value; JSONB on PostgreSQL, whose dialect is loaded only there (it takes 60 ms)."""

    impl = JSON
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name != "postgresql":
            return dialect.type_descriptor(JSON())
        from sqlalchemy.dialects.postgresql import JSONB

        return dialect.type_descriptor(JSONB())


class UtcDateTime(TypeDecorator[datetime]):
    """An aware time, kept in UTC; SQLite has no time zones, so it is put back on reading."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a time without a time zone: {value!r}")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def choice(*values: str, name: str) -> Enum:
    """A column type that takes one of `values`; a CHECK of that `name` holds it on both databases."""
    return Enum(*values, name=name, native_enum=False, create_constraint=True, length=32)


class Base(DeclarativeBase):
    """All of Pentad's tables."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012
        datetime: UtcDateTime(),
        dict[str, Any]: Json(),
        list[Any]: Json(),
        list[str]: Json(),
    }


class Keyed:
    """A UUIDv7 as the primary key."""

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)


class Owned:
    """Belongs to a tenant and goes with it."""

    tenant_id: Mapped[str] = mapped_column(String(36), ForeignKey("tenants.id", ondelete="CASCADE"))


class Created:
    """Knows when it was made."""

    create_time: Mapped[datetime] = mapped_column(default=utcnow)
