"""Signals: what providers told us about consents, stored before it is acknowledged."""

from collections.abc import Collection, Sequence
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from contracts.errors import NotFound
from storage import due
from storage.connecting_schema import consents, grant_names, signals
from storage.connections import Grant
from storage.database import Database, now_ms
from storage.grants import (
    RECONCILE,
    REFRESH,
    Turned,
    change_grant,
    hold_refreshes,
    remove_grants,
    turn,
)
from storage.schema import connection_grants, grants
from storage.schema import due as due_rows

SIGNAL: Final = "signal"
"""The kind of a signal's due row; its key is the signal's id."""

PERSON: Final = "person"
"""The kind of name that is the hash in `people`."""


class Signal(NamedTuple):
    """A row of `signals`. `state`: received, done. `ended`: how many connections it ended.
    `names`: hashes by kind of name; `person`, which no grant is named by, is that of `people`.
    `sealed`: with a code, who it is, until it is done.
    """

    id: str
    login: str
    kind: str
    once: bytes
    names: Sequence[tuple[str, bytes]]
    code: str | None
    state: str
    detail: str
    ended: int
    at_ms: int
    received_at_ms: int
    finished_at_ms: int | None
    sealed: bytes | None = None


class Signals:
    """The signals of one database. Methods raise `StoreUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def store(self, new: Signal) -> Signal:
        """Store it, for a worker to act on; the one that there is when it was told before."""
        dialect = postgresql if self._database.is_postgresql else sqlite
        named = [[kind, name.hex()] for kind, name in new.names]
        row = dialect.insert(signals).values(new._asdict() | {"names": named})
        added = row.on_conflict_do_nothing(index_elements=["once"]).returning(signals.c.id)
        with self._database.write() as connection:
            if connection.scalar(added) is not None:
                due.schedule(connection, SIGNAL, new.id, new.received_at_ms)
                return new
            known = sa.select(signals).where(signals.c.once == new.once)
            return _read(connection.execute(known).one())

    def get(self, signal_id: str) -> Signal:
        """Raises `NotFound`."""
        return self._one(signals.c.id == signal_id, f"no signal {signal_id}")

    def by_code(self, code: str) -> Signal:
        """Raises `NotFound`."""
        return self._one(signals.c.code == code, "no such code")

    def concerned(self, signal: Signal) -> Sequence[Grant]:
        """The grants that a signal names, in order of their ids: those to which nobody consented
        since it was said.
        """
        named = sa.or_(
            sa.false(),
            *(
                sa.and_(grant_names.c.kind == kind, grant_names.c.name == name)
                for kind, name in signal.names
            ),
        )
        latest = sa.select(sa.func.max(consents.c.at_ms)).where(consents.c.grant == grants.c.id)
        consented = sa.func.coalesce(latest.scalar_subquery(), grants.c.created_at_ms)
        meant = sa.select(grant_names.c.grant).where(grant_names.c.login == signal.login, named)
        query = (
            sa.select(grants)
            .where(grants.c.id.in_(meant), consented <= signal.at_ms)
            .order_by(grants.c.id)
        )
        with self._database.read() as connection:
            return [Grant(*row) for row in connection.execute(query)]

    def _one(self, which: sa.ColumnElement[bool], missing: str) -> Signal:
        with self._database.read() as connection:
            row = connection.execute(sa.select(signals).where(which)).first()
        if row is None:
            raise NotFound(missing)
        return _read(row)


class Heeded(NamedTuple):
    """What came of a signal, committed as the first step of a turn: grants whose tokens are
    destroyed, with why; connections that turn with them; grants that are removed; links (connection
    and grant) that are cut; connections to look at; and how many were ended.
    """

    row: due.Taken
    turned: Sequence[Turned] = ()
    refused: Sequence[tuple[Grant, str]] = ()
    removed: Sequence[str] = ()
    cut: Sequence[tuple[str, str]] = ()
    look: Collection[str] = ()
    ended: int = 0

    def commit(self, connection: sa.Connection) -> None:
        """Raises `LeaseLost` when the row is another's or a grant has newer tokens, and `Conflict`
        when a connection has turned meanwhile.
        """
        refused = [grant.id for grant, _ in self.refused]
        for looked_at in sorted(self.look):  # due rows in order of kind and key, as everywhere
            due.ask(connection, RECONCILE, looked_at, now_ms())
        hold_refreshes(connection, [*refused, *self.removed])
        due.finish(connection, self.row, None)
        turn(connection, self.turned)
        for grant, reason in self.refused:
            _destroy(connection, grant, reason)
        for cut, grant_id in self.cut:
            link = connection_grants.c.connection == cut, connection_grants.c.grant == grant_id
            connection.execute(sa.delete(connection_grants).where(*link))
        remove_grants(connection, self.removed)
        done: dict[str, object] = {"state": "done", "ended": self.ended, "sealed": None}
        done["finished_at_ms"] = now_ms()
        connection.execute(sa.update(signals).where(signals.c.id == self.row.key).values(done))


def _destroy(connection: sa.Connection, grant: Grant, reason: str) -> None:
    """Its tokens are gone, and so is its refresh; whoever is at one comes too late with another
    version.
    """
    empty = {"sealed": b"", "refusal": reason, "asked_at_ms": None, "version": grant.version + 1}
    change_grant(connection, grant.id, grant.version, empty)
    theirs = grant_names.c.grant == grant.id, grant_names.c.kind != "user"
    connection.execute(sa.delete(grant_names).where(*theirs))
    refresh = due_rows.c.kind == REFRESH, due_rows.c.key == grant.id
    connection.execute(sa.delete(due_rows).where(*refresh))


def look_at(
    connection: sa.Connection,
    named: Sequence[tuple[str, str, bytes]],
    connection_ids: Collection[str] = (),
) -> None:
    """Within a transaction: have those connections looked at, and the ones that those named (login,
    kind of name, hash) carry.
    """
    carried = set(connection_ids)
    for login, kind, name in set(named):
        its = (
            sa.select(connection_grants.c.connection)
            .join(grant_names, grant_names.c.grant == connection_grants.c.grant)
            .where(
                grant_names.c.login == login,
                grant_names.c.kind == kind,
                grant_names.c.name == name,
            )
        )
        carried |= set(connection.scalars(its))
    for id_ in sorted(carried):
        due.ask(connection, RECONCILE, id_, now_ms())


def _read(row: Any) -> Signal:
    signal = Signal(*row)
    return signal._replace(names=[(kind, bytes.fromhex(name)) for kind, name in row.names])
