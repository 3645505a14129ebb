"""Grants and how they stand: newer tokens, refusals, and the connections that they carry."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from contracts.errors import Conflict, LeaseLost, NotFound
from storage import due
from storage.connecting_schema import grant_names
from storage.connections import Connection, Grant
from storage.database import Database, now_ms
from storage.schema import connection_grants, connections, grants
from storage.schema import due as due_rows

REFRESH: Final = "refresh"
"""The kind of a grant's due row; its key is the grant's id."""

RECONCILE: Final = due.RECONCILE


class Renewal(NamedTuple):
    """Newer tokens of a grant whose version was `version`. `scopes` None: as they were."""

    grant: str
    version: int
    sealed: bytes
    obtained_at_ms: int
    expires_at_ms: int | None
    scopes: Collection[str] | None = None


class Turned(NamedTuple):
    """A connection with which something else is wrong than before, and what follows from it. It
    must still be as it was read, `was`.
    """

    was: Connection
    becomes: str
    reason: str
    causes: Mapping[str, str]
    missing: Sequence[str]


class Grants:
    """The grants of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, grant_id: str) -> Grant:
        """Raises `NotFound`."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(grants).where(grants.c.id == grant_id)).first()
        if row is None:
            raise NotFound(f"no grant {grant_id}")
        return Grant(*row)

    def find(self, tenant: str, login: str, subject: bytes) -> Grant | None:
        """The grant that somebody gave a tenant before: a new consent gives it newer tokens."""
        whose = sa.and_(
            grants.c.tenant == tenant, grants.c.login == login, grants.c.subject == subject
        )
        with self._database.read() as connection:
            row = connection.execute(sa.select(grants).where(whose)).first()
        return Grant(*row) if row else None

    def consented(self, grant: Grant, carries: Collection[str]) -> None:
        """Store what a consent gave: a new grant, or what a known one (by its id) has now; it
        carries these connections too.

        Whatever was refused before is over. A worker looks at it at once: it finds out when it is
        due, and says of connections that needed it that they work again.
        """
        with self._database.write() as connection:
            due.schedule(connection, REFRESH, grant.id, now_ms())
            # before the grant, as everywhere: who revokes or erases them holds them first
            locked = sa.select(connections.c.id).where(connections.c.id.in_(carries))
            connection.execute(locked.order_by(connections.c.id).with_for_update(read=True)).all()
            consented(connection, grant, carries)

    def carried(self, grant_id: str) -> Sequence[Connection]:
        """The connections of a grant, in order of their ids."""
        query = (
            sa.select(connections)
            .join(connection_grants, connection_grants.c.connection == connections.c.id)
            .where(connection_grants.c.grant == grant_id)
            .order_by(connections.c.id)
        )
        with self._database.read() as connection:
            return [Connection(*row) for row in connection.execute(query)]

    def carrying(self, connection_id: str) -> Sequence[str]:
        """The ids of the grants that carry a connection."""
        table = connection_grants
        query = sa.select(table.c.grant).where(table.c.connection == connection_id)
        with self._database.read() as connection:
            return [*connection.scalars(query.order_by(table.c.grant))]

    def of_connection(self, connection_id: str) -> Sequence[Grant]:
        """The grants that carry a connection, in order of their ids."""
        query = (
            sa.select(grants)
            .join(connection_grants, connection_grants.c.grant == grants.c.id)
            .where(connection_grants.c.connection == connection_id)
            .order_by(grants.c.id)
        )
        with self._database.read() as connection:
            return [Grant(*row) for row in connection.execute(query)]

    def alive_beside(self, grant_id: str) -> frozenset[str]:
        """The connections of a grant that another one, not refused, carries as well."""
        beside = connection_grants.alias()
        query = (
            sa.select(beside.c.connection)
            .join(connection_grants, connection_grants.c.connection == beside.c.connection)
            .join(grants, connection_grants.c.grant == grants.c.id)
            .where(beside.c.grant == grant_id, grants.c.id != grant_id, grants.c.refusal == "")
        )
        with self._database.read() as connection:
            return frozenset(connection.scalars(query))

    def asking(self, taken: due.Taken, grant: Grant) -> None:
        """Note, before the call, that a refresh which may spend the refresh token is begun: if its
        answer is lost, it is known why the next one is refused. Raises `LeaseLost`.
        """
        self._note(taken, grant, now_ms())

    def answered(self, taken: due.Taken, grant: Grant) -> None:
        """After `asking`: the provider said no without touching the refresh token. What `grant`
        said before of an earlier answer that was lost holds again. Raises `LeaseLost`.
        """
        self._note(taken, grant, grant.asked_at_ms)

    def _note(self, taken: due.Taken, grant: Grant, asked_at_ms: int | None) -> None:
        with self._database.write() as connection:
            due.check(connection, taken)
            change_grant(connection, grant.id, grant.version, {"asked_at_ms": asked_at_ms})


def consented(connection: sa.Connection, grant: Grant, carries: Collection[str]) -> None:
    """Within a transaction that holds the connections: store a grant as `Grants.consented` does."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    fresh = {
        "scopes": grant.scopes,
        "declined": grant.declined,
        "person": grant.person,
        "sealed": grant.sealed,
        "expires_at_ms": grant.expires_at_ms,
        "obtained_at_ms": grant.obtained_at_ms,
        "refusal": "",
        "asked_at_ms": None,
    }
    row = dialect.insert(grants).values({**grant._asdict(), **fresh})
    newer = {**fresh, "version": grants.c.version + 1}
    connection.execute(row.on_conflict_do_update(index_elements=["id"], set_=newer))
    link = dialect.insert(connection_grants).on_conflict_do_nothing()
    for carried in sorted(carries):
        connection.execute(link.values(connection=carried, grant=grant.id))


class Outcome(NamedTuple):
    """How a refresh ended, committed as the first step of a turn: with newer tokens, a refusal, or
    neither. The row is due again at `due_at_ms` (None: not by itself), and the connections `look`
    are looked at.
    """

    row: due.Taken
    due_at_ms: int | None
    turned: Sequence[Turned] = ()
    renewal: Renewal | None = None
    refused: tuple[Grant, str] | None = None
    look: Collection[str] = ()

    def commit(self, connection: sa.Connection) -> None:
        """Raises `LeaseLost` when the row is another's by now, or the tokens are newer ones, and
        `Conflict` when a connection has turned meanwhile: to be planned anew.
        """
        for looked_at in sorted(self.look):  # due rows in order of kind and key, as everywhere
            due.ask(connection, RECONCILE, looked_at, now_ms())
        due.finish(connection, self.row, self.due_at_ms)
        turn(connection, self.turned)
        if self.renewal is not None:
            _renew(connection, self.renewal)
        if self.refused is not None:
            grant, reason = self.refused
            refusal = {"refusal": reason, "asked_at_ms": None}
            change_grant(connection, grant.id, grant.version, refusal)


class Meanwhile(NamedTuple):
    """Connections that turn while the row stays its holder's, committed as a turn's first step."""

    row: due.Taken
    turned: Sequence[Turned]

    def commit(self, connection: sa.Connection) -> None:
        """Raises `LeaseLost | Conflict`, as `Outcome.commit`."""
        due.check(connection, self.row)
        turn(connection, self.turned)


def turn(connection: sa.Connection, changes: Sequence[Turned]) -> None:
    """Lock those connections, holding off every drain that writes for them, and change them.

    Raises `Conflict` when one is not as it was read.
    """
    ids = sorted(change.was.id for change in changes)
    if not ids:
        return
    columns = (connections.c.id, connections.c.status, connections.c.causes)
    locked = sa.select(*columns).where(connections.c.id.in_(ids)).order_by(connections.c.id)
    found = {
        id_: (status, causes)
        for id_, status, causes in connection.execute(locked.with_for_update())
    }
    for change in changes:
        was = change.was
        if found.get(was.id) != (was.status, dict(was.causes)):
            raise Conflict(f"connection {was.id} has changed")
        becomes: dict[str, object] = {
            "status": change.becomes,
            "status_reason": change.reason,
            "causes": dict(change.causes),
            "missing": list(change.missing),
        }
        if change.becomes != was.status:
            becomes["changed_at_ms"] = now_ms()
        mine = sa.update(connections).where(connections.c.id == was.id)
        connection.execute(mine.values(becomes))


def hold_refreshes(connection: sa.Connection, of: Collection[str] | sa.Select[tuple[str]]) -> None:
    """Within a transaction, before all other rows: whoever refreshes these grants commits first, or
    has lost its row. Nobody then waits for us who holds what we wait for.
    """
    theirs = sa.select(due_rows.c.key).where(due_rows.c.kind == REFRESH, due_rows.c.key.in_(of))
    connection.execute(theirs.order_by(due_rows.c.key).with_for_update()).all()


def remove_grants(connection: sa.Connection, ids: Sequence[str]) -> None:
    """Within a transaction that holds their refreshes (`hold_refreshes`): these grants are gone,
    with their tokens and all that goes by them.
    """
    connection.execute(sa.delete(connection_grants).where(connection_grants.c.grant.in_(ids)))
    connection.execute(sa.delete(grant_names).where(grant_names.c.grant.in_(ids)))
    refresh = due_rows.c.kind == REFRESH, due_rows.c.key.in_(ids)
    connection.execute(sa.delete(due_rows).where(*refresh))
    connection.execute(sa.delete(grants).where(grants.c.id.in_(ids)))


def let_go(connection: sa.Connection, connection_id: str) -> tuple[int, int]:
    """Within a transaction that holds their refreshes: a connection is carried by no grant any
    more, and those that carry no other are removed. How many these were, and how many were not.
    """
    links = connection_grants
    its = sa.select(links.c.grant).where(links.c.connection == connection_id)
    held = sa.select(grants.c.id).where(grants.c.id.in_(its)).order_by(grants.c.id)
    ids = list(connection.scalars(held.with_for_update()))
    connection.execute(sa.delete(links).where(links.c.connection == connection_id))
    used = set(connection.scalars(sa.select(links.c.grant).where(links.c.grant.in_(ids))))
    gone = [id_ for id_ in ids if id_ not in used]
    remove_grants(connection, gone)
    return len(gone), len(used)


def _renew(connection: sa.Connection, new: Renewal) -> None:
    """Newer tokens in place of the version that they came from."""
    values: dict[str, object] = {
        "sealed": new.sealed,
        "version": new.version + 1,
        "expires_at_ms": new.expires_at_ms,
        "obtained_at_ms": new.obtained_at_ms,
        "refusal": "",
        "asked_at_ms": None,
    }
    if new.scopes is not None:
        values["scopes"] = sorted(new.scopes)
    change_grant(connection, new.grant, new.version, values)


def change_grant(
    connection: sa.Connection, grant: str, version: int, values: Mapping[str, object]
) -> None:
    """Within a transaction. Raises `LeaseLost` when the grant's tokens are newer ones by now."""
    changed = sa.update(grants).where(*_unchanged(grant, version)).values(values)
    if connection.execute(changed).rowcount != 1:
        raise LeaseLost(f"grant {grant} has changed")


def _unchanged(grant: str, version: int) -> tuple[sa.ColumnElement[bool], ...]:
    return grants.c.id == grant, grants.c.version == version
