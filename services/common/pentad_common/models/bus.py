"""The bus's journal and history.

These tables have no foreign key to tenants: the journal may be a database of its own.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, LargeBinary, SmallInteger, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from pentad_common.clock import utcnow
from pentad_common.models.base import Base, BigInt, Keyed


class BusMessage(Base):
    """A message as it was taken. `seq` orders the history; an integer key takes three times the rows a text key does."""

    __tablename__ = "messages"

    seq: Mapped[int] = mapped_column(BigInt, primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(String(64), index=True)
    tenant_id: Mapped[str] = mapped_column(String(36))
    sender: Mapped[str] = mapped_column(String(128))
    recipient: Mapped[str | None] = mapped_column(String(128))
    topic: Mapped[str | None] = mapped_column(String(255))
    type: Mapped[str] = mapped_column(String(128), default="")
    priority: Mapped[int] = mapped_column(SmallInteger, default=2)
    run_id: Mapped[str | None] = mapped_column(String(64))
    correlation_id: Mapped[str | None] = mapped_column(String(128))
    body: Mapped[bytes] = mapped_column(LargeBinary)
    create_time: Mapped[datetime] = mapped_column(default=utcnow)

    __table_args__ = (
        Index(None, "tenant_id", "run_id"),
        Index(None, "tenant_id", "create_time"),
    )


class Inbox(Keyed, Base):
    """An agent's inbox, which outlives its connections, with the topics it takes."""

    __tablename__ = "inboxes"

    tenant_id: Mapped[str] = mapped_column(String(36))
    recipient: Mapped[str] = mapped_column(String(128))
    subscriptions: Mapped[list[Any]] = mapped_column(default=list)
    create_time: Mapped[datetime] = mapped_column(default=utcnow)

    __table_args__ = (Index(None, "tenant_id", "recipient", unique=True),)


class DeadLetter(Keyed, Base):
    """A message that was given up on, and why."""

    __tablename__ = "dead_letters"

    tenant_id: Mapped[str] = mapped_column(String(36))
    message_id: Mapped[str] = mapped_column(String(64))
    recipient: Mapped[str] = mapped_column(String(128))
    reason: Mapped[str] = mapped_column(String(64))
    detail: Mapped[str] = mapped_column(Text, default="")
    attempts: Mapped[int] = mapped_column(default=0)
    body: Mapped[bytes] = mapped_column(LargeBinary)
    dead_time: Mapped[datetime] = mapped_column(default=utcnow)

    __table_args__ = (Index(None, "tenant_id", "recipient", "dead_time"),)
