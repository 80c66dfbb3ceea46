"""Batches of requests to models, and what came of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from pentad_common.migrations.row_level_security import disable_row_level_security, enable_row_level_security

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TABLES = {"llm_batches": "tenant_id", "llm_batch_items": "tenant_id"}


def upgrade() -> None:
    op.create_table(
        "llm_batches",
        sa.Column("key_id", sa.String(length=12), nullable=False),
        sa.Column("request_id", sa.String(length=64), nullable=True),
        sa.Column("caller", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("requested_model", sa.String(length=256), nullable=False),
        sa.Column("model", sa.String(length=512), nullable=False),
        sa.Column("native", sa.Boolean(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "PENDING",
                "RUNNING",
                "CANCELLING",
                "COMPLETED",
                "FAILED",
                "CANCELLED",
                name="state",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("items", sa.Integer(), nullable=False),
        sa.Column("error", sa.LargeBinary(), nullable=True),
        sa.Column("provider_batch_id", sa.String(length=255), nullable=False),
        sa.Column("polls", sa.Integer(), nullable=False),
        sa.Column("lease_owner", sa.String(length=36), nullable=False),
        sa.Column("lease_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("next_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expire_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finish_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("tenant_id", sa.String(length=36), nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name=op.f("fk_llm_batches_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_llm_batches")),
    )
    op.create_index(op.f("ix_llm_batches_finish_time"), "llm_batches", ["finish_time"], unique=False)
    op.create_index(
        op.f("ix_llm_batches_state_next_time"), "llm_batches", ["state", "next_time"], unique=False
    )
    op.create_index(op.f("ix_llm_batches_tenant_id_id"), "llm_batches", ["tenant_id", "id"], unique=False)
    op.create_index(
        op.f("ix_llm_batches_tenant_id_key_id_request_id"),
        "llm_batches",
        ["tenant_id", "key_id", "request_id"],
        unique=True,
    )
    op.create_table(
        "llm_batch_items",
        sa.Column("batch_id", sa.String(length=36), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("custom_id", sa.String(length=64), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "PENDING",
                "RUNNING",
                "SUCCEEDED",
                "FAILED",
                "CANCELLED",
                name="state",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("request", sa.LargeBinary(), nullable=True),
        sa.Column("response", sa.LargeBinary(), nullable=True),
        sa.Column("error", sa.LargeBinary(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("lease_owner", sa.String(length=36), nullable=False),
        sa.Column("lease_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("next_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("input_tokens", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("output_tokens", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column(
            "cached_input_tokens", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False
        ),
        sa.Column("reasoning_tokens", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("estimated", sa.Boolean(), nullable=False),
        sa.Column("cost_micros", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("tenant_id", sa.String(length=36), nullable=False),
        sa.ForeignKeyConstraint(
            ["batch_id"], ["llm_batches.id"], name=op.f("fk_llm_batch_items_batch_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name=op.f("fk_llm_batch_items_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("batch_id", "number", name=op.f("pk_llm_batch_items")),
    )
    op.create_index(
        op.f("ix_llm_batch_items_batch_id_state"), "llm_batch_items", ["batch_id", "state"], unique=False
    )
    op.create_index(
        op.f("ix_llm_batch_items_state_lease_time"), "llm_batch_items", ["state", "lease_time"], unique=False
    )
    enable_row_level_security(op, TABLES)


def downgrade() -> None:
    disable_row_level_security(op, TABLES)
    op.drop_table("llm_batch_items")
    op.drop_table("llm_batches")
