"""Shared state: the entries that are, the entries that were, and the counter that orders them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, ForeignKey, Index, Integer, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from pentad_common.clock import utcnow
from pentad_common.models.base import Base, BigInt, Created, Keyed, Owned

Text512 = String(512).with_variant(String(512, collation="C"), "postgresql")
"""Sorted by code points on both, so that a prefix is a range."""


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

    scope: Mapped[str] = mapped_column(String(72))
    namespace: Mapped[str] = mapped_column(String(64))
    key: Mapped[str] = mapped_column(Text512)


class ContextEntry(Keyed, Owned, Address, Base):
    """A value as it is now."""

    __tablename__ = "context_entries"

    content_type: Mapped[str] = mapped_column(String(255), default="")
    data: Mapped[bytes] = mapped_column(LargeBinary)
    revision: Mapped[int] = mapped_column(BigInt)
    create_revision: Mapped[int] = mapped_column(BigInt)
    version: Mapped[int] = mapped_column(BigInt, default=1)
    writer: Mapped[str] = mapped_column(String(128), default="")
    update_time: Mapped[datetime] = mapped_column(default=utcnow)
    expire_time: Mapped[datetime | None] = mapped_column(index=True)

    __table_args__ = (UniqueConstraint("tenant_id", "scope", "namespace", "key"),)


class ContextHistory(Keyed, Owned, Address, Base):
    """A change, as watches and GetHistory show it."""

    __tablename__ = "context_history"

    content_type: Mapped[str] = mapped_column(String(255), default="")
    data: Mapped[bytes | None] = mapped_column(LargeBinary)
    revision: Mapped[int] = mapped_column(BigInt)
    position: Mapped[int] = mapped_column(Integer, default=0)
    """Counts the changes of one revision, from 0."""
    create_revision: Mapped[int] = mapped_column(BigInt)
    version: Mapped[int] = mapped_column(BigInt)
    deleted: Mapped[bool] = mapped_column(Boolean, default=False)
    writer: Mapped[str] = mapped_column(String(128), default="")
    change_time: Mapped[datetime] = mapped_column(default=utcnow)
    expire_time: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("tenant_id", "revision", "position"),
        Index(None, "tenant_id", "scope", "namespace", "key", "revision"),
        Index(None, "change_time"),
    )


class ContextRequest(Keyed, Owned, Created, Base):
    """What a write with a request id did, so that a repeat gets the same answer."""

    __tablename__ = "context_requests"

    writer: Mapped[str] = mapped_column(String(128))
    request_id: Mapped[str] = mapped_column(String(64))
    fingerprint: Mapped[str] = mapped_column(String(64))
    """SHA-256 of what was asked, in hex."""
    answer: Mapped[dict[str, Any]]

    __table_args__ = (UniqueConstraint("tenant_id", "writer", "request_id"), Index(None, "create_time"))
