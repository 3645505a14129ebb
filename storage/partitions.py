"""PostgreSQL's partitions: made ahead and taken away without shutting anybody out. SQLite has
none.

`CREATE … PARTITION OF` and `DROP` ask for the parent's exclusive lock: behind one open reader, be
it a backup, all that is written would queue. So a partition is made apart and attached, and is
detached concurrently before it is dropped.
"""

import time
from collections.abc import Callable, Iterable
from typing import Final

import sqlalchemy as sa
import structlog

from contracts.errors import StoreUnavailable
from storage.database import Database, now_ms

log = structlog.get_logger()

DAY_MS: Final = 86_400_000
AHEAD_DAYS: Final = 7
MESSAGES_PER_PARTITION: Final = 2_000_000
AHEAD_RANGES: Final = 10
"""At 8,000 messages a second 40 minutes."""
FEWEST_RANGES: Final = 4
DEFAULT_DEDUPE: Final = "dedupe_other"

_LOCK: Final = 7_215_002
_DETACH_LOCK: Final = 7_215_006
_LOCK_TIMEOUT_MS: Final = 500
"""How long writers may have to queue behind us."""
_DETACH_TIMEOUT_MS: Final = 2_000
"""Nobody queues behind a concurrent detaching."""
_PAUSES_S: Final = (0.1, 0.3, 0.6)
_BUSY: Final = {"55P03", "40P01"}
"""SQL states: lock not available, deadlock."""

Range = tuple[str, int, int]
"""A partition's suffix, its first value and the first beyond it."""


def today() -> int:
    """Days since 1970-01-01, UTC."""
    return now_ms() // DAY_MS


def ensure_partitions(database: Database) -> None:
    """Make the partitions of the coming week, and message ranges as `ensure_message_ranges`."""
    if not database.is_postgresql:
        return
    days = range(today() - 1, today() + AHEAD_DAYS + 1)
    for table in ("inbox", "dedupe"):
        _make(database, table, [(f"d{day}", day, day + 1) for day in days])
    with database.read() as connection:
        current, _ = _message_ranges(connection)
    _make_ranges(database, current)


def ensure_message_ranges(database: Database) -> None:
    """Make ten empty ranges beyond the log's head when fewer than four are left.

    Cheap otherwise, so that it can be asked every few seconds: the log may fill a range in minutes.
    """
    if not database.is_postgresql:
        return
    with database.read() as connection:
        current, last = _message_ranges(connection)
    if last - current < FEWEST_RANGES:
        _make_ranges(database, current)


def partitions_ahead(database: Database) -> int | None:
    """For how many days from today the inbox has partitions; None where there are none to make."""
    if not database.is_postgresql:
        return None
    with database.read() as connection:
        names = attached(connection, "inbox")
    return sum(1 for name in names if day_of(name) >= today())


def day_of(partition: str) -> int:
    """The day that `inbox_d<day>` or `dedupe_d<day>` is for."""
    return int(partition.rpartition("_d")[2])


def attached(connection: sa.Connection, table: str) -> list[str]:
    """The names of a table's partitions."""
    children = sa.text(
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
        "WHERE i.inhparent = CAST(:parent AS regclass)"
    )
    return list(connection.scalars(children, {"parent": table}))


def inbox_partitions(connection: sa.Connection) -> list[str]:
    """The inbox's partitions by day, with those that were detached and are not yet dropped."""
    tables = sa.text(
        "SELECT relname FROM pg_class WHERE relname ~ '^inbox_d[0-9]+$' AND relkind = 'r' "
        "AND pg_table_is_visible(oid)"
    )
    return sorted(connection.scalars(tables), key=day_of)


def attach_new(connection: sa.Connection, table: str, new: Range) -> None:
    """Make one partition; not when the default one already has its rows (after a long stop)."""
    suffix, low, high = new
    if table == "dedupe":
        rows = sa.text(f"SELECT 1 FROM {DEFAULT_DEDUPE} WHERE day = :day LIMIT 1")  # noqa: S608
        if connection.scalar(rows, {"day": low}):
            return
    name = f"{table}_{suffix}"
    for statement in (
        f"CREATE TABLE {name} (LIKE {table} INCLUDING ALL EXCLUDING IDENTITY)",
        f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ({low}) TO ({high})",
    ):
        connection.execute(sa.text(statement))


def drop_inbox_partition(database: Database, name: str) -> bool:
    """Detach and drop; False while a transaction still reads it. The next call goes on with it."""
    try:
        with database.read() as connection:
            connection.detach()  # what is set here ends with it
            connection.exec_driver_sql(f"SET lock_timeout = {_DETACH_TIMEOUT_MS}")
            alone = sa.select(sa.func.pg_try_advisory_lock(_DETACH_LOCK))
            if not connection.scalar(alone):
                return False
            _detach(connection, name)
            connection.exec_driver_sql(f"DROP TABLE IF EXISTS {name}")
    except StoreUnavailable as error:
        return _log_busy(error, name)
    return True


def drop_dedupe_partition(database: Database, name: str) -> bool:
    """Drop, or False while a transaction reads it. It cannot be detached concurrently, as there is
    a default partition: so it does not insist.
    """
    return _patiently(database, name, lambda connection: _drop(connection, name))


def _drop(connection: sa.Connection, name: str) -> None:
    connection.exec_driver_sql(f"DROP TABLE IF EXISTS {name}")


def _detach(connection: sa.Connection, name: str) -> None:
    pending = sa.text(
        "SELECT inhdetachpending FROM pg_inherits WHERE inhrelid = to_regclass(:name)"
    )
    how = {False: "CONCURRENTLY", True: "FINALIZE"}.get(connection.scalar(pending, {"name": name}))
    if how is not None:
        connection.exec_driver_sql(f"ALTER TABLE inbox DETACH PARTITION {name} {how}")


def _message_ranges(connection: sa.Connection) -> tuple[int, int]:
    """The number of the range that the head stands in, and of the last range that there is."""
    head = connection.scalar(sa.text("SELECT last_value FROM messages_position_seq")) or 0
    numbers = [int(name.rpartition("_p")[2]) for name in attached(connection, "messages")]
    return head // MESSAGES_PER_PARTITION, max(numbers, default=-1)


def _make_ranges(database: Database, current: int) -> None:
    size = MESSAGES_PER_PARTITION
    numbers = range(current, current + AHEAD_RANGES + 1)
    _make(database, "messages", [(f"p{n}", n * size, (n + 1) * size) for n in numbers])


def _make(database: Database, table: str, wanted: Iterable[Range]) -> None:
    """Make those of a table's partitions that are not there."""

    def missing(connection: sa.Connection) -> None:
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        there = set(attached(connection, table))
        for new in wanted:
            if f"{table}_{new[0]}" not in there:
                attach_new(connection, table, new)

    _patiently(database, table, missing)


def _patiently(database: Database, name: str, work: Callable[[sa.Connection], None]) -> bool:
    """Do `work` in a transaction that gives way rather than let others queue behind it; False when
    it could not be done: it is left to the next run.
    """
    for pause in (0.0, *_PAUSES_S):
        time.sleep(pause)
        try:
            with database.write() as connection:
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = {_LOCK_TIMEOUT_MS}")
                work(connection)
        except StoreUnavailable as error:
            busy = error
        else:
            return True
        if not _is_busy(busy):
            raise busy
    return _log_busy(busy, name)


def _log_busy(error: StoreUnavailable, name: str) -> bool:
    """False. Raises `error` when it is of another kind."""
    if not _is_busy(error):
        raise error
    log.warning("partitions.busy", table=name)
    return False


def _is_busy(error: StoreUnavailable) -> bool:
    cause = getattr(error.__cause__, "orig", error.__cause__)
    return getattr(cause, "sqlstate", None) in _BUSY
