"""What tenants share at a provider: a person's consent, and an account's subscription.

Each is ended by its last live user alone. Whoever joins or leaves holds the row while deciding, so
that a connect which meets the last revocation either comes before its decision, or is refused.
Functions run within a transaction of their caller's; they lock people before accounts, and both
after connections.
"""

from typing import Final, Literal, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from contracts.errors import BeingRevoked
from storage.connecting_schema import LIVE, looks, people, subscriptions
from storage.database import now_ms
from storage.schema import connection_grants, connections, grants, routes

Decision = Literal["last", "shared", "another", "none"]
"""Who ends what is shared: we are its `last` user; it is still `shared`; `another` revocation is
ending it; there is `none` to end."""


class Person(NamedTuple):
    """Somebody's consent at a login; `person` is the deployment's hash of who."""

    login: str
    person: bytes


class Account(NamedTuple):
    """An account at a provider; `account` is the deployment's hash of it: its route key."""

    provider: str
    account: bytes


Shared = Person | Account


def join(connection: sa.Connection, shared: Shared, obtained_at_ms: int = 0) -> None:
    """Be a user of `shared` with the commit. `obtained_at_ms`: when its tokens were given.

    Raises `BeingRevoked` while its last user's revocation is ending it, and for tokens of a consent
    that was ended since they were given.
    """
    row = None
    while row is None:  # upkeep removes what nobody shared, between the one and the other
        _insert(connection, shared)
        row = connection.execute(_locked(shared)).first()
    if row.ending is not None:
        raise BeingRevoked("it is being disconnected just now")
    if isinstance(shared, Person) and (row.ended_at_ms or 0) >= obtained_at_ms > 0:
        raise BeingRevoked("it was disconnected just now")


def leave(connection: sa.Connection, shared: Shared, revocation: str) -> Decision:
    """Decide, for a connection that is live no more, whether `revocation` ends `shared`.

    Repeatable: a decision to end it stands until `ended` or `kept`.
    """
    row = connection.execute(_locked(shared)).first()
    if row is None:
        return "none"
    if row.ending == revocation:
        return "last"
    if row.ending is not None:
        return "another"
    if users(connection, shared):
        return "shared"
    connection.execute(_update(shared).values(ending=revocation))
    return "last"


def ended(connection: sa.Connection, shared: Shared, revocation: str) -> None:
    """The provider has ended it: who joins from now on begins anew."""
    values: dict[str, object] = {"ending": None}
    if isinstance(shared, Person):
        values["ended_at_ms"] = now_ms()
    else:
        values |= {"state": "off", "changed_at_ms": now_ms()}
        _forget_looks(connection, shared)
    mine = _update(shared).where(_table(shared).c.ending == revocation)
    connection.execute(mine.values(values))


def kept(connection: sa.Connection, shared: Shared, revocation: str) -> None:
    """It could not be ended, and will not be tried again."""
    mine = _update(shared).where(_table(shared).c.ending == revocation)
    connection.execute(mine.values(ending=None))


def users(connection: sa.Connection, shared: Shared, *, but: str = "") -> int:
    """How many live connections use it, without the connection `but`."""
    count = sa.select(sa.func.count(sa.distinct(connections.c.id)))
    live = count.where(connections.c.status.in_(LIVE), connections.c.id != but)
    if isinstance(shared, Account):
        using = (
            live.select_from(connections)
            .join(routes, routes.c.connection == connections.c.id)
            .where(routes.c.route == shared.account, connections.c.provider == shared.provider)
        )
    else:
        using = (
            live.select_from(connections)
            .join(connection_grants, connection_grants.c.connection == connections.c.id)
            .join(grants, connection_grants.c.grant == grants.c.id)
            .where(grants.c.login == shared.login, grants.c.person == shared.person)
        )
    return connection.scalar(using) or 0


def _table(shared: Shared) -> sa.Table:
    return people if isinstance(shared, Person) else subscriptions


def _which(shared: Shared) -> sa.ColumnElement[bool]:
    table = _table(shared)
    return sa.and_(*(table.c[name] == value for name, value in shared._asdict().items()))


def _locked(shared: Shared) -> sa.Select[tuple[object, ...]]:
    return sa.select(_table(shared)).where(_which(shared)).with_for_update()


def _update(shared: Shared) -> sa.Update:
    return sa.update(_table(shared)).where(_which(shared))


def _forget_looks(connection: sa.Connection, shared: Account) -> None:
    """What was found of a subscription that is no more."""
    having = sa.select(routes.c.connection).where(routes.c.route == shared.account)
    connection.execute(sa.delete(looks).where(looks.c.connection.in_(having)))


def _insert(connection: sa.Connection, shared: Shared) -> None:
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    values: dict[str, object] = shared._asdict()
    if isinstance(shared, Account):
        values |= _WANTED | {"changed_at_ms": now_ms()}
    connection.execute(dialect.insert(_table(shared)).values(values).on_conflict_do_nothing())


_WANTED: Final[dict[str, object]] = {"state": "wanted"}
