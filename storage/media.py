"""Media rows: each goes from waiting (or uploading) to stored or failed, and in the end to ended.

The row's due row (`MEDIA`, of the same id) is what moves it on: it fetches, and later deletes. So
one worker at a time is at an object, and nothing is deleted while it is written.
"""

from collections.abc import Collection, Sequence
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from contracts.errors import Conflict, Gone, LeaseLost, NotFound, NotStored
from storage import due
from storage.database import Database, now_ms
from storage.media_schema import (
    ENDED,
    ENDING,
    FAILED,
    STORED,
    UPLOADING,
    WAITING,
    media,
)
from storage.schema import connections
from storage.schema import due as due_rows
from storage.turns import NewMedia

MEDIA: Final = "media"
"""The kind of the due row; its key is the row's id."""

_GONE: Final = (ENDING, ENDED)


class MediaRow(NamedTuple):
    """A row of the table; see `storage.media_schema`."""

    id: str
    attachment: str
    tenant: str
    connection: str | None
    contact: bytes | None
    state: str
    size: int | None
    reason: str
    sealed: bytes
    created_at_ms: int
    changed_at_ms: int
    object: str | None


class Outcome(NamedTuple):
    """What became of a row that waited: stored, with its size, or failed, and why. `due_at_ms`:
    when it ends by itself.
    """

    state: str
    sealed: bytes
    size: int | None
    reason: str
    due_at_ms: int


class Settled(NamedTuple):
    """`Turn.first` of the turn that says in the feed what became of a row."""

    row: due.Taken
    connection: str
    outcome: Outcome

    def commit(self, connection: sa.Connection) -> None:
        """Raises `LeaseLost`, also when the row was ended meanwhile."""
        due.finish(connection, self.row, self.outcome.due_at_ms)
        its = sa.select(connections.c.id).where(connections.c.id == self.connection)
        connection.execute(its.with_for_update(read=True)).all()
        values = self.outcome._asdict() | {"changed_at_ms": now_ms()}
        del values["due_at_ms"]
        if self.outcome.state == FAILED:
            values["object"] = None
        this = sa.update(media).where(media.c.id == self.row.key, media.c.state == WAITING)
        if connection.execute(this.values(values)).rowcount != 1:
            raise LeaseLost(f"media {self.row.key} was ended")


class MediaRows:
    """The media of one database. Methods raise `StoreUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.due = due.DueRows(database)

    def get(self, id: str) -> MediaRow | None:  # noqa: A002 (the column's name)
        """The row with an id."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(media).where(media.c.id == id)).first()
        return MediaRow(*row) if row else None

    def of_attachment(self, attachment: str, tenant: str | None) -> MediaRow | None:
        """The row of an attachment; for all tenants the one that is stored, if any is: their bytes
        are the same.
        """
        query = sa.select(media).where(media.c.attachment == attachment)
        if tenant is not None:
            query = query.where(media.c.tenant == tenant)
        with self._database.read() as connection:
            rows = [MediaRow(*row) for row in connection.execute(query.order_by(media.c.id))]
        return next((row for row in rows if row.state == STORED), rows[0] if rows else None)

    def known(self, objects: Collection[str]) -> set[str]:
        """Those of `objects` that a row names."""
        query = sa.select(media.c.object).where(media.c.object.in_(objects))
        with self._database.read() as connection:
            return set(connection.scalars(query))

    def begin_fetch(self, row: due.Taken, name: str) -> None:
        """Before the first byte: what the row's object will be called. Raises `LeaseLost`, also
        when the row was ended meanwhile.
        """
        this = sa.update(media).where(media.c.id == row.key, media.c.state == WAITING)
        with self._database.write() as connection:
            due.check(connection, row)
            if connection.execute(this.values(object=name)).rowcount != 1:
                raise LeaseLost(f"media {row.key} was ended")

    def begin_upload(self, new: NewMedia, name: str, due_at_ms: int) -> None:
        """Before the first byte of the object `name`: a row that ends by itself unless the upload
        does.
        """
        values = _values(new, UPLOADING) | {"object": name}
        with self._database.write() as connection:
            connection.execute(sa.insert(media).values(values))
            due.schedule(connection, MEDIA, new.id, due_at_ms)

    def end_upload(self, outcome: Outcome, id: str) -> None:  # noqa: A002
        """It is whole. Raises `Conflict` when it took so long that it was ended."""
        values = outcome._asdict() | {"changed_at_ms": now_ms()}
        del values["due_at_ms"]
        this = sa.update(media).where(media.c.id == id, media.c.state == UPLOADING)
        with self._database.write() as connection:
            if connection.execute(this.values(values)).rowcount != 1:
                raise Conflict("the upload took too long")
            due.schedule(connection, MEDIA, id, outcome.due_at_ms)

    def begin_end(self, row: due.Taken, reason: str) -> None:
        """From now on nobody is given it. Raises `LeaseLost`."""
        values = {"state": ENDING, "reason": reason, "changed_at_ms": now_ms()}
        this = sa.update(media).where(media.c.id == row.key, media.c.state.not_in(_GONE))
        with self._database.write() as connection:
            due.check(connection, row)
            connection.execute(this.values(values))

    def ended(self, row: due.Taken, due_at_ms: int) -> None:
        """Its object is deleted. What is left says until then that it was here. Raises
        `LeaseLost`.
        """
        none = {"sealed": b"", "contact": None, "object": None}
        values = {"state": ENDED, "changed_at_ms": now_ms(), **none}
        with self._database.write() as connection:
            due.finish(connection, row, due_at_ms)
            connection.execute(sa.update(media).where(media.c.id == row.key).values(values))

    def remove(self, row: due.Taken) -> None:
        """Nothing is left to be said. Raises `LeaseLost`."""
        with self._database.write() as connection:
            due.check(connection, row)
            connection.execute(sa.delete(media).where(media.c.id == row.key))
            connection.execute(
                sa.delete(due_rows).where(due_rows.c.kind == MEDIA, due_rows.c.key == row.key)
            )

    def hurry_ending(self) -> int:
        """Have those that were ended, and would be looked at later, looked at now; how many. One
        that a worker is at comes due again after that.
        """
        d, at = due_rows.c, now_ms()
        ending = sa.select(media.c.id).where(media.c.state == ENDING)
        later = (d.kind == MEDIA, d.due_at_ms > at, d.attempts == 0, d.crashes == 0)
        keys = sa.select(d.key).where(*later, d.key.in_(ending)).with_for_update(skip_locked=True)
        held = d.ticket.is_not(None)
        soon = {
            "due_at_ms": sa.case((held, d.due_at_ms), else_=at),
            "again_at_ms": sa.case((held, at), else_=d.again_at_ms),
        }
        asked = sa.update(due_rows).where(d.kind == MEDIA, d.key.in_(keys)).values(soon)
        with self._database.write() as connection:
            return connection.execute(asked).rowcount


def stored(row: MediaRow | None) -> MediaRow:
    """`row` if its bytes are to be had. Raises `NotFound`, `NotStored`, and `Gone` with why."""
    if row is None:
        raise NotFound("no such attachment")
    if row.state in (WAITING, UPLOADING):
        raise NotStored("it is not stored yet")
    if row.state != STORED:
        raise Gone(row.reason)
    return row


def arrive(connection: sa.Connection, rows: Sequence[NewMedia]) -> None:
    """Within a drain's transaction: rows that wait, each with its due row; what is there stays."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    at = now_ms()
    new = sorted((_values(row, WAITING) for row in rows), key=lambda row: row["id"])
    connection.execute(insert(media).on_conflict_do_nothing(), new)
    dues = [{"kind": MEDIA, "key": row["id"], "due_at_ms": at} for row in new]
    connection.execute(insert(due_rows).on_conflict_do_nothing(), dues)


def end(connection: sa.Connection, which: sa.ColumnElement[bool], reason: str) -> int:
    """Within a transaction that holds their connections off: nobody is given them any more, and
    `MediaRows.hurry_ending` has their objects deleted. Returns how many they are.

    Their due rows are not touched here: a fetch holds its own before the connection.
    """
    values: dict[str, Any] = {"state": ENDING, "reason": reason, "changed_at_ms": now_ms()}
    this = sa.update(media).where(which, media.c.state.not_in(_GONE))
    return connection.execute(this.values(values)).rowcount


def _values(new: NewMedia, state: str) -> dict[str, Any]:
    at = now_ms()
    row = new._asdict() | {"state": state, "created_at_ms": at, "changed_at_ms": at}
    del row["message"]
    return row
