"""Connections, their route keys and the grants that carry them."""

import base64
import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from contracts.errors import Conflict, NotFound
from storage import due
from storage.database import Database, now_ms
from storage.schema import connection_grants, connections, grants, routes

ADOPT_MS: Final = 72 * 3_600_000
"""How far back a connection made by an operator is given what came in unrouted."""

_ACCOUNT: Final = ["tenant", "provider", "account"]
_FIRST_LOOK_MS: Final = 5_000
"""How soon a connection made by hand is first looked at: the next command may change it."""
_ADD_LOCK: Final = 7_215_005
"""Advisory lock, so that of two tenants that connect an account at once one comes second."""


class Connection(NamedTuple):
    """A connection's row. `account` is a keyed hash; `sealed` holds what is readable by the
    tenant's key: the account's id at the provider and its name. It receives what came in from
    `receives_from_ms` on. `features`: those chosen (none: made by hand, nobody chose), `missing`:
    those of them that do not work now. `causes`: what is wrong with it, by kind, in words; its
    status and `status_reason` follow from them (`workers.standing`). `noticed`: the version of the
    privacy policy of which the feed has said that its owner accepted another one.
    """

    id: str
    tenant: str
    provider: str
    account: bytes
    sealed: bytes
    status: str
    status_reason: str
    created_at_ms: int
    changed_at_ms: int
    receives_from_ms: int
    features: Sequence[str] = ()
    missing: Sequence[str] = ()
    causes: Mapping[str, str] = {}
    noticed: str = ""


class Grant(NamedTuple):
    """What one consent gave: `subject` is a keyed hash of whose it is, `sealed` its tokens.

    `version` counts their changes. `refusal` says why the provider takes them no more, until the
    owner consents again. `asked_at_ms`: a refresh that may spend the refresh token was begun then,
    and its answer is not here. `declined`: scopes that were asked for and not given. `person`:
    whose it is in the whole deployment, None for a token brought by hand.
    """

    id: str
    tenant: str
    login: str
    subject: bytes
    scopes: Sequence[str]
    sealed: bytes
    version: int
    created_at_ms: int
    expires_at_ms: int | None = None
    obtained_at_ms: int | None = None
    refusal: str = ""
    asked_at_ms: int | None = None
    declined: Sequence[str] = ()
    person: bytes | None = None


class Granted(NamedTuple):
    """What those grants of one connection that the provider takes give it together: scopes, the end
    and the age of the tokens that need attention first, and scopes that were asked for and not
    given.
    """

    scopes: frozenset[str]
    expires_at_ms: int | None
    obtained_at_ms: int | None
    declined: frozenset[str]


def new_id(prefix: str) -> str:
    """A fresh random id: prefix, underscore, 20 characters of base32."""
    return f"{prefix}_{base64.b32encode(secrets.token_bytes(12)).decode().rstrip('=').lower()}"


class Connections:
    """Stores connections of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, new: Connection, route_keys: Iterable[bytes], grant: Grant | None) -> Connection:
        """Store `new` with its routes and grant; with one it is looked at from now on. Raises
        `Conflict` when the tenant has this account.

        What came in unrouted before is the new connection's only when no other tenant ever had one
        of its routes.
        """
        keys = sorted(set(route_keys))
        insert = (postgresql if self._database.is_postgresql else sqlite).insert(connections)
        with self._database.write() as connection:
            if self._database.is_postgresql:
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ADD_LOCK)))
            shared = sa.select(routes.c.connection).where(routes.c.route.in_(keys))
            others = sa.select(connections.c.id).where(
                connections.c.id.in_(shared), connections.c.tenant != new.tenant
            )
            if connection.scalar(others.limit(1)):
                new = new._replace(receives_from_ms=new.created_at_ms)
            added = insert.values(**new._asdict()).on_conflict_do_nothing(index_elements=_ACCOUNT)
            if connection.execute(added.returning(connections.c.id)).first() is None:
                raise Conflict("this account is already connected for the tenant")
            for key in keys:
                connection.execute(sa.insert(routes).values(route=key, connection=new.id))
            if grant is not None:
                connection.execute(sa.insert(grants).values(**grant._asdict()))
                link = sa.insert(connection_grants).values(connection=new.id, grant=grant.id)
                connection.execute(link)
                due.ask(connection, due.RECONCILE, new.id, now_ms() + _FIRST_LOOK_MS)
        return new

    def get(self, connection_id: str) -> Connection:
        """Raises `NotFound`."""
        with self._database.read() as connection:
            row = connection.execute(
                sa.select(connections).where(connections.c.id == connection_id)
            ).first()
        if row is None:
            raise NotFound(f"no connection {connection_id}")
        return Connection(*row)

    def some(self, ids: Collection[str]) -> "Sequence[Connection]":
        """Those of `ids` that there are, in order of their ids."""
        query = sa.select(connections).where(connections.c.id.in_(ids)).order_by(connections.c.id)
        with self._database.read() as connection:
            return [Connection(*row) for row in connection.execute(query)]

    def list(
        self,
        *,
        tenant: str | None = None,
        provider: str | None = None,
        status: str | None = None,
        after: str | None = None,
        limit: int | None = None,
    ) -> Sequence[Connection]:
        """Oldest first; the filters narrow it. `after` is the last id of the page before.

        Raises `NotFound` when `after` names no connection, or one of another tenant.
        """
        wanted = {"tenant": tenant, "provider": provider, "status": status}
        conditions = [connections.c[name] == value for name, value in wanted.items() if value]
        order = connections.c.created_at_ms, connections.c.id
        if after is not None:
            last = self.get(after)
            if tenant not in (None, last.tenant):
                raise NotFound(f"no connection {after}")
            conditions.append(sa.tuple_(*order) > sa.tuple_(last.created_at_ms, last.id))
        query = sa.select(connections).where(*conditions).order_by(*order).limit(limit)
        with self._database.read() as connection:
            return [Connection(*row) for row in connection.execute(query)]

    def tenants(self, limit: int) -> Sequence[str]:
        """At most `limit` tenants that have connections, those of the oldest first."""
        oldest = sa.func.min(connections.c.created_at_ms)
        query = sa.select(connections.c.tenant).group_by(connections.c.tenant).order_by(oldest)
        with self._database.read() as connection:
            return [*connection.scalars(query.limit(limit))]

    def by_route(self, keys: Collection[bytes]) -> Mapping[bytes, Sequence[Connection]]:
        """The connections of each route key that has any, oldest first."""
        joined = sa.select(routes.c.route, connections).join(
            routes, routes.c.connection == connections.c.id
        )
        found: dict[bytes, list[Connection]] = {}
        with self._database.read() as connection:
            wanted = joined.where(_one_of(connection, routes.c.route, keys))
            for key, *row in connection.execute(wanted.order_by(connections.c.created_at_ms)):
                found.setdefault(key, []).append(Connection(*row))
        return found

    def granted(self, ids: Collection[str]) -> Mapping[str, Granted]:
        """Those of `ids` that can call out, and what is known of their grants."""
        found: dict[str, list[Granted]] = {}
        state = (
            grants.c.scopes,
            grants.c.expires_at_ms,
            grants.c.obtained_at_ms,
            grants.c.declined,
        )
        query = (
            sa.select(connection_grants.c.connection, *state)
            .join(grants, connection_grants.c.grant == grants.c.id)
            .where(connection_grants.c.connection.in_(ids), grants.c.refusal == "")
        )
        with self._database.read() as connection:
            for id_, scopes, expires, obtained, declined in connection.execute(query):
                one = Granted(frozenset(scopes), expires, obtained, frozenset(declined))
                found.setdefault(id_, []).append(one)
        return {id_: _together(several) for id_, several in found.items()}

    def set_status(
        self, connection_id: str, status: str, reason: str, causes: Mapping[str, str] | None = None
    ) -> None:
        """Change the status, holding off every drain that writes for it. Raises `NotFound`."""
        with self._database.write() as connection:
            locked = (
                sa.select(connections.c.id)
                .where(connections.c.id == connection_id)
                .with_for_update()
            )
            if connection.scalar(locked) is None:
                raise NotFound(f"no connection {connection_id}")
            values: dict[str, Any] = {
                "status": status,
                "status_reason": reason,
                "causes": causes or {},
                "changed_at_ms": now_ms(),
            }
            connection.execute(
                sa.update(connections).where(connections.c.id == connection_id).values(values)
            )


def locked_status(connection: sa.Connection, connection_id: str) -> str:
    """A connection's status, which stays until the commit: drains of it wait. Raises `NotFound`."""
    query = sa.select(connections.c.status).where(connections.c.id == connection_id)
    status: str | None = connection.scalar(query.with_for_update())
    if status is None:
        raise NotFound(f"no connection {connection_id}")
    return status


def _together(several: Sequence[Granted]) -> Granted:
    scopes, expires, obtained, declined = zip(*several, strict=True)
    given = frozenset[str]().union(*scopes)
    not_given = frozenset[str]().union(*declined) - given
    return Granted(given, _earliest(expires), _earliest(obtained), not_given)


def _earliest(times: Iterable[int | None]) -> int | None:
    return min((at for at in times if at is not None), default=None)


def _one_of(
    connection: sa.Connection, column: sa.ColumnElement[bytes], values: Collection[bytes]
) -> sa.ColumnElement[bool]:
    """`column` is one of `values`; for 1,000 values an array takes PostgreSQL's driver 2.9 ms,
    a list of parameters 3.6.
    """
    if connection.dialect.name == "postgresql":
        return column == sa.any_(sa.literal(list(values), postgresql.ARRAY(sa.LargeBinary)))
    return column.in_(values)
