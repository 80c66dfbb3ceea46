"""The bus's journal is a log first: its segments."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from pentad_common.migrations.row_level_security import disable_row_level_security, enable_row_level_security

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TABLES = {"log_segments": "tenant_id"}


def upgrade() -> None:
    op.create_table(
        "log_segments",
        sa.Column(
            "number",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("tenant_id", sa.String(length=36), nullable=False),
        sa.Column("messages", sa.Integer(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_log_segments")),
    )
    enable_row_level_security(op, TABLES)


def downgrade() -> None:
    disable_row_level_security(op, TABLES)
    op.drop_table("log_segments")
