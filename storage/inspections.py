"""What a look at a connection found, written in one transaction; and what to look at it needs."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import Final, NamedTuple

import sqlalchemy as sa

from contracts.errors import LeaseLost
from storage import due, gaps, sharing
from storage.activity import WATCH
from storage.connecting_schema import consents, subscriptions
from storage.connections import Grant
from storage.database import Database, now_ms
from storage.due import Taken
from storage.gaps import Gap
from storage.grants import Turned, change_grant, turn
from storage.schema import connections

ON: Final = "on"
MISSING: Final = "missing"


class Subscription(NamedTuple):
    """How an account's subscription stands, as the provider showed it. `state`: `wanted`, `on`,
    `missing` (it, or some of its fields), `off` (ended by us). `checked_at_ms`: when it was last
    found to be all that we want. `ending`: the revocation that is about to end it.
    """

    provider: str
    account: bytes
    state: str
    missing: Sequence[str] = ()
    detail: str = ""
    ending: str | None = None
    checked_at_ms: int | None = None
    changed_at_ms: int = 0


class Allowed(NamedTuple):
    """What the provider says that a grant allows now, and what of that which was asked it does
    not.
    """

    grant: Grant
    scopes: Collection[str]
    declined: Collection[str]


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
    subscription: Subscription | None = None
    gap: Gap | None = None
    watch_at_ms: int | None = None
    noticed: str | None = None
    """The version of the privacy policy of which the same turn says that it is another one."""

    def commit(self, connection: sa.Connection) -> None:
        """Raises `LeaseLost` when the row is another's, or a grant that was refused has newer
        tokens, `Conflict` when the connection has changed, and `BeingRevoked`.
        """
        due.finish(connection, self.row, self.due_at_ms)
        if self.watch_at_ms is not None:
            due.schedule(connection, WATCH, self.row.key, self.watch_at_ms)
        turn(connection, [self.turned])
        if self.noticed is not None:
            this = sa.update(connections).where(connections.c.id == self.row.key)
            connection.execute(this.values(noticed=self.noticed))
        if self.subscription is not None:
            _keep(connection, self.subscription)
        for grant, scopes, declined in self.allowed:
            told = {"scopes": sorted(scopes), "declined": sorted(declined)}
            with suppress(LeaseLost):  # newer tokens have told already what they allow
                change_grant(connection, grant.id, grant.version, told)
        for grant, reason in self.refused:
            refusal = {"refusal": reason, "asked_at_ms": None}
            change_grant(connection, grant.id, grant.version, refusal)
        if self.gap is not None:
            gaps.put(connection, [self.gap])


class Inspections:
    """What is known of subscriptions and consents, in one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def subscription(self, provider: str, account: bytes) -> Subscription | None:
        """The subscription of an account, by its route key."""
        query = sa.select(subscriptions).where(*_of(provider, account))
        with self._database.read() as connection:
            row = connection.execute(query).first()
        return Subscription(*row) if row else None

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


def _keep(connection: sa.Connection, found: Subscription) -> None:
    """As one of its users, which is what keeps anybody from ending it meanwhile."""
    sharing.join(connection, sharing.Account(found.provider, found.account))
    changed = sa.case(
        (subscriptions.c.state != found.state, now_ms()), else_=subscriptions.c.changed_at_ms
    )
    values: dict[str, object] = {
        "state": found.state,
        "missing": sorted(found.missing),
        "detail": found.detail,
        "changed_at_ms": changed,
        "checked_at_ms": found.checked_at_ms,
    }
    mine = sa.update(subscriptions).where(*_of(found.provider, found.account))
    connection.execute(mine.values(values))


def _of(provider: str, account: bytes) -> tuple[sa.ColumnElement[bool], ...]:
    return subscriptions.c.provider == provider, subscriptions.c.account == account
