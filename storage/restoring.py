"""What a database needs after it came back from a backup."""

from typing import Final

import sqlalchemy as sa

from contracts.errors import OutcomeUnknown
from storage import due
from storage.database import Database, now_ms
from storage.outbox import SETTLE
from storage.schema import connections, inbox, leases, messages
from storage.sending_schema import OPEN, sends

_NUMBERED: Final = (("inbox", "id"), ("messages", "position"))

_RESTORED: Final = "the database was restored: it may have been sent since the backup"
_WAIT_MS: Final = 900_000
"""So long the provider's word is waited for, as for every unknown outcome."""
_CHUNK: Final = 1_000


def held_leases(database: Database) -> int:
    """How many leases have not run out by the database's clock: as many workers are at work, or
    were when the backup was made, a moment ago.
    """
    held = sa.select(sa.func.count()).where(leases.c.until_ms > database.clock_ms())
    with database.read() as connection:
        return connection.scalar(held) or 0


def newest_ms(database: Database) -> int | None:
    """When the restored database last changed, as far as its rows tell; None when it is empty."""
    newest = (
        sa.select(messages.c.appended_at_ms).order_by(messages.c.position.desc()).limit(1),
        sa.select(sa.func.max(inbox.c.received_at_ms)),
        sa.select(sa.func.max(connections.c.changed_at_ms)),
    )
    with database.read() as connection:
        return max(filter(None, map(connection.scalar, newest)), default=None)


def close_sends(database: Database) -> int:
    """Send nothing again: what was still to go out may have gone out since the backup. It is
    unknown, and will be said to be so unless the provider's word comes; returns how many.
    """
    closed = 0
    opened = sa.select(sends.c.id).where(sends.c.state.in_(OPEN)).order_by(sends.c.id)
    values = {"state": "unknown", "reason": OutcomeUnknown.reason, "detail": _RESTORED}
    while True:
        with database.write() as connection:
            ids = connection.scalars(opened.limit(_CHUNK)).all()
            for id_ in ids:
                due.ask(connection, SETTLE, id_, now_ms() + _WAIT_MS)
            these = sa.update(sends).where(sends.c.id.in_(ids))
            connection.execute(these.values(**values, changed_at_ms=now_ms()))
        closed += len(ids)
        if len(ids) < _CHUNK:
            return closed


def advance_numbers(database: Database) -> dict[str, int]:
    """Make every number given from now on higher than those in use; returns them by table.

    An item below its lane's mark would never be drained, a position given twice is refused.
    """
    highest = {
        "inbox": sa.select(sa.func.max(inbox.c.id)),
        "messages": sa.select(sa.func.max(messages.c.position)),
    }
    mark = sa.select(sa.func.max(leases.c.mark)).where(leases.c.kind == "lane")
    reached: dict[str, int] = {}
    with database.write() as connection:
        for table, column in _NUMBERED:
            used = connection.scalar(highest[table]) or 0
            if table == "inbox":
                used = max(used, connection.scalar(mark) or 0)
            give = _postgresql if database.is_postgresql else _sqlite
            reached[table] = give(connection, table, column, used)
    return reached


def _postgresql(connection: sa.Connection, table: str, column: str, used: int) -> int:
    sequence = str(
        connection.scalar(
            sa.text("SELECT pg_get_serial_sequence(:t, :c)"), {"t": table, "c": column}
        )
    )
    given = sa.text(f"SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {sequence}")  # noqa: S608
    last = connection.scalar(given) or 0
    if used > last:
        moved = sa.text("SELECT setval(CAST(:s AS regclass), :n)")
        connection.execute(moved, {"s": sequence, "n": used})
    return max(last, used)


def _sqlite(connection: sa.Connection, table: str, _column: str, used: int) -> int:
    found = sa.text("SELECT seq FROM sqlite_sequence WHERE name = :t")
    last: int | None = connection.scalar(found, {"t": table})
    reached = max(last or 0, used)
    row = {"t": table, "n": reached}
    if last is None:
        connection.execute(sa.text("INSERT INTO sqlite_sequence (name, seq) VALUES (:t, :n)"), row)
    elif used > last:
        connection.execute(sa.text("UPDATE sqlite_sequence SET seq = :n WHERE name = :t"), row)
    return reached
