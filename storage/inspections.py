"""What a look at a connection found, written in one transaction; and what to look at it needs."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from contracts.errors import LeaseLost, Retryable
from storage import due, gaps, sharing
from storage.activity import WATCH
from storage.connecting_schema import consents, looks, subscriptions
from storage.connections import Grant
from storage.database import Database, now_ms
from storage.due import Taken
from storage.gaps import Gap
from storage.grants import Turned, change_grant, turn
from storage.schema import connections, routes

ON: Final = "on"
MISSING: Final = "missing"
OFF: Final = "off"


class Subscription(NamedTuple):
    """How an account's subscription stands for one of its connections. `state`: `wanted`, `on`,
    `missing` (it, or some of the fields that the connection wants), `off` (ended by us).
    `checked_at_ms`: when it was last found to be all that the connection wants. `ending`: the
    revocation that is about to end it.
    """

    state: str
    missing: Sequence[str] = ()
    detail: str = ""
    checked_at_ms: int | None = None
    ending: str | None = None


class Seen(NamedTuple):
    """What a look of a connection found of its account's subscription. `is_on`: whether it delivers
    anything at all; None: that was not to be seen. `detail`: why something is `missing`, in words;
    empty: it is all that the connection wants.
    """

    provider: str
    account: bytes
    is_on: bool | None
    missing: Sequence[str] = ()
    detail: str = ""
    checked_at_ms: int | None = None


class Allowed(NamedTuple):
    """What the provider says that a grant allows now, and what of that which was asked it does
    not.
    """

    grant: Grant
    scopes: Collection[str]
    declined: Collection[str]


class NewParent(NamedTuple):
    """What an account is part of, found out after it was connected without: its route key, and the
    connection's details anew, in place of those that were sealed as `was`.
    """

    route: bytes
    was: bytes
    sealed: bytes


class Inspection(NamedTuple):
    """What a look found, committed as the first step of a turn. The row is due again then; from
    `watch_at_ms` on the connection is watched for silence. `policy`: the version that its tenant is
    told of beside.
    """

    row: Taken
    due_at_ms: int
    turned: Turned
    allowed: Sequence[Allowed] = ()
    refused: Sequence[tuple[Grant, str]] = ()
    subscription: Seen | None = None
    gap: Gap | None = None
    parent: NewParent | None = None
    watch_at_ms: int | None = None
    noticed: str | None = None
    """The version of the privacy policy of which the same turn says that it is another one."""

    def commit(self, connection: sa.Connection) -> None:
        """Raises `LeaseLost` when the row is another's, `Retryable` when a grant that was refused
        has newer tokens, `Conflict` when the connection has changed, and `BeingRevoked`.
        """
        due.finish(connection, self.row, self.due_at_ms)
        if self.watch_at_ms is not None:
            due.schedule(connection, WATCH, self.row.key, self.watch_at_ms)
        turn(connection, [self.turned])
        if self.noticed is not None:
            this = sa.update(connections).where(connections.c.id == self.row.key)
            connection.execute(this.values(noticed=self.noticed))
        if self.parent is not None:
            _be_part(connection, self.row.key, self.parent)
        if self.subscription is not None:
            _keep(connection, self.row.key, self.subscription)
        for grant, scopes, declined in self.allowed:
            told = {"scopes": sorted(scopes), "declined": sorted(declined)}
            with suppress(LeaseLost):  # newer tokens have told already what they allow
                change_grant(connection, grant.id, grant.version, told)
        for grant, reason in self.refused:
            _refuse(connection, grant, reason)
        if self.gap is not None:
            gaps.put(connection, [self.gap])


class Inspections:
    """What is known of subscriptions and consents, in one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def subscription(
        self, provider: str, account: bytes, connection_id: str
    ) -> Subscription | None:
        """The subscription of an account, by its route key, as it is for one of its connections."""
        own = looks.c.missing, looks.c.detail, looks.c.checked_at_ms
        looked = looks.c.connection == connection_id
        query = (
            sa.select(subscriptions.c.state, *own, subscriptions.c.ending)
            .outerjoin_from(subscriptions, looks, looked)
            .where(*_of(provider, account))
        )
        with self._database.read() as connection:
            row = connection.execute(query).first()
        if row is None:
            return None
        state = MISSING if row.detail and row.state != OFF else row.state
        return Subscription(state, row.missing or [], row.detail or "", *row[3:])

    def accepted(self, grant_ids: Collection[str]) -> str | None:
        """The version of the privacy policy that was accepted last; None: nobody was asked."""
        newest = sa.select(consents.c.policy).order_by(consents.c.at_ms.desc()).limit(1)
        with self._database.read() as connection:
            found: str | None = connection.scalar(newest.where(consents.c.grant.in_(grant_ids)))
            return found

    def asked(self, grant_ids: Collection[str]) -> Mapping[str, frozenset[str]]:
        """Every scope that was asked for, by grant."""
        query = sa.select(consents.c.grant, consents.c.asked).where(consents.c.grant.in_(grant_ids))
        found: dict[str, frozenset[str]] = {}
        with self._database.read() as connection:
            for grant, asked in connection.execute(query):
                found[grant] = found.get(grant, frozenset()) | frozenset(asked)
        return found


def _be_part(connection: sa.Connection, connection_id: str, of: NewParent) -> None:
    """From now on it gets what concerns its parent, and is one of those who use its subscription.
    Details that were sealed anew meanwhile are left for the next look.
    """
    same = (connections.c.id == connection_id, connections.c.sealed == of.was)
    mine = sa.update(connections).where(*same).values(sealed=of.sealed)
    if connection.execute(mine).rowcount == 1:
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        route = dialect.insert(routes).values(route=of.route, connection=connection_id)
        connection.execute(route.on_conflict_do_nothing())


def _keep(connection: sa.Connection, connection_id: str, seen: Seen) -> None:
    """As one of its users, which is what keeps anybody from ending it meanwhile."""
    sharing.join(connection, sharing.Account(seen.provider, seen.account))
    if seen.is_on is not None:
        state = ON if seen.is_on else MISSING
        other = sa.update(subscriptions).where(
            *_of(seen.provider, seen.account), subscriptions.c.state != state
        )
        connection.execute(other.values(state=state, changed_at_ms=now_ms()))
    found = {
        "missing": sorted(seen.missing),
        "detail": seen.detail,
        "checked_at_ms": seen.checked_at_ms,
    }
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    look = dialect.insert(looks).values(connection=connection_id, **found)
    connection.execute(look.on_conflict_do_update(index_elements=["connection"], set_=found))


def _refuse(connection: sa.Connection, grant: Grant, reason: str) -> None:
    refusal = {"refusal": reason, "asked_at_ms": None}
    try:
        change_grant(connection, grant.id, grant.version, refusal)
    except LeaseLost:
        raise Retryable("a grant has newer tokens than those that were refused") from None


def _of(provider: str, account: bytes) -> tuple[sa.ColumnElement[bool], ...]:
    return subscriptions.c.provider == provider, subscriptions.c.account == account
