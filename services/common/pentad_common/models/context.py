"""Shared state: the entries that are, the entries that were, and the counter that orders them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Boolean, ForeignKey, Index, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from pentad_common.clock import utcnow
from pentad_common.models.base import Base, BigInt, Keyed, Owned


class ContextRevision(Base):
    """The last revision of a tenant; every change takes the next."""

    __tablename__ = "context_revisions"

    tenant_id: Mapped[str] = mapped_column(
        String(36), ForeignKey("tenants.id", ondelete="CASCADE"), primary_key=True
    )
    revision: Mapped[int] = mapped_column(BigInt, default=0)
    oldest_revision: Mapped[int] = mapped_column(BigInt, default=0)
    """Changes up to this one are no longer kept."""


class Address:
    """Where an entry is: `tenant` or `runs/<id>`, then "" (global) or an agent's name, then the key."""

    scope: Mapped[str] = mapped_column(String(128))
    namespace: Mapped[str] = mapped_column(String(64))
    key: Mapped[str] = mapped_column(String(512))


class ContextEntry(Keyed, Owned, Address, Base):
    """A value as it is now."""

    __tablename__ = "context_entries"

    content_type: Mapped[str] = mapped_column(String(255), default="")
    data: Mapped[bytes] = mapped_column(LargeBinary)
    revision: Mapped[int] = mapped_column(BigInt)
    create_revision: Mapped[int] = mapped_column(BigInt)
    version: Mapped[int] = mapped_column(BigInt, default=1)
    writer: Mapped[str] = mapped_column(String(128), default="")
    create_time: Mapped[datetime] = mapped_column(default=utcnow)
    update_time: Mapped[datetime] = mapped_column(default=utcnow)
    expire_time: Mapped[datetime | None] = mapped_column(index=True)

    __table_args__ = (UniqueConstraint("tenant_id", "scope", "namespace", "key"),)


class ContextHistory(Keyed, Owned, Address, Base):
    """A change, as watches and GetHistory show it."""

    __tablename__ = "context_history"

    content_type: Mapped[str] = mapped_column(String(255), default="")
    data: Mapped[bytes | None] = mapped_column(LargeBinary)
    revision: Mapped[int] = mapped_column(BigInt)
    create_revision: Mapped[int] = mapped_column(BigInt)
    version: Mapped[int] = mapped_column(BigInt)
    deleted: Mapped[bool] = mapped_column(Boolean, default=False)
    writer: Mapped[str] = mapped_column(String(128), default="")
    change_time: Mapped[datetime] = mapped_column(default=utcnow)
    expire_time: Mapped[datetime | None]

    __table_args__ = (
        Index(None, "tenant_id", "revision"),
        Index(None, "tenant_id", "scope", "namespace", "key", "revision"),
    )
