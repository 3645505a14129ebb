"""What a consent makes, in one transaction: connections, the grants that carry them, the record.

A connection is known again by tenant, provider and account, and keeps its id for ever: one that
was revoked comes to life anew. Order of locks: due rows, connections, people, accounts, the rest.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from contracts.errors import BeingRevoked, Conflict, NotFound
from storage import connect_sessions, due, sharing
from storage.connect_sessions import CONNECTED, Session
from storage.connecting_schema import consents, grant_names
from storage.connections import Connection, Grant, new_id
from storage.database import Database, now_ms
from storage.grants import RECONCILE, REFRESH, consented, remove_grants
from storage.schema import connection_grants, connections, grants, routes


class Account(NamedTuple):
    """A connection as the consent wants it. One that is there already has its id; `route` is the
    route key of what is subscribed for it, `others` are route keys of what comes for it beside.
    """

    connection: Connection
    route: bytes
    others: Sequence[bytes] = ()


class Given(NamedTuple):
    """A grant of the consent, by its id where it is known already, with the connections that it
    carries and the names (kind and hash) by which the provider may speak of it.
    """

    grant: Grant
    carries: Collection[str]
    names: Collection[tuple[str, bytes]] = ()


class Made(NamedTuple):
    """All that one consent makes. `asked`: the scopes that were asked for."""

    session: Session
    person: bytes
    accounts: Sequence[Account]
    given: Sequence[Given]
    asked: Collection[str]


class Consenting:
    """Writes consents into one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def known(
        self, tenant: str, provider: str, accounts: Collection[bytes]
    ) -> Mapping[bytes, Connection]:
        """The connections that the tenant has, or had, of these accounts (their keyed hashes)."""
        c = connections.c
        theirs = (c.tenant == tenant, c.provider == provider, c.account.in_(accounts))
        with self._database.read() as connection:
            rows = connection.execute(sa.select(connections).where(*theirs))
            return {row.account: Connection(*row) for row in rows}

    def connect(self, made: Made) -> list[str]:
        """Write it all, and have workers look at once; returns the ids of the connections.

        Raises `NotFound` when the session is over or went another way meanwhile, `BeingRevoked`
        while what it needs is being ended, and `Conflict` when connections or grants that were new
        are there by now: to be made up again.
        """
        try:
            with self._database.write() as connection:
                return _connect(connection, made)
        except sa.exc.IntegrityError:
            raise Conflict("another consent came first") from None


def _connect(connection: sa.Connection, made: Made) -> list[str]:
    now, session = now_ms(), made.session
    ids = [account.connection.id for account in made.accounts]
    done: dict[str, object] = {"stage": CONNECTED, "sealed": None, "problem": ""}
    done |= {"connected": ids, "state_until_ms": now}
    if not connect_sessions.move(connection, session, done):
        raise NotFound("this connect session is over")
    dead = _dead(connection, made, ids)
    _have_looked_at(connection, made, dead, now)
    there = _locked(connection, ids, session)
    _share(connection, made)
    for account in made.accounts:
        _put(connection, account, there.get(account.connection.id), now)
    for given in made.given:
        consented(connection, given.grant, given.carries)
        _name(connection, given)
        _record(connection, made, given.grant, now)
    meanwhile = set(_dead(connection, made, ids))  # somebody may have given one of them anew
    _let_go(connection, ids, [id_ for id_ in dead if id_ in meanwhile])
    return ids


def _dead(connection: sa.Connection, made: Made, ids: Collection[str]) -> list[str]:
    """Grants of these connections that the provider takes no more, and that are not given anew:
    somebody else's.
    """
    links, anew = connection_grants, [given.grant.id for given in made.given]
    query = (
        sa.select(grants.c.id)
        .join(links, links.c.grant == grants.c.id)
        .where(links.c.connection.in_(ids), grants.c.refusal != "", grants.c.id.not_in(anew))
    )
    return sorted(set(connection.scalars(query)))


def _let_go(connection: sa.Connection, ids: Collection[str], dead: Sequence[str]) -> None:
    """The new consent carries them alone: what was refused before is no cause any more."""
    links = connection_grants
    theirs = sa.delete(links).where(links.c.grant.in_(dead), links.c.connection.in_(ids))
    connection.execute(theirs)
    used = set(connection.scalars(sa.select(links.c.grant).where(links.c.grant.in_(dead))))
    remove_grants(connection, [id_ for id_ in dead if id_ not in used])


def _have_looked_at(connection: sa.Connection, made: Made, dead: Sequence[str], now: int) -> None:
    """Tokens of new grants find out when they are due; what is pending gets its subscription. The
    rows of the dead are only held, since rows come before all else.
    """
    looks = [(REFRESH, id_) for id_ in (*dead, *(given.grant.id for given in made.given))]
    looks += [(RECONCILE, account.connection.id) for account in made.accounts]
    for kind, key in sorted(looks):
        (due.ask if kind == RECONCILE else due.schedule)(connection, kind, key, now)


def _locked(
    connection: sa.Connection, ids: Collection[str], session: Session
) -> dict[str, sa.Row[Any]]:
    """Those that are there already, held against drains and revocations. To consent once more does
    not bring back what was ended meanwhile.
    """
    ended = ("revoking",) if session.connection is None else ("revoking", "revoked")
    query = sa.select(connections).where(connections.c.id.in_(ids)).order_by(connections.c.id)
    found = {row.id: row for row in connection.execute(query.with_for_update())}
    if any(row.status in ended for row in found.values()):
        raise BeingRevoked("it is being disconnected just now")
    return found


def _share(connection: sa.Connection, made: Made) -> None:
    """Be a user of the person's consent and of the accounts' subscriptions."""
    obtained = min((given.grant.obtained_at_ms or 0 for given in made.given), default=0)
    person = sharing.Person(made.session.login, made.person)
    sharing.join(connection, person, obtained)
    for account in sorted(made.accounts, key=lambda account: account.route):
        sharing.join(connection, sharing.Account(account.connection.provider, account.route))


def _put(connection: sa.Connection, account: Account, row: sa.Row[Any] | None, now: int) -> None:
    new = account.connection
    if row is None:
        fresh = new._replace(status="pending", receives_from_ms=now)
        connection.execute(sa.insert(connections).values(fresh._asdict()))
    else:
        this = sa.update(connections).where(connections.c.id == new.id)
        connection.execute(this.values(_renewed(new, row, now)))
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    keys = [{"route": key, "connection": new.id} for key in (account.route, *account.others)]
    connection.execute(dialect.insert(routes).values(keys).on_conflict_do_nothing())


def _renewed(new: Connection, row: sa.Row[Any], now: int) -> dict[str, object]:
    """What a connection that is there becomes: one that was revoked begins anew, and gets nothing
    of what came in before; any other goes on, with the features that it had and those of now.
    """
    values: dict[str, object] = {"sealed": new.sealed}
    if row.status == "revoked":
        values |= {"status": "pending", "status_reason": "", "causes": {}, "changed_at_ms": now}
        anew = {"receives_from_ms": now, "features": new.features, "missing": new.missing}
        return values | anew
    if row.status == "pending":
        values["missing"] = new.missing
    return values | {"features": sorted({*row.features, *new.features})}


def _name(connection: sa.Connection, given: Given) -> None:
    """The names of the newest consent, in place of those that the grant had."""
    grant = given.grant
    connection.execute(sa.delete(grant_names).where(grant_names.c.grant == grant.id))
    rows = [
        {"login": grant.login, "kind": kind, "name": name, "grant": grant.id}
        for kind, name in sorted(set(given.names))
    ]
    if rows:
        connection.execute(sa.insert(grant_names), rows)


def _record(connection: sa.Connection, made: Made, grant: Grant, now: int) -> None:
    """What was asked, granted and declined, and under which policy."""
    row = {
        "id": new_id("cns"),
        "tenant": grant.tenant,
        "grant": grant.id,
        "login": grant.login,
        "features": sorted(made.session.features),
        "asked": sorted(made.asked),
        "granted": sorted(grant.scopes),
        "declined": sorted(grant.declined),
        "policy": made.session.policy,
        "at_ms": now,
    }
    connection.execute(sa.insert(consents).values(row))
