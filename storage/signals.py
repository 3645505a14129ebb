"""Signals: what providers told us about consents, stored before it is acknowledged."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from contracts.errors import NotFound
from storage import due
from storage.connecting_schema import consents, grant_names, signals
from storage.connections import Grant
from storage.database import Database, now_ms
from storage.grants import RECONCILE, Turned, change_grant, turn
from storage.revocations import remove_grants
from storage.schema import connection_grants, grants

SIGNAL: Final = "signal"
"""The kind of a signal's due row; its key is the signal's id."""

KEPT_MS: Final = 400 * 86_400_000
"""How long a signal is remembered: its person may ask with the code, and a repeated one is known.
"""


class Signal(NamedTuple):
    """A row of `signals`. `state`: received, done. `ended`: how many connections it ended."""

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

    def drop_old(self, at_ms: int) -> int:
        """Forget what was done with long ago; how many that were."""
        old = signals.c.finished_at_ms <= at_ms - KEPT_MS
        with self._database.write() as connection:
            return connection.execute(sa.delete(signals).where(old)).rowcount

    def _one(self, which: sa.ColumnElement[bool], missing: str) -> Signal:
        with self._database.read() as connection:
            row = connection.execute(sa.select(signals).where(which)).first()
        if row is None:
            raise NotFound(missing)
        return _read(row)


class Heeded(NamedTuple):
    """What came of a signal, committed as the first step of a turn: grants whose tokens are
    destroyed, with why; connections that turn with them; grants that are removed; connections to
    look at; and how many were ended.
    """

    row: due.Taken
    turned: Sequence[Turned] = ()
    refused: Sequence[tuple[Grant, str]] = ()
    removed: Sequence[str] = ()
    look: Sequence[str] = ()
    ended: int = 0

    def commit(self, connection: sa.Connection) -> None:
        """Raises `LeaseLost`, and `Conflict` when a connection has turned meanwhile."""
        for looked_at in sorted(self.look):  # due rows in order of kind and key, as everywhere
            due.ask(connection, RECONCILE, looked_at, now_ms())
        due.finish(connection, self.row, None)
        turn(connection, self.turned)
        for grant, reason in self.refused:
            empty = {"sealed": b"", "refusal": reason, "asked_at_ms": None}
            change_grant(connection, grant.id, grant.version, empty)
            theirs = grant_names.c.grant == grant.id, grant_names.c.kind != "user"
            connection.execute(sa.delete(grant_names).where(*theirs))
        remove_grants(connection, self.removed)
        done = {"state": "done", "ended": self.ended, "finished_at_ms": now_ms()}
        connection.execute(sa.update(signals).where(signals.c.id == self.row.key).values(done))


def look_at(connection: sa.Connection, named: Sequence[tuple[str, str, bytes]]) -> None:
    """Within a transaction: have the connections looked at that those named (login, kind of name,
    hash) carry.
    """
    for login, kind, name in sorted(set(named)):
        carried = (
            sa.select(connection_grants.c.connection)
            .join(grant_names, grant_names.c.grant == connection_grants.c.grant)
            .where(
                grant_names.c.login == login,
                grant_names.c.kind == kind,
                grant_names.c.name == name,
            )
            .order_by(connection_grants.c.connection)
        )
        for id_ in connection.scalars(carried).all():
            due.ask(connection, RECONCILE, id_, now_ms())


def _read(row: Any) -> Signal:
    signal = Signal(*row)
    return signal._replace(names=[(kind, bytes.fromhex(name)) for kind, name in row.names])
