"""Gates that rate limits have closed."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "gates",
        sa.Column("gate", sa.LargeBinary(length=16), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("gate", name="pk_gates"),
    )
    op.create_index("ix_gates_until_ms", "gates", ["until_ms"])
