"""Pauses: who paused a connection, what waits for it, and the way back.

While a connection is paused its items wait, parked with the reason `paused`. Resuming is a job: it
appends what waits, in order, while the connection stays paused, so that what comes meanwhile waits
behind it; the status changes in a transaction that has seen that nothing is left.
"""

from collections.abc import Collection, Sequence
from typing import Any, Final, Literal, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from contracts.causes import PAUSED
from contracts.errors import Conflict, Paused
from storage import due, lookups
from storage.connecting_schema import pauses
from storage.connections import Connection, locked_status
from storage.database import Database, now_ms
from storage.grants import RECONCILE, Turned, turn
from storage.schema import connections, parked
from storage.turns import Park

PAUSE: Final = "pause"
"""The kind of a pause's due row; its key is the connection's id."""

RESUMING: Final = "resuming"

_NEVER: Final = {
    "pending": "it is being set up: pause it when it is active",
    "revoking": "it is being revoked",
    "revoked": "it is revoked",
}
"""Statuses that cannot be paused, and why."""


class Pause(NamedTuple):
    """A row of `pauses`; `said`: the feed has told of it."""

    connection: str
    state: Literal["paused", "resuming"]
    reason: str
    requested_by: str
    at_ms: int
    said: bool


class Waits(NamedTuple):
    """How many items wait for a paused connection, and when the oldest of them came in."""

    items: int
    oldest_ms: int | None


def require_unpaused(connection: Connection) -> None:
    """For whoever is about to call a provider for a connection, or to order that. Raises
    `Paused`.
    """
    if connection.status == PAUSED:
        raise Paused("the connection is paused: resume it first")


class Pauses:
    """The pauses of one database. Methods raise `StoreUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def order(self, connection_id: str, *, reason: str, by: str) -> Pause:
        """Have what comes in wait from the commit on; a worker tells the feed. One that is paused
        already stays as it is, and one that is being resumed is paused again.

        Raises `NotFound`, and `Conflict` for one that is being set up, or was ended.
        """
        now = now_ms()
        with self._database.write() as connection:
            due.ask(connection, PAUSE, connection_id, now)  # due rows before connections
            status = locked_status(connection, connection_id)
            if status in _NEVER:
                raise Conflict(_NEVER[status])
            if status == PAUSED:
                return self._again(connection, connection_id, PAUSED)
            new = Pause(connection_id, "paused", reason, by, now, said=False)
            _put(connection, new)
            this = sa.update(connections).where(connections.c.id == connection_id)
            becomes = {"status": PAUSED, "status_reason": reason, "changed_at_ms": now}
            connection.execute(this.values(becomes))
            return new

    def resume(self, connection_id: str) -> Pause | None:
        """Have a worker append what waits, and then lift the pause; None for one that is not
        paused. Raises `NotFound`, and `Conflict` for one that was ended.
        """
        with self._database.write() as connection:
            due.ask(connection, PAUSE, connection_id, now_ms())
            status = locked_status(connection, connection_id)
            if status == PAUSED:
                return self._again(connection, connection_id, RESUMING)
            if status in ("revoking", "revoked"):
                raise Conflict(_NEVER[status])
            return None

    def of(self, connection_id: str) -> Pause | None:
        """The pause of a connection that is paused now."""
        query = (
            sa.select(pauses)
            .join(connections, connections.c.id == pauses.c.connection)
            .where(pauses.c.connection == connection_id, connections.c.status == PAUSED)
        )
        with self._database.read() as connection:
            row = connection.execute(query).first()
        return Pause(*row) if row else None

    def waiting(self, connection_id: str, limit: int) -> Sequence[Park]:
        """The oldest items that wait, in order: ids sort as their items do."""
        columns = [parked.c[name] for name in Park._fields]
        query = sa.select(*columns).where(*_waits(connection_id)).order_by(parked.c.id)
        with self._database.read() as connection:
            return [Park(*row) for row in connection.execute(query.limit(limit))]

    def waits(self, connection_id: str) -> Waits:
        """How much waits."""
        query = sa.select(sa.func.count(), sa.func.min(parked.c.received_at_ms))
        with self._database.read() as connection:
            return Waits(*connection.execute(query.where(*_waits(connection_id))).one())

    def _again(self, connection: sa.Connection, connection_id: str, state: Any) -> Pause:
        """One that is paused goes this way now; it may have no row, of a restored database."""
        this = pauses.c.connection == connection_id
        row = connection.execute(sa.select(pauses).where(this)).first()
        known = Pause(*row) if row else Pause(connection_id, state, "", "", now_ms(), said=True)
        _put(connection, known._replace(state=state))
        return known._replace(state=state)


class Said(NamedTuple):
    """The feed tells of a pause, committed as the first step of a turn; the row stays ours."""

    row: due.Taken

    def commit(self, connection: sa.Connection) -> None:
        """Raises `LeaseLost`."""
        due.check(connection, self.row)
        this = sa.update(pauses).where(pauses.c.connection == self.row.key)
        connection.execute(this.values(said=True))


class Batch(NamedTuple):
    """Some of what waits is appended, committed as the first step of a turn; the row stays ours."""

    row: due.Taken

    def commit(self, connection: sa.Connection) -> None:
        """Raises `LeaseLost`, and `Conflict` when it was paused again, or ended, meanwhile."""
        due.check(connection, self.row)
        held = sa.select(connections.c.id).where(connections.c.id == self.row.key)
        connection.execute(held.with_for_update(read=True)).all()
        _check_resuming(connection, self.row.key)


class Lifted(NamedTuple):
    """The last of what waits (`parks`, by id) is appended and the connection turns, committed as
    the first step of a turn; it is looked at then, for nobody may have seen what changed.
    """

    row: due.Taken
    turned: Turned
    parks: Collection[str]

    def commit(self, connection: sa.Connection) -> None:
        """Raises `LeaseLost`, and `Conflict` when more waits by now, when it was paused again or
        ended, or something else is wrong with it.
        """
        id_ = self.row.key
        for lookup in lookups.of_connection(connection, id_):  # due rows in order, as everywhere
            due.ask(connection, lookups.LOOKUP, lookup, now_ms())
        due.end_unless_asked(connection, self.row)
        due.ask(connection, RECONCILE, id_, now_ms())
        turn(connection, [self.turned])
        _check_resuming(connection, id_)
        others = sa.select(parked.c.id).where(*_waits(id_), parked.c.id.not_in(self.parks))
        if connection.scalar(others.limit(1)) is not None:
            raise Conflict("more waits by now")
        forget(connection, id_)


def forget(connection: sa.Connection, connection_id: str) -> None:
    """Within a transaction that holds the connection: it is paused no more."""
    connection.execute(sa.delete(pauses).where(pauses.c.connection == connection_id))


def _check_resuming(connection: sa.Connection, connection_id: str) -> None:
    state = sa.select(pauses.c.state).where(pauses.c.connection == connection_id)
    if connection.scalar(state) != RESUMING:
        raise Conflict("it is not being resumed any more")


def _waits(connection_id: str) -> tuple[sa.ColumnElement[bool], ...]:
    return parked.c.connection == connection_id, parked.c.reason == PAUSED


def _put(connection: sa.Connection, pause: Pause) -> None:
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    row = dialect.insert(pauses).values(pause._asdict())
    connection.execute(
        row.on_conflict_do_update(index_elements=["connection"], set_=pause._asdict())
    )
