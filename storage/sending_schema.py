"""The tables of sending: which contact a conversation is with, and what is to go out."""

from typing import Final, Literal

import sqlalchemy as sa

from storage.schema import metadata

# A conversation with one contact. `id`: `cnv_…`, a keyed hash of tenant, provider, account and
# thread. `sealed`: the contact's id at the provider. `acted_at_ms`: about when the contact last did
# something that lets us write (0: not known), never later than that.
threads = sa.Table(
    "threads",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("connection", sa.Text, nullable=False),
    sa.Column("contact", sa.LargeBinary(16), nullable=False),
    sa.Column("acted_at_ms", sa.BigInteger, nullable=False),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
    sa.Index("ix_threads_tenant_contact", "tenant", "contact"),
)

State = Literal["queued", "sending", "sent", "failed", "unknown"]
OPEN: Final = ("queued", "sending")
"""States of what is still to go out, or on its way at this moment."""

# What is to go out, and what became of it. `line`: those of one line go one after the other, by
# `number`. `key`, `request`: keyed hashes of the idempotency key, within `scope`, and of what was
# asked with it. `message`: keyed hash of the provider's id, by which receipts are ours. `said`: the
# feed has it by our own word. `until_ms`: it is not tried after that.
sends = sa.Table(
    "sends",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("connection", sa.Text, nullable=False),
    sa.Column("line", sa.Text, nullable=False),
    sa.Column("number", sa.BigInteger, nullable=False),
    sa.Column("conversation", sa.Text, nullable=False, server_default=""),
    sa.Column("contact", sa.LargeBinary(16)),
    sa.Column("scope", sa.Text, nullable=False),
    sa.Column("key", sa.LargeBinary(16), nullable=False),
    sa.Column("request", sa.LargeBinary(16), nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("reason", sa.Text, nullable=False, server_default=""),
    sa.Column("code", sa.Text, nullable=False, server_default=""),
    sa.Column("detail", sa.Text, nullable=False, server_default=""),
    sa.Column("message", sa.LargeBinary(16), index=True),
    sa.Column("said", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("until_ms", sa.BigInteger, nullable=False),
    sa.Column("created_at_ms", sa.BigInteger, nullable=False, index=True),
    sa.Column("changed_at_ms", sa.BigInteger, nullable=False),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
    sa.UniqueConstraint("scope", "key"),
    sa.UniqueConstraint("line", "number"),
    sa.Index("ix_sends_tenant_contact", "tenant", "contact"),
)

sa.Index(
    "ix_sends_open",
    sends.c.line,
    sends.c.number,
    postgresql_where=sends.c.state.in_(OPEN),
    sqlite_where=sends.c.state.in_(OPEN),
)
