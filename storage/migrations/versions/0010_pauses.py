"""Paused connections: who paused them, what waits for them, and the gaps of one connection."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "pauses",
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("said", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("connection", name="pk_pauses"),
    )
    op.create_index("ix_parked_connection_id", "parked", ["connection", "id"], unique=False)
    op.add_column("gaps", sa.Column("connection", sa.Text(), nullable=True))
