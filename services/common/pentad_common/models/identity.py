"""Tenants and their API keys."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from pentad_common.models.base import Base, Created, Keyed, Owned, choice


class Tenant(Keyed, Created, Base):
    """Whoever's agents, runs and messages are kept apart from everyone else's. The first one's id is
    `default`.
    """

    __tablename__ = "tenants"

    name: Mapped[str] = mapped_column(String(255))


class ApiKey(Owned, Created, Base):
    """A credential. Its secret is not kept, only the SHA-256 of it."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(String(12), primary_key=True)
    name: Mapped[str] = mapped_column(String(255), default="")
    role: Mapped[str] = mapped_column(choice("admin", "client", "agent", "service", name="role"))
    agents: Mapped[list[str]] = mapped_column(default=list)
    secret_sha256: Mapped[bytes] = mapped_column(LargeBinary(32))
    request_id: Mapped[str | None] = mapped_column(String(64))
    expire_time: Mapped[datetime | None]
    revoke_time: Mapped[datetime | None]

    __table_args__ = (UniqueConstraint("tenant_id", "request_id"), Index(None, "tenant_id", "create_time"))
