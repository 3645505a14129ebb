"""Partitions and old days: made ahead, dropped when nothing in them is waited for."""

import asyncio

import pytest
import sqlalchemy as sa

from contracts.errors import StoreUnavailable
from storage import partitions
from storage.cursors import BEGINNING
from storage.database import Database
from storage.drain import DrainStore
from storage.inbox_writers import PostgresqlWriter
from storage.leases import LANE, Leases
from storage.log import MessageLog
from storage.partitions import (
    DAY_MS,
    MESSAGES_PER_PARTITION,
    drop_dedupe,
    drop_inbox_days,
    ensure_partitions,
    oldest_inbox_day,
    partitions_ahead,
    today,
)
from storage.schema import dedupe, inbox, run_keys, unrouted
from storage.turns import Deferred, Turn, Unrouted
from tests.storage.rows import add_connection, add_items, append, count, digest, item, run_key

LONG_AGO = 9
KEPT = 7


def _names(database: Database, table: str) -> set[str]:
    with database.read() as connection:
        return set(partitions._partitions(connection, table))


def _make_day(database: Database, day: int) -> None:
    """The partition of a day that is over."""
    if database.is_postgresql:
        with database.write() as connection:
            partitions._make(connection, "inbox", f"d{day}", day, day + 1)


@pytest.mark.postgres
def test_partitions_are_made_a_week_ahead_and_once(postgres: Database) -> None:
    before = {table: _names(postgres, table) for table in ("inbox", "dedupe", "messages")}
    ensure_partitions(postgres)
    assert {table: _names(postgres, table) for table in before} == before
    assert {f"inbox_d{day}" for day in range(today() - 1, today() + 8)} <= before["inbox"]
    assert (partitions_ahead(postgres) or 0) >= KEPT
    assert {"messages_p0", "messages_p1", "messages_p2"} == before["messages"]


def test_the_embedded_default_has_none(sqlite_database: Database) -> None:
    ensure_partitions(sqlite_database)
    assert partitions_ahead(sqlite_database) is None


@pytest.mark.postgres
def test_the_log_grows_over_the_end_of_a_partition(
    postgres: Database, connected_postgres: None
) -> None:
    with postgres.write() as connection:
        end = MESSAGES_PER_PARTITION - 3
        connection.execute(sa.text(f"ALTER TABLE messages ALTER position RESTART WITH {end}"))
    DrainStore(postgres).write(Turn(appends=[append() for _ in range(6)]))
    rows = MessageLog(postgres).read(BEGINNING, 10).rows
    assert [row.position - MESSAGES_PER_PARTITION for row in rows] == [-3, -2, -1, 0, 1, 2]
    ensure_partitions(postgres)
    assert "messages_p3" in _names(postgres, "messages")


def _old_day(database: Database) -> tuple[int, list[int]]:
    day = today() - LONG_AGO
    _make_day(database, day)
    items = add_items(database, 3, day=day)
    key = run_key(("run", day), day)
    with database.write() as connection:
        connection.execute(sa.insert(run_keys).values(**key._asdict()))
    return day, items


def _drain_up_to(database: Database, mark: int, rest: Turn = Turn()) -> None:
    (lease,) = Leases(database).take(LANE, ["1"])
    turn = rest._replace(leases=[lease], marks=[mark], release=True)
    DrainStore(database).write(turn)


def test_an_old_day_is_dropped_with_its_keys_once_it_is_drained(database: Database) -> None:
    day, items = _old_day(database)
    add_items(database, 1)
    assert oldest_inbox_day(database) == day
    assert drop_inbox_days(database, today() - KEPT) == 0, "items wait in it"
    assert count(database, inbox) == 4
    stranded = Unrouted(items[0], day, 1, digest("r"), "facebook", 1)
    _drain_up_to(database, items[-1], Turn(strand=[stranded]))
    assert drop_inbox_days(database, day) == 0, "it is not old yet"
    assert drop_inbox_days(database, today() - KEPT) == 1
    assert [count(database, table) for table in (inbox, run_keys, unrouted)] == [1, 0, 0]
    assert oldest_inbox_day(database) == today()


def test_an_old_day_with_a_deferred_item_is_left(database: Database) -> None:
    day, items = _old_day(database)
    put_off = Deferred(1, digest("r"), items[1], day)
    _drain_up_to(database, items[-1], Turn(defer=[put_off]))
    assert drop_inbox_days(database, today() - KEPT) == 0
    _drain_up_to(database, items[-1], Turn(resume=[put_off]))
    assert drop_inbox_days(database, today() - KEPT) == 1


def test_keys_are_forgotten_when_event_and_keeping_are_old(connected: Database) -> None:
    old, now = today() - 40, append()
    late = append()._replace(day=old)
    forgotten = append()._replace(day=old)
    DrainStore(connected).write(Turn(appends=[now, late, forgotten]))
    with connected.write() as connection:
        whose = dedupe.c.hash == forgotten.hash
        kept_at_ms = (today() - 31) * DAY_MS
        connection.execute(sa.update(dedupe).where(whose).values(kept_at_ms=kept_at_ms))
    drop_dedupe(connected, today() - 30)
    with connected.read() as connection:
        left = set(connection.scalars(sa.select(dedupe.c.hash)))
    assert left == {now.hash, late.hash}, "a late event is kept as long as any"


@pytest.mark.postgres
def test_whole_days_of_old_keys_are_dropped(postgres: Database, connected_postgres: None) -> None:
    old = today() - 40
    with postgres.write() as connection:
        partitions._make(connection, "dedupe", f"d{old}", old, old + 1)
    DrainStore(postgres).write(Turn(appends=[append()._replace(day=old)]))
    drop_dedupe(postgres, today() - 30)
    assert f"dedupe_d{old}" in _names(postgres, "dedupe"), "it came in today"
    with postgres.write() as connection:
        connection.execute(sa.update(dedupe).values(kept_at_ms=old * DAY_MS))
    assert drop_dedupe(postgres, today() - 30) == 1
    assert f"dedupe_d{old}" not in _names(postgres, "dedupe")


@pytest.mark.postgres
def test_after_a_stop_of_ten_days_nothing_is_lost_and_all_works_on(postgres: Database) -> None:
    add_connection(postgres, "con_a", "acme")
    _forget_the_last_days(postgres)
    writer = PostgresqlWriter(postgres.url)
    with pytest.raises(StoreUnavailable):
        asyncio.run(_store_one(writer))
    early = append("seen before the partitions were made")
    assert DrainStore(postgres).write(Turn(appends=[early])).added == 1
    ensure_partitions(postgres)
    assert (partitions_ahead(postgres) or 0) >= KEPT
    asyncio.run(_store_one(PostgresqlWriter(postgres.url)))
    assert count(postgres, inbox) == 1
    again = DrainStore(postgres).write(Turn(appends=[early, append()]))
    assert (again.added, again.duplicate) == (1, 1)


async def _store_one(writer: PostgresqlWriter) -> None:
    try:
        await writer.write(run_key(), [item()])
    finally:
        await writer.close()


def _forget_the_last_days(database: Database) -> None:
    """As if the last partitions had been made long ago."""
    for table in ("inbox", "dedupe"):
        for name in _names(database, table) - {"dedupe_other"}:
            with database.write() as connection:
                connection.execute(sa.text(f"DROP TABLE {name}"))
    assert partitions_ahead(database) == 0
