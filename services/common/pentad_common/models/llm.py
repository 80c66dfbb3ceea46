"""What was asked of models, and what it cost."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, ForeignKey, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from pentad_common.models.base import Base, BigInt, Created, Json, Keyed, Owned, choice


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


class LlmBatch(Keyed, Owned, Created, Base):
    """Requests that are answered some time later, and who handed them in.

    `caller` is the call that handed it in, as far as later calls need it. A gateway that works on the batch
    as a whole holds it as `lease_owner` until `lease_time`; `next_time` is when there is something to do.
    """

    __tablename__ = "llm_batches"

    key_id: Mapped[str] = mapped_column(String(12))
    request_id: Mapped[str | None] = mapped_column(String(64))
    caller: Mapped[dict[str, Any]] = mapped_column(Json())
    requested_model: Mapped[str] = mapped_column(String(256))
    model: Mapped[str] = mapped_column(String(512))
    native: Mapped[bool] = mapped_column(Boolean)
    state: Mapped[str] = mapped_column(
        choice("PENDING", "RUNNING", "CANCELLING", "COMPLETED", "FAILED", "CANCELLED", name="state")
    )
    items: Mapped[int]
    error: Mapped[bytes | None] = mapped_column(LargeBinary)
    provider_batch_id: Mapped[str] = mapped_column(String(255), default="")
    polls: Mapped[int] = mapped_column(default=0)
    lease_owner: Mapped[str] = mapped_column(String(36), default="")
    lease_time: Mapped[datetime | None]
    next_time: Mapped[datetime]
    expire_time: Mapped[datetime]
    finish_time: Mapped[datetime | None]

    __table_args__ = (
        Index(None, "tenant_id", "key_id", "request_id", unique=True),
        Index(None, "tenant_id", "id"),
        Index(None, "state", "next_time"),
        Index(None, "finish_time"),
    )


class LlmBatchItem(Owned, Base):
    """One request of a batch and what came of it. `request`, `response` and `error` are the contract's
    messages; the request goes when there is a result.
    """

    __tablename__ = "llm_batch_items"

    batch_id: Mapped[str] = mapped_column(
        String(36), ForeignKey("llm_batches.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    custom_id: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(
        choice("PENDING", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED", name="state")
    )
    request: Mapped[bytes | None] = mapped_column(LargeBinary)
    response: Mapped[bytes | None] = mapped_column(LargeBinary)
    error: Mapped[bytes | None] = mapped_column(LargeBinary)
    attempts: Mapped[int] = mapped_column(default=0)
    lease_owner: Mapped[str] = mapped_column(String(36), default="")
    lease_time: Mapped[datetime | None]
    next_time: Mapped[datetime | None]
    input_tokens: Mapped[int] = mapped_column(BigInt, default=0)
    output_tokens: Mapped[int] = mapped_column(BigInt, default=0)
    cached_input_tokens: Mapped[int] = mapped_column(BigInt, default=0)
    reasoning_tokens: Mapped[int] = mapped_column(BigInt, default=0)
    estimated: Mapped[bool] = mapped_column(Boolean, default=False)
    cost_micros: Mapped[int | None] = mapped_column(BigInt)

    __table_args__ = (Index(None, "batch_id", "state"), Index(None, "state", "lease_time"))
