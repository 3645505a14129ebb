"""Removes what is older than it is kept: days of the inbox, deduplication keys, parked items.

Each step is a short transaction, so that nobody waits for a removal; what could not be removed now
is removed by a later run.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from contracts.causes import PAUSED
from storage import gaps
from storage.database import Database
from storage.gaps import Gap, gap
from storage.leases import LANE
from storage.partitions import (
    DAY_MS,
    DEFAULT_DEDUPE,
    attached,
    day_of,
    drop_dedupe_partition,
    drop_inbox_partition,
    inbox_partitions,
)
from storage.schema import dedupe, deferred, inbox, leases, parked, run_keys, unrouted

CHUNK_ROWS: Final = 2_000
"""Rows removed in one transaction."""
_LOOK_ROWS: Final = 10_000
_SETTLED_MS: Final = 2 * 3_600_000
"""So long after midnight no item comes in under yesterday's key any more (an edge may for an
hour)."""


class Removed(NamedTuple):
    """What was removed of the inbox: days, and unrouted items by provider and route.

    `left` are the older days whose rows are still there.
    """

    days: Collection[int]
    left: Collection[int]
    unrouted: Counter[tuple[str, bytes]]


def drop_inbox_days(database: Database, before: int) -> Removed:
    """Remove the inbox of days before `before`; a day that still has waiting items is left.

    The items' run keys go with them.
    """
    there = inbox_days(database, before)
    for day in there:
        if not _has_waiting(database, day, *there[day]):
            if database.is_postgresql:
                drop_inbox_partition(database, f"inbox_d{day}")
            else:
                _delete_day(database, day, *there[day])
    left = inbox_days(database, before).keys()
    old = {table: _of_days(table, before, left) for table in (unrouted, run_keys)}
    stranded = delete(database, unrouted.c.item, old[unrouted], "provider", "route")
    lost = Counter((row.provider, row.route) for row in stranded)
    for _ in delete(database, run_keys.c.id, old[run_keys], "id"):
        pass
    return Removed(there.keys() - left, left, lost)


def inbox_days(database: Database, before: int) -> dict[int, tuple[int, int]]:
    """Days before `before` whose rows are there; on SQLite with their first and last id."""
    if database.is_postgresql:
        with database.read() as connection:
            days = map(day_of, inbox_partitions(connection))
            return {day: (0, 0) for day in days if day < before}
    return _days_by_id(database, before)


def drop_parked(database: Database, before_ms: int) -> Counter[tuple[str, str]]:
    """Remove parked items received before `before_ms`; how many, by tenant and connection. What
    waited for paused connections leaves gaps, in the same transactions.
    """
    old = parked.c.received_at_ms < before_ms
    names = "tenant", "connection", "reason", "received_at_ms"
    removed = delete(database, parked.c.id, old, *names, beside=_leave_gaps)
    return Counter((row.tenant, row.connection) for row in removed)


def _leave_gaps(connection: sa.Connection, rows: Sequence[sa.Row[Any]]) -> None:
    """One for each connection of `rows` that had not been resumed."""
    times: dict[str, list[int]] = {}
    for row in rows:
        if row.reason == PAUSED:
            times.setdefault(row.connection, []).append(row.received_at_ms)
    gaps.put(connection, [_gap(id_, its) for id_, its in times.items()])


def _gap(connection_id: str, times: Collection[int]) -> Gap:
    return gap(None, min(times), max(times) + 1, "expired", connection_id)


def drop_dedupe(database: Database, before: int) -> int:
    """Remove deduplication keys whose event day and whose keeping both lie before day `before`.

    Returns how many keys, or whole days, were removed. A key that is kept between the look at its
    day's partition and the drop goes with it; its event is as old as everything in it.
    """
    if not database.is_postgresql:
        return _delete_keys(database, dedupe, before)
    with database.read() as connection:
        names = [name for name in attached(connection, "dedupe") if name != DEFAULT_DEDUPE]
    old = [name for name in names if day_of(name) < before and not _late(database, name, before)]
    dropped = sum(drop_dedupe_partition(database, name) for name in old)
    columns = [sa.column(column.name, column.type) for column in dedupe.c]
    return dropped + _delete_keys(database, sa.table(DEFAULT_DEDUPE, *columns), before)


def _late(database: Database, name: str, before: int) -> bool:
    """Whether the partition has a key that was kept on day `before` or later."""
    late = sa.text(f"SELECT 1 FROM {name} WHERE kept_at_ms >= :limit LIMIT 1")  # noqa: S608
    with database.read() as connection:
        return connection.scalar(late, {"limit": before * DAY_MS}) is not None


def _delete_keys(database: Database, table: sa.FromClause, before: int) -> int:
    """Go through the keys of old days in their order, and remove those that were kept long ago."""
    key = sa.tuple_(table.c.day, table.c.hash)
    old = table.c.kept_at_ms < before * DAY_MS
    query = sa.select(table).where(table.c.day < before).order_by(table.c.day, table.c.hash)
    removed = 0
    beyond: sa.ColumnElement[bool] = sa.true()
    while True:
        with database.read() as connection:
            rows = connection.execute(query.where(beyond).limit(CHUNK_ROWS)).all()
        if not rows:
            return removed
        upto = sa.tuple_(sa.literal(rows[-1].day), sa.literal(rows[-1].hash))
        if any(row.kept_at_ms < before * DAY_MS for row in rows):
            with database.write() as connection:
                these = sa.delete(table).where(beyond, key <= upto, old)  # type: ignore[arg-type]
                removed += connection.execute(these).rowcount
        beyond = key > upto


def _days_by_id(database: Database, before: int) -> dict[int, tuple[int, int]]:
    """Found by going through the oldest ids: ids follow days, up to the hour after midnight."""
    few = sa.select(inbox.c.id, inbox.c.day, inbox.c.received_at_ms).order_by(inbox.c.id)
    settled = before * DAY_MS + _SETTLED_MS
    found: dict[int, tuple[int, int]] = {}
    after = 0
    while True:
        with database.read() as connection:
            part = few.where(inbox.c.id > after).limit(_LOOK_ROWS).subquery()
            first, last, at = (
                sa.func.min(part.c.id),
                sa.func.max(part.c.id),
                sa.func.min(part.c.received_at_ms),
            )
            rows = connection.execute(sa.select(part.c.day, first, last, at).group_by("day")).all()
        for day, low, high, _ in rows:
            if day < before:
                found[day] = (found.get(day, (low, high))[0], high)
        if all(day >= before and at_ms >= settled for day, _, _, at_ms in rows):
            return dict(sorted(found.items()))
        after = max(high for _, _, high, _ in rows)


def _delete_day(database: Database, day: int, first: int, last: int) -> None:
    for low in range(first, last + 1, CHUNK_ROWS):
        high = min(low + CHUNK_ROWS - 1, last)
        with database.write() as connection:
            these = sa.delete(inbox).where(inbox.c.id.between(low, high), inbox.c.day == day)
            connection.execute(these)


def _has_waiting(database: Database, day: int, first: int, last: int) -> bool:
    """Whether an item of `day` is not yet drained, or deferred by the fair share.

    PostgreSQL asks its primary key for each lane; SQLite looks through the day's ids, `first` to
    `last`, from the oldest mark on.
    """
    behind = sa.and_(inbox.c.id > leases.c.mark, inbox.c.day == day)
    lane = leases.c.kind == LANE
    if database.is_postgresql:
        of_lane = inbox.c.lane == sa.cast(leases.c.key, sa.SmallInteger)
        item = sa.select(inbox.c.id).where(of_lane, behind).order_by(inbox.c.id).limit(1)
        undrained = sa.exists().where(lane, item.scalar_subquery().is_not(None))
    else:
        oldest = sa.select(sa.func.min(leases.c.mark)).where(lane).scalar_subquery()
        ids = sa.and_(inbox.c.id > oldest, inbox.c.id.between(first, last))
        of_lane = leases.c.key == sa.cast(inbox.c.lane, sa.Text)
        undrained = sa.exists().where(lane, of_lane, ids, behind)
    held = sa.exists().where(deferred.c.day == day)
    with database.read() as connection:
        return bool(connection.scalar(sa.select(sa.or_(undrained, held))))


def _of_days(table: sa.Table, before: int, left: Collection[int]) -> sa.ColumnElement[bool]:
    return sa.and_(table.c.day < before, table.c.day.not_in(left))


def delete(
    database: Database,
    key: sa.Column[Any],
    old: sa.ColumnElement[bool],
    *columns: str,
    beside: Callable[[sa.Connection, Sequence[sa.Row[Any]]], None] | None = None,
) -> Iterator[sa.Row[Any]]:
    """Remove what is `old` of the table of `key`, in chunks; yields `columns` of what was, which
    `beside` gets within each transaction.
    """
    table = key.table
    few = sa.select(key).where(old).order_by(key).limit(CHUNK_ROWS)
    these = sa.delete(table).where(key.in_(few)).returning(*(table.c[name] for name in columns))
    while True:
        with database.write() as connection:
            rows = connection.execute(these).all()
            if beside is not None:
                beside(connection, rows)
        yield from rows
        if len(rows) < CHUNK_ROWS:
            return
