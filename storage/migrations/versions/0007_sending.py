"""Sending: conversations with their contacts, and the outbox."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "threads",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("contact", sa.LargeBinary(length=16), nullable=False),
        sa.Column("acted_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_threads"),
    )
    op.create_index("ix_threads_tenant_contact", "threads", ["tenant", "contact"])
    op.create_table(
        "sends",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("line", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("conversation", sa.Text(), nullable=False, server_default=""),
        sa.Column("contact", sa.LargeBinary(length=16), nullable=True),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("key", sa.LargeBinary(length=16), nullable=False),
        sa.Column("request", sa.LargeBinary(length=16), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("reason", sa.Text(), nullable=False, server_default=""),
        sa.Column("code", sa.Text(), nullable=False, server_default=""),
        sa.Column("detail", sa.Text(), nullable=False, server_default=""),
        sa.Column("message", sa.LargeBinary(length=16), nullable=True),
        sa.Column("said", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("until_ms", sa.BigInteger(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("changed_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sends"),
        sa.UniqueConstraint("scope", "key", name="uq_sends_scope_key"),
        sa.UniqueConstraint("line", "number", name="uq_sends_line_number"),
    )
    op.create_index("ix_sends_message", "sends", ["message"])
    op.create_index("ix_sends_created_at_ms", "sends", ["created_at_ms"])
    op.create_index("ix_sends_tenant_contact", "sends", ["tenant", "contact"])
    is_open = sa.text("state IN ('queued', 'sending')")
    op.create_index(
        "ix_sends_open",
        "sends",
        ["line", "number"],
        postgresql_where=is_open,
        sqlite_where=is_open,
    )
