"""What somebody may want to look up later: who did what to keys, and who tried what they may not."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from pentad_common.models.base import Base, Created, Keyed, Owned


class AuditEvent(Keyed, Owned, Created, Base):
    """Something that happened, by whom."""

    __tablename__ = "audit_events"

    key_id: Mapped[str | None] = mapped_column(String(12))
    action: Mapped[str] = mapped_column(String(64))
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict)

    __table_args__ = (Index(None, "tenant_id", "create_time"),)
