"""The bus's journal and history.

These tables have no foreign key to tenants: the journal may be a database of its own. One bus process owns a
journal and counts its integer keys up by itself: they cost a third of what text keys do, and put what is new
at the end.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, Integer, LargeBinary, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from pentad_common.clock import utcnow
from pentad_common.models.base import Base, BigInt, Keyed


class BusMessage(Base):
    """A message as it was taken. `seq` orders the history; `body` is the encoded `pentad.bus.v1.Message`."""

    __tablename__ = "messages"

    seq: Mapped[int] = mapped_column(BigInt, primary_key=True, autoincrement=False)
    id: Mapped[str] = mapped_column(String(64))
    tenant_id: Mapped[str] = mapped_column(String(36))
    sender: Mapped[str] = mapped_column(String(128))
    recipient: Mapped[str | None] = mapped_column(String(128))
    topic: Mapped[str | None] = mapped_column(String(255))
    type: Mapped[str] = mapped_column(String(128), default="")
    run_id: Mapped[str | None] = mapped_column(String(64))
    correlation_id: Mapped[str | None] = mapped_column(String(128))
    create_time: Mapped[datetime] = mapped_column(default=utcnow)
    body: Mapped[bytes] = mapped_column(LargeBinary)

    # Only of rows that have one: what has no run costs no index. A time is found by bisection, since seq
    # goes up with it.
    __table_args__ = (
        Index(
            None,
            "tenant_id",
            "run_id",
            "seq",
            sqlite_where=text("run_id IS NOT NULL"),
            postgresql_where=text("run_id IS NOT NULL"),
        ),
    )


class LogSegment(Base):
    """What one group commit took and settled, until it is in `messages` and `queue_entries`.

    A segment holds several tenants' changes: its `tenant_id` is `*`, which no tenant sees. `body` is what
    `pentad_bus.store.log` makes of them.
    """

    __tablename__ = "log_segments"

    number: Mapped[int] = mapped_column(BigInt, primary_key=True, autoincrement=False)
    tenant_id: Mapped[str] = mapped_column(String(36))
    messages: Mapped[int] = mapped_column(Integer, default=0)
    body: Mapped[bytes] = mapped_column(LargeBinary)


class Inbox(Base):
    """The inbox of an agent, or of one instance (`agent/instance`). It outlives connections."""

    __tablename__ = "inboxes"

    id: Mapped[int] = mapped_column(BigInt, primary_key=True, autoincrement=False)
    tenant_id: Mapped[str] = mapped_column(String(36))
    recipient: Mapped[str] = mapped_column(String(128))
    subscriptions: Mapped[list[Any]] = mapped_column(default=list)
    """`[pattern, filter]` of each topic subscription of scope AGENT."""
    policy: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """What its agent asked for: `messages`, `bytes`, `overflow`; what is missing is as the bus is set."""
    create_time: Mapped[datetime] = mapped_column(default=utcnow)

    __table_args__ = (Index(None, "tenant_id", "recipient", unique=True),)


class QueueEntry(Base):
    """A message in an inbox, from the publish until it is settled."""

    __tablename__ = "queue_entries"

    message_seq: Mapped[int] = mapped_column(BigInt, primary_key=True, autoincrement=False)
    inbox_id: Mapped[int] = mapped_column(BigInt, primary_key=True, autoincrement=False)
    tenant_id: Mapped[str] = mapped_column(String(36))
    subscription: Mapped[str] = mapped_column(String(255), default="")
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    due_time: Mapped[datetime | None]
    """Not delivered before; NULL for at once."""
    history: Mapped[list[Any] | None]
    """`[attempt, instance, end time, outcome, detail]` of each delivery that failed."""

    __table_args__ = ({"sqlite_with_rowid": False},)


class DeadLetter(Keyed, Base):
    """A message that was given up on, and why."""

    __tablename__ = "dead_letters"

    tenant_id: Mapped[str] = mapped_column(String(36))
    message_id: Mapped[str] = mapped_column(String(64))
    recipient: Mapped[str] = mapped_column(String(128))
    reason: Mapped[str] = mapped_column(String(64))
    detail: Mapped[str] = mapped_column(Text, default="")
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    body: Mapped[bytes] = mapped_column(LargeBinary)
    dead_time: Mapped[datetime] = mapped_column(default=utcnow)
    history: Mapped[list[Any] | None]
    """As in `queue_entries`."""

    __table_args__ = (
        Index(None, "tenant_id", "recipient", "dead_time"),
        Index(None, "dead_time"),
    )
