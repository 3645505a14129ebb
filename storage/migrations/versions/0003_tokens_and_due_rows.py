"""Tokens that stay fresh: state of grants, due rows, openings counted."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for column in (
        sa.Column("expires_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("obtained_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("refusal", sa.Text(), server_default="", nullable=False),
        sa.Column("asked_at_ms", sa.BigInteger(), nullable=True),
    ):
        op.add_column("grants", column)
    op.create_table(
        "due",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("due_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("ticket", sa.BigInteger(), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("last_error", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("kind", "key", name="pk_due"),
    )
    op.create_index("ix_due_kind_due_at_ms", "due", ["kind", "due_at_ms"], unique=False)
    op.create_table(
        "token_openings",
        sa.Column("grant", sa.Text(), nullable=False),
        sa.Column("minute", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("job", sa.Text(), nullable=False),
        sa.Column("process", sa.Text(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("grant", "minute", "job", "process", name="pk_token_openings"),
    )
    op.create_index("ix_token_openings_minute", "token_openings", ["minute"], unique=False)
    if op.get_bind().dialect.name == "postgresql":
        # A row's every turn leaves a dead entry where the next look begins.
        op.execute("ALTER TABLE due SET (autovacuum_vacuum_scale_factor = 0.01)")
