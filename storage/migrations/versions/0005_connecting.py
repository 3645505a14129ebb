"""Connecting, health and revoking: sessions, consents, what tenants share, sagas, signals."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _more_of_connections_and_grants()
    _connecting()
    _shared()
    _revoking()


def _more_of_connections_and_grants() -> None:
    for name, empty in (("features", "[]"), ("missing", "[]"), ("causes", "{}")):
        op.add_column(
            "connections", sa.Column(name, sa.JSON(), nullable=False, server_default=empty)
        )
    # what is wrong with these is not known by kind: somebody looks
    op.execute(
        "INSERT INTO due (kind, key, due_at_ms, attempts, last_error) "
        "SELECT 'reconcile', id, 0, 0, '' FROM connections "
        "WHERE status IN ('needs_reauth', 'degraded')"
    )
    noticed = sa.Column("noticed", sa.Text(), nullable=False, server_default="")
    op.add_column("connections", noticed)
    op.add_column("grants", sa.Column("declined", sa.JSON(), nullable=False, server_default="[]"))
    op.add_column("grants", sa.Column("person", sa.LargeBinary(length=16), nullable=True))
    op.create_index("ix_grants_person", "grants", ["person"], unique=False)


def _connecting() -> None:
    op.create_table(
        "connect_sessions",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("business", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("login", sa.Text(), nullable=False),
        sa.Column("features", sa.JSON(), nullable=False),
        sa.Column("return_url", sa.Text(), nullable=True),
        sa.Column("connection", sa.Text(), nullable=True),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("problem", sa.Text(), server_default="", nullable=False),
        sa.Column("browser", sa.LargeBinary(length=32), nullable=True),
        sa.Column("state", sa.LargeBinary(length=32), nullable=True),
        sa.Column("state_until_ms", sa.BigInteger(), nullable=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.Column("policy", sa.Text(), server_default="", nullable=False),
        sa.Column("language", sa.Text(), server_default="", nullable=False),
        sa.Column("connected", sa.JSON(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_connect_sessions"),
        sa.UniqueConstraint("state", name="uq_connect_sessions_state"),
    )
    op.create_index("ix_connect_sessions_connection", "connect_sessions", ["connection"])
    op.create_index("ix_connect_sessions_expires_at_ms", "connect_sessions", ["expires_at_ms"])
    op.create_table(
        "consents",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("grant", sa.Text(), nullable=False),
        sa.Column("login", sa.Text(), nullable=False),
        sa.Column("features", sa.JSON(), nullable=False),
        sa.Column("asked", sa.JSON(), nullable=False),
        sa.Column("granted", sa.JSON(), nullable=False),
        sa.Column("declined", sa.JSON(), nullable=False),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_consents"),
    )
    op.create_index("ix_consents_grant", "consents", ["grant"], unique=False)
    op.create_table(
        "grant_names",
        sa.Column("login", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.LargeBinary(length=16), nullable=False),
        sa.Column("grant", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["grant"], ["grants.id"]),
        sa.PrimaryKeyConstraint("login", "kind", "name", "grant", name="pk_grant_names"),
    )


def _shared() -> None:
    op.create_table(
        "people",
        sa.Column("login", sa.Text(), nullable=False),
        sa.Column("person", sa.LargeBinary(length=16), nullable=False),
        sa.Column("ending", sa.Text(), nullable=True),
        sa.Column("ended_at_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("login", "person", name="pk_people"),
    )
    op.create_table(
        "subscriptions",
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("account", sa.LargeBinary(length=16), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("ending", sa.Text(), nullable=True),
        sa.Column("changed_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("provider", "account", name="pk_subscriptions"),
    )
    op.create_table(
        "looks",
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("missing", sa.JSON(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("checked_at_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("connection", name="pk_looks"),
    )
    op.create_table(
        "activity",
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("last_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("silences", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("connection", name="pk_activity"),
    )


def _revoking() -> None:
    op.create_table(
        "revocations",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("steps", sa.JSON(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("finished_at_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_revocations"),
    )
    op.create_index("ix_revocations_connection", "revocations", ["connection"], unique=False)
    op.create_index("ix_revocations_state", "revocations", ["state"], unique=False)
    op.create_table(
        "signals",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("login", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("once", sa.LargeBinary(length=16), nullable=False),
        sa.Column("names", sa.JSON(), nullable=False),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), server_default="", nullable=False),
        sa.Column("ended", sa.Integer(), server_default="0", nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("received_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("finished_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_signals"),
        sa.UniqueConstraint("once", name="uq_signals_once"),
        sa.UniqueConstraint("code", name="uq_signals_code"),
    )
    op.add_column("escrow", sa.Column("revocation", sa.Text(), nullable=False, server_default=""))
    op.create_index("ix_escrow_revocation", "escrow", ["revocation"], unique=False)
