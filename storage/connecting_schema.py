"""The tables of connecting, health and revoking: sessions, consents, what tenants share, sagas.

Grants and connections themselves are in `storage.schema`. Hashes without a tenant are keyed by the
deployment's key, so that two tenants' rows about one person or account meet.
"""

from typing import Final

import sqlalchemy as sa

from storage.schema import grants, metadata

# A person on their way through a connect page. `id`: SHA-256 of the link's token, in hex. `browser`
# and `state`: SHA-256 of the cookie and of the OAuth state that are valid now. `sealed`: what must
# outlast a step (PKCE's verifier; what was granted, until accounts are picked). `stage` and what it
# may be: `storage.connect_sessions`. `language`: that in which the person reads, once it is known.
connect_sessions = sa.Table(
    "connect_sessions",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("business", sa.Text, nullable=False),
    sa.Column("provider", sa.Text, nullable=False),
    sa.Column("login", sa.Text, nullable=False),
    sa.Column("features", sa.JSON, nullable=False),
    sa.Column("return_url", sa.Text),
    sa.Column("connection", sa.Text, index=True),
    sa.Column("stage", sa.Text, nullable=False),
    sa.Column("problem", sa.Text, nullable=False, server_default=""),
    sa.Column("browser", sa.LargeBinary(32)),
    sa.Column("state", sa.LargeBinary(32), unique=True),
    sa.Column("state_until_ms", sa.BigInteger),
    sa.Column("sealed", sa.LargeBinary),
    sa.Column("policy", sa.Text, nullable=False, server_default=""),
    sa.Column("language", sa.Text, nullable=False, server_default=""),
    sa.Column("connected", sa.JSON, nullable=False),
    sa.Column("created_at_ms", sa.BigInteger, nullable=False),
    sa.Column("expires_at_ms", sa.BigInteger, nullable=False, index=True),
)

# What was asked, granted and declined, each time somebody consented; `policy` is the version of the
# privacy policy that was linked and accepted.
consents = sa.Table(
    "consents",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("grant", sa.Text, nullable=False, index=True),
    sa.Column("login", sa.Text, nullable=False),
    sa.Column("features", sa.JSON, nullable=False),
    sa.Column("asked", sa.JSON, nullable=False),
    sa.Column("granted", sa.JSON, nullable=False),
    sa.Column("declined", sa.JSON, nullable=False),
    sa.Column("policy", sa.Text, nullable=False),
    sa.Column("at_ms", sa.BigInteger, nullable=False),
)

# Somebody's consent as the provider knows it, shared by the grants of all tenants that they gave:
# revoking one revokes them all. Locked to decide who ends it, and by connecting. `ending` is the
# revocation that is about to end it; tokens obtained before `ended_at_ms` are dead.
people = sa.Table(
    "people",
    metadata,
    sa.Column("login", sa.Text, primary_key=True),
    sa.Column("person", sa.LargeBinary(16), primary_key=True),
    sa.Column("ending", sa.Text),
    sa.Column("ended_at_ms", sa.BigInteger),
)

# An account's subscription as the provider knows it, shared by the connections of all tenants that
# have the account. Locked as `people` are. `state`: wanted, on, missing, off. What it lacks depends
# on what was chosen, so that each connection has its own: `looks`.
subscriptions = sa.Table(
    "subscriptions",
    metadata,
    sa.Column("provider", sa.Text, primary_key=True),
    sa.Column("account", sa.LargeBinary(16), primary_key=True),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("ending", sa.Text),
    sa.Column("changed_at_ms", sa.BigInteger, nullable=False),
)

# What a connection's own look found of its account's subscription: fields that it wants and the
# provider does not show, why, and when it was last found to be all that it wants.
looks = sa.Table(
    "looks",
    metadata,
    sa.Column("connection", sa.Text, primary_key=True),
    sa.Column("missing", sa.JSON, nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("checked_at_ms", sa.BigInteger),
)

# By which names a provider may speak of a grant in its signals: `kind` is `user` (an id of who
# consented), `token-prefix` or `token-hash` (Google's ways to name a refresh token).
grant_names = sa.Table(
    "grant_names",
    metadata,
    sa.Column("login", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("name", sa.LargeBinary(16), primary_key=True),
    sa.Column("grant", sa.Text, sa.ForeignKey(grants.c.id), primary_key=True),
)

# The revoking saga of a connection, and afterwards its receipt. `steps`: what was done, when, and
# how it ended, in order.
revocations = sa.Table(
    "revocations",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("connection", sa.Text, nullable=False, index=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("provider", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("requested_by", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False, index=True),
    sa.Column("steps", sa.JSON, nullable=False),
    sa.Column("created_at_ms", sa.BigInteger, nullable=False),
    sa.Column("finished_at_ms", sa.BigInteger),
)

# Connections that are paused: why and by whom, since when, and whether the feed has said so.
# `state`: paused, resuming (what waited is being put into the feed).
pauses = sa.Table(
    "pauses",
    metadata,
    sa.Column("connection", sa.Text, primary_key=True),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("requested_by", sa.Text, nullable=False),
    sa.Column("at_ms", sa.BigInteger, nullable=False),
    sa.Column("said", sa.Boolean, nullable=False),
)

# When something was last received for a connection, and the longest silence of each day before it
# (day since 1970 → milliseconds): what is unusual for this account is measured against that.
activity = sa.Table(
    "activity",
    metadata,
    sa.Column("connection", sa.Text, primary_key=True),
    sa.Column("last_at_ms", sa.BigInteger, nullable=False),
    sa.Column("silences", sa.JSON, nullable=False),
)

# What a provider told us about a person's consent, durable before it is acknowledged, and what
# became of it. `once` is the hash that tells a repeated one, `names` are keyed hashes of whom it
# named, `at_ms` is when the provider said it. `code`: what the person can ask with, `sealed`: then
# who it is, until it is done (to the escrow key of its day).
signals = sa.Table(
    "signals",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("login", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("once", sa.LargeBinary(16), nullable=False, unique=True),
    sa.Column("names", sa.JSON, nullable=False),
    sa.Column("code", sa.Text, unique=True),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("detail", sa.Text, nullable=False, server_default=""),
    sa.Column("ended", sa.Integer, nullable=False, server_default="0"),
    sa.Column("at_ms", sa.BigInteger, nullable=False),
    sa.Column("received_at_ms", sa.BigInteger, nullable=False),
    sa.Column("finished_at_ms", sa.BigInteger),
    sa.Column("sealed", sa.LargeBinary),
)

LIVE: Final = ("pending", "active", "degraded", "needs_reauth", "paused")
"""Statuses of connections that still use what they share with others."""
