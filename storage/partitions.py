"""PostgreSQL's partitions: made ahead, dropped when nothing in them is waited for. SQLite has
none.
"""

from typing import Final

import sqlalchemy as sa

from storage import schema
from storage.database import Database, now_ms

DAY_MS: Final = 86_400_000
AHEAD_DAYS: Final = 7
MESSAGES_PER_PARTITION: Final = 2_000_000
_LOCK: Final = 7_215_002


def today() -> int:
    """Days since 1970-01-01, UTC."""
    return now_ms() // DAY_MS


def ensure_partitions(database: Database) -> None:
    """Make the partitions of the coming week, and one message range more than the log can need."""
    if not database.is_postgresql:
        return
    first = today() - 1
    with database.write() as connection:
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        for day in range(first, first + AHEAD_DAYS + 2):
            _make(connection, "inbox", f"d{day}", day, day + 1)
            _make(connection, "dedupe", f"d{day}", day, day + 1)
        head = connection.scalar(sa.select(sa.func.max(schema.messages.c.position))) or 0
        current = head // MESSAGES_PER_PARTITION
        for number in range(current, current + 3):
            low = number * MESSAGES_PER_PARTITION
            _make(connection, "messages", f"p{number}", low, low + MESSAGES_PER_PARTITION)


def partitions_ahead(database: Database) -> int | None:
    """For how many days from today the inbox has partitions; None where there are none to make."""
    if not database.is_postgresql:
        return None
    with database.read() as connection:
        names = _partitions(connection, "inbox")
    return sum(1 for name in names if int(name.removeprefix("inbox_d")) >= today())


def oldest_inbox_day(database: Database) -> int | None:
    """The oldest day that still has items, or None when the inbox is empty."""
    with database.read() as connection:
        found: int | None = connection.scalar(sa.select(sa.func.min(schema.inbox.c.day)))
    return found


def drop_inbox_days(database: Database, before: int) -> int:
    """Remove the inbox of days before `before`; a day that still has waiting items is left.

    Returns how many days were removed. The items' run keys go with them.
    """
    removed = 0
    for day in _inbox_days(database, before):
        if _has_waiting(database, day):
            continue
        with database.write() as connection:
            if database.is_postgresql:
                connection.execute(sa.text(f"DROP TABLE IF EXISTS inbox_d{day}"))
            else:
                connection.execute(sa.delete(schema.inbox).where(schema.inbox.c.day == day))
            for table in (schema.run_keys, schema.unrouted):
                connection.execute(sa.delete(table).where(table.c.day == day))
        removed += 1
    return removed


def drop_dedupe(database: Database, before: int) -> int:
    """Remove deduplication keys whose event day and whose keeping both lie before day `before`.

    Returns how many keys, or whole days, were removed.
    """
    table, limit_ms = schema.dedupe, before * DAY_MS
    removed = 0
    with database.write() as connection:
        if database.is_postgresql:
            for name in _partitions(connection, "dedupe"):
                if name == "dedupe_other" or int(name.removeprefix("dedupe_d")) >= before:
                    continue
                late = sa.text(f"SELECT 1 FROM {name} WHERE kept_at_ms >= :limit LIMIT 1")  # noqa: S608
                if connection.scalar(late, {"limit": limit_ms}) is None:
                    connection.execute(sa.text(f"DROP TABLE {name}"))
                    removed += 1
        old = sa.delete(table).where(table.c.day < before, table.c.kept_at_ms < limit_ms)
        removed += connection.execute(old).rowcount
    return removed


def _inbox_days(database: Database, before: int) -> list[int]:
    with database.read() as connection:
        if database.is_postgresql:
            found = (int(n.removeprefix("inbox_d")) for n in _partitions(connection, "inbox"))
            return sorted(day for day in found if day < before)
        days = sa.select(schema.inbox.c.day).where(schema.inbox.c.day < before).distinct()
        return sorted(connection.scalars(days))


def _has_waiting(database: Database, day: int) -> bool:
    """Whether an item of `day` is not yet drained, or deferred by the fair share."""
    inbox, lane = schema.inbox, schema.leases
    undrained = (
        sa.select(inbox.c.id)
        .join(lane, sa.and_(lane.c.kind == "lane", lane.c.key == sa.cast(inbox.c.lane, sa.Text)))
        .where(inbox.c.day == day, inbox.c.id > lane.c.mark)
    )
    held = sa.select(schema.deferred.c.item).where(schema.deferred.c.day == day)
    with database.read() as connection:
        return bool(connection.scalar(sa.select(sa.or_(undrained.exists(), held.exists()))))


def _partitions(connection: sa.Connection, table: str) -> list[str]:
    children = sa.text(
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
        "WHERE i.inhparent = CAST(:parent AS regclass)"
    )
    return list(connection.scalars(children, {"parent": table}))


def _make(connection: sa.Connection, table: str, suffix: str, low: int, high: int) -> None:
    """Make one partition; not when the default one already has its rows (after a long stop)."""
    if table == "dedupe":
        rows = sa.text("SELECT 1 FROM dedupe_other WHERE day = :day LIMIT 1")
        if connection.scalar(rows, {"day": low}):
            return
    connection.execute(
        sa.text(
            f"CREATE TABLE IF NOT EXISTS {table}_{suffix} PARTITION OF {table} "
            f"FOR VALUES FROM ({low}) TO ({high})"
        )
    )
