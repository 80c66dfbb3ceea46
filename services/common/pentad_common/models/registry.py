"""Agent cards. Who is there now (instances, leases, load) is in the registry's memory or in Redis."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from pentad_common.clock import utcnow
from pentad_common.models.base import Base, Created, Keyed, Owned


class Agent(Keyed, Owned, Created, Base):
    """One version of an agent's card."""

    __tablename__ = "agents"

    name: Mapped[str] = mapped_column(String(63))
    version: Mapped[str] = mapped_column(String(64))
    description: Mapped[str] = mapped_column(Text, default="")
    card: Mapped[dict[str, Any]] = mapped_column(default=dict)
    update_time: Mapped[datetime] = mapped_column(default=utcnow, onupdate=utcnow)

    __table_args__ = (UniqueConstraint("tenant_id", "name", "version"),)
