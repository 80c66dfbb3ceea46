"""What was asked of models, and what it cost."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Boolean, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from pentad_common.models.base import Base, BigInt, Created, Keyed, Owned


class LlmCall(Keyed, Owned, Created, Base):
    """One call to a model, asked and paid for; never what was said. Money is in millionths,
    times in milliseconds.

    `status` is OK or the reason of the error. `key_id` is kept without a foreign key: keys go,
    their calls stay.
    """

    __tablename__ = "llm_calls"

    key_id: Mapped[str] = mapped_column(String(12), default="")
    run_id: Mapped[str | None] = mapped_column(String(64))
    agent: Mapped[str | None] = mapped_column(String(128))
    requested_model: Mapped[str] = mapped_column(String(255))
    served_model: Mapped[str] = mapped_column(String(255), default="")
    provider: Mapped[str] = mapped_column(String(64), default="")
    status: Mapped[str] = mapped_column(String(64), default="OK")
    finish_reason: Mapped[str] = mapped_column(String(32), default="")
    input_tokens: Mapped[int] = mapped_column(BigInt, default=0)
    output_tokens: Mapped[int] = mapped_column(BigInt, default=0)
    cached_input_tokens: Mapped[int] = mapped_column(BigInt, default=0)
    reasoning_tokens: Mapped[int] = mapped_column(BigInt, default=0)
    estimated: Mapped[bool] = mapped_column(Boolean, default=False)
    cost_micros: Mapped[int | None] = mapped_column(BigInt)
    currency_code: Mapped[str | None] = mapped_column(String(3))
    streamed: Mapped[bool] = mapped_column(Boolean, default=False)
    cached: Mapped[bool] = mapped_column(Boolean, default=False)
    attempts: Mapped[int] = mapped_column(default=1)
    duration_ms: Mapped[int] = mapped_column(default=0)
    first_token_ms: Mapped[int | None]
    provider_request_id: Mapped[str] = mapped_column(String(128), default="")
    finish_time: Mapped[datetime | None]

    __table_args__ = (Index(None, "tenant_id", "create_time"), Index(None, "tenant_id", "run_id"))
