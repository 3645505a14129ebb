"""The tables. Times are `…_ms` (Unix time, milliseconds); days are whole days since 1970-01-01,
UTC.

Partitions of PostgreSQL and the rules that need its own SQL are in `migrations/` and
`partitions.py`.
"""

from typing import Final

import sqlalchemy as sa

LANES: Final = 1024
"""Fixed for ever: an account's lane is a hash modulo this number."""

metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    }
)
_Serial = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

run_keys = sa.Table(
    "run_keys",
    metadata,
    sa.Column("id", sa.LargeBinary(16), primary_key=True),
    sa.Column("day", sa.Integer, nullable=False, index=True),
    sa.Column("wrapped", sa.LargeBinary, nullable=False),
)

# Append-only: an item is never updated. Its lane's lease says how far the lane is drained,
# `deferred` and `unrouted` name the exceptions. PostgreSQL: partitioned by day, primary key (lane,
# id, day).
inbox = sa.Table(
    "inbox",
    metadata,
    sa.Column("id", _Serial, primary_key=True, autoincrement=True),
    sa.Column("day", sa.Integer, nullable=False),
    sa.Column("lane", sa.SmallInteger, nullable=False),
    sa.Column("provider", sa.Text, nullable=False),
    sa.Column("run_key", sa.LargeBinary(16), nullable=False),
    sa.Column("n", sa.BigInteger, nullable=False),
    sa.Column("received_at_ms", sa.BigInteger, nullable=False),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)

leases = sa.Table(
    "leases",
    metadata,
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("owner", sa.Text),
    sa.Column("fence", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("until_ms", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("mark", sa.BigInteger, nullable=False, server_default="0"),
)

deferred = sa.Table(
    "deferred",
    metadata,
    sa.Column("lane", sa.SmallInteger, primary_key=True),
    sa.Column("route", sa.LargeBinary(16), primary_key=True),
    sa.Column("item", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("day", sa.Integer, nullable=False),
)

unrouted = sa.Table(
    "unrouted",
    metadata,
    sa.Column("item", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("day", sa.Integer, nullable=False),
    sa.Column("lane", sa.SmallInteger, nullable=False),
    sa.Column("route", sa.LargeBinary(16), nullable=False, index=True),
    sa.Column("provider", sa.Text, nullable=False),
    sa.Column("received_at_ms", sa.BigInteger, nullable=False),
)

attempts = sa.Table(
    "attempts",
    metadata,
    sa.Column("item", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("count", sa.Integer, nullable=False),
    sa.Column("at_ms", sa.BigInteger, nullable=False),
)

parked = sa.Table(
    "parked",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("item", sa.BigInteger, nullable=False),
    sa.Column("connection", sa.Text, nullable=False),
    sa.Column("tenant", sa.Text, nullable=False, index=True),
    sa.Column("provider", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("received_at_ms", sa.BigInteger, nullable=False),
    sa.Column("parked_at_ms", sa.BigInteger, nullable=False),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
    sa.UniqueConstraint("item", "connection"),
    sa.Index("ix_parked_connection_id", "connection", "id"),
)

connections = sa.Table(
    "connections",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("provider", sa.Text, nullable=False),
    sa.Column("account", sa.LargeBinary(16), nullable=False),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("status_reason", sa.Text, nullable=False, server_default=""),
    sa.Column("created_at_ms", sa.BigInteger, nullable=False),
    sa.Column("changed_at_ms", sa.BigInteger, nullable=False),
    sa.Column("receives_from_ms", sa.BigInteger, nullable=False),
    sa.Column("features", sa.JSON, nullable=False, server_default="[]"),
    sa.Column("missing", sa.JSON, nullable=False, server_default="[]"),
    sa.Column("causes", sa.JSON, nullable=False, server_default="{}"),
    sa.Column("noticed", sa.Text, nullable=False, server_default=""),
    sa.UniqueConstraint("tenant", "provider", "account"),
)

routes = sa.Table(
    "routes",
    metadata,
    sa.Column("route", sa.LargeBinary(16), primary_key=True),
    sa.Column("connection", sa.Text, sa.ForeignKey("connections.id"), primary_key=True),
)

grants = sa.Table(
    "grants",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("login", sa.Text, nullable=False),
    sa.Column("subject", sa.LargeBinary(16), nullable=False),
    sa.Column("scopes", sa.JSON, nullable=False),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("created_at_ms", sa.BigInteger, nullable=False),
    sa.Column("expires_at_ms", sa.BigInteger),
    sa.Column("obtained_at_ms", sa.BigInteger),
    sa.Column("refusal", sa.Text, nullable=False, server_default=""),
    sa.Column("asked_at_ms", sa.BigInteger),
    sa.Column("declined", sa.JSON, nullable=False, server_default="[]"),
    sa.Column("person", sa.LargeBinary(16)),
    sa.UniqueConstraint("tenant", "login", "subject"),
    sa.Index("ix_grants_person", "person"),
)

connection_grants = sa.Table(
    "connection_grants",
    metadata,
    sa.Column("connection", sa.Text, sa.ForeignKey("connections.id"), primary_key=True),
    sa.Column("grant", sa.Text, sa.ForeignKey("grants.id"), primary_key=True),
)

# Work that comes due by itself. `due_at_ms` NULL: nothing to do until somebody says so. Whoever
# takes a row moves its time on by a lease and leaves a ticket: a row whose time has come is free,
# whatever its ticket, so that one index finds both what is due and what a dead worker left.
due = sa.Table(
    "due",
    metadata,
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("due_at_ms", sa.BigInteger),
    sa.Column("ticket", sa.BigInteger),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("crashes", sa.Integer, nullable=False, server_default="0"),
    sa.Column("last_error", sa.Text, nullable=False, server_default=""),
    sa.Column("again_at_ms", sa.BigInteger),
    sa.Index("ix_due_kind_due_at_ms", "kind", "due_at_ms"),
)

# How often a process opened the tokens of a grant within a minute (since 1970), and for which job.
token_openings = sa.Table(
    "token_openings",
    metadata,
    sa.Column("grant", sa.Text, primary_key=True),
    sa.Column("minute", sa.Integer, primary_key=True, autoincrement=False, index=True),
    sa.Column("job", sa.Text, primary_key=True),
    sa.Column("process", sa.Text, primary_key=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("times", sa.Integer, nullable=False),
)

# PostgreSQL: partitioned by ranges of position.
messages = sa.Table(
    "messages",
    metadata,
    sa.Column("position", _Serial, primary_key=True, autoincrement=True),
    sa.Column("tag", sa.BigInteger, nullable=False),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("connection", sa.Text, nullable=False),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("day", sa.Integer, nullable=False),
    sa.Column("hash", sa.LargeBinary(16), nullable=False),
    sa.Column("contact", sa.LargeBinary(16)),
    sa.Column("appended_at_ms", sa.BigInteger, nullable=False),
    sa.Column("sealed", sa.LargeBinary),
    sqlite_autoincrement=True,
)

# `day` is the event's day at the provider. PostgreSQL: partitioned by it. `after` is a position
# just before the message's own, so that a message is found by its id without a second random index.
dedupe = sa.Table(
    "dedupe",
    metadata,
    sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("hash", sa.LargeBinary(16), primary_key=True),
    sa.Column("after", sa.BigInteger, nullable=False),
    sa.Column("kept_at_ms", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

erased_contacts = sa.Table(
    "erased_contacts",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("contact", sa.LargeBinary(16), primary_key=True),
    sa.Column("erased_at_ms", sa.BigInteger, nullable=False),
)

restores = sa.Table(
    "restores",
    metadata,
    sa.Column("id", _Serial, primary_key=True, autoincrement=True),
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("at_ms", sa.BigInteger, nullable=False),
)

consumers = sa.Table(
    "consumers",
    metadata,
    sa.Column("scope", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("tenant", sa.Text),
    sa.Column("types", sa.JSON, nullable=False),
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("tag", sa.BigInteger, nullable=False),
    sa.Column("created_at_ms", sa.BigInteger, nullable=False),
    sa.Column("committed_at_ms", sa.BigInteger, nullable=False),
)

api_keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("tenant", sa.Text),
    sa.Column("hash", sa.LargeBinary(32), nullable=False, unique=True),
    sa.Column("created_at_ms", sa.BigInteger, nullable=False),
    sa.Column("revoked_at_ms", sa.BigInteger),
)

replays = sa.Table(
    "replays",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("delivery", sa.Text),
    sa.Column("status", sa.Text),
    sa.Column("provider", sa.Text),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("after", sa.Text),
    sa.Column("items", sa.Integer, nullable=False),
    sa.Column("failed", sa.Integer, nullable=False),
    sa.Column("added", sa.Integer, nullable=False),
    sa.Column("duplicate", sa.Integer, nullable=False),
    sa.Column("parked", sa.Integer, nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("requested_at_ms", sa.BigInteger, nullable=False),
    sa.Column("finished_at_ms", sa.BigInteger),
)

# Spans of missing history, which a worker turns into `connection.gap` messages: refused deliveries
# (the edge answered 503), restored backups. Of those that have the `route`, of one `connection`, or
# (both NULL) of every connection.
gaps = sa.Table(
    "gaps",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("route", sa.LargeBinary(16)),
    sa.Column("from_ms", sa.BigInteger, nullable=False),
    sa.Column("until_ms", sa.BigInteger, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("connection", sa.Text),
)

# Tenants whose data key is made anew: one row each, in the state of its last rotation. `before` and
# `sealing` are output prefixes of sealed bytes: of the key before it, and of the one that seals.
rotations = sa.Table(
    "rotations",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("state", sa.Text, nullable=False, index=True),
    sa.Column("before", sa.LargeBinary(5)),
    sa.Column("sealing", sa.LargeBinary(5)),
    sa.Column("round", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("settled_ms", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("detail", sa.Text, nullable=False, server_default=""),
    sa.Column("ordered_at_ms", sa.BigInteger, nullable=False),
    sa.Column("changed_at_ms", sa.BigInteger, nullable=False),
)

# A round goes once through every sealed column, for all tenants that are in it; `place` and `after`
# say how far it has come: a table, and the key of a row of it, as text.
reseal_rounds = sa.Table(
    "reseal_rounds",
    metadata,
    sa.Column("id", _Serial, primary_key=True, autoincrement=True),
    sa.Column("place", sa.Text, nullable=False),
    sa.Column("after", sa.Text),
    sa.Column("looked_at", sa.BigInteger, nullable=False),
    sa.Column("total", sa.BigInteger, nullable=False),
    sa.Column("resealed", sa.BigInteger, nullable=False),
    sa.Column("left", sa.BigInteger, nullable=False),
    sa.Column("unreadable", sa.BigInteger, nullable=False),
    sa.Column("started_at_ms", sa.BigInteger, nullable=False),
    sa.Column("finished_at_ms", sa.BigInteger),
)

# Tokens that outlive their tenant's keys, for the revoking saga, until `until_ms`. `day` names the
# key that they are sealed to.
escrow = sa.Table(
    "escrow",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("grant", sa.Text, nullable=False),
    sa.Column("login", sa.Text, nullable=False),
    sa.Column("day", sa.Integer, nullable=False),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
    sa.Column("created_at_ms", sa.BigInteger, nullable=False),
    sa.Column("until_ms", sa.BigInteger, nullable=False, index=True),
    sa.Column("revocation", sa.Text, nullable=False, server_default="", index=True),
)

SEGMENT_BITS: Final = 10
"""SQLite's index of the inbox begins with the id without so many bits: 1,024 rows a segment."""


def segment(id_: sa.ColumnElement[int]) -> sa.ColumnElement[int]:
    """The segment of an inbox id."""
    return id_.op(">>")(sa.literal_column(str(SEGMENT_BITS)))


sa.Index("ix_inbox_segment", segment(inbox.c.id), inbox.c.lane)
