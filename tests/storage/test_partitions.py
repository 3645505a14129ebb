"""Partitions and old days: made ahead, dropped when nothing in them is waited for."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa

from contracts.errors import StoreUnavailable
from storage import partitions
from storage.cursors import BEGINNING
from storage.database import Database
from storage.drain import DrainStore
from storage.expiry import drop_dedupe, drop_inbox_days, inbox_days
from storage.inbox_writers import PostgresqlWriter
from storage.log import MessageLog
from storage.partitions import (
    MESSAGES_PER_PARTITION,
    ensure_message_ranges,
    ensure_partitions,
    partitions_ahead,
    today,
)
from storage.schema import inbox, run_keys
from storage.turns import Turn
from tests.storage.rows import (
    add_connection,
    append,
    count,
    drain_up_to,
    item,
    old_day,
    partition_names,
    run_key,
)

KEPT = 7


@pytest.mark.postgres
def test_partitions_are_made_a_week_ahead_and_once(postgres: Database) -> None:
    before = {table: partition_names(postgres, table) for table in ("inbox", "dedupe", "messages")}
    ensure_partitions(postgres)
    assert {table: partition_names(postgres, table) for table in before} == before
    assert {f"inbox_d{day}" for day in range(today() - 1, today() + 8)} <= before["inbox"]
    assert (partitions_ahead(postgres) or 0) >= KEPT
    assert {f"messages_p{number}" for number in range(11)} == before["messages"]


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
    assert "messages_p11" in partition_names(postgres, "messages")


@pytest.mark.postgres
def test_message_ranges_are_made_when_few_are_left(postgres: Database) -> None:
    _move_head(postgres, 7 * MESSAGES_PER_PARTITION - 1)
    ensure_message_ranges(postgres)
    assert "messages_p11" not in partition_names(postgres, "messages"), "four are left"
    _move_head(postgres, 7 * MESSAGES_PER_PARTITION)
    ensure_message_ranges(postgres)
    assert {f"messages_p{number}" for number in range(18)} == partition_names(postgres, "messages")


def test_the_embedded_default_needs_no_message_ranges(sqlite_database: Database) -> None:
    ensure_message_ranges(sqlite_database)


def _move_head(database: Database, position: int) -> None:
    with database.write() as connection:
        moved = sa.text("SELECT setval('messages_position_seq', :n)")
        connection.execute(moved, {"n": position})


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
        for name in partition_names(database, table) - {"dedupe_other"}:
            with database.write() as connection:
                connection.execute(sa.text(f"DROP TABLE {name}"))
    assert partitions_ahead(database) == 0


@contextmanager
def _open_reader(database: Database) -> Iterator[None]:
    """A transaction that has read everything and is not over, like a backup's."""
    with database.engine.connect() as connection:
        for table in ("inbox", "messages", "dedupe"):
            connection.execute(sa.select(sa.func.count()).select_from(sa.table(table)))
        yield


async def _slowest_write(database: Database, meanwhile: asyncio.Future[None]) -> float:
    """The longest that a delivery takes until `meanwhile` is done, in seconds."""
    writer, slowest = PostgresqlWriter(database.url), 0.0
    try:
        await writer.write(run_key(), [item()])
        while not meanwhile.done():
            began = time.monotonic()
            await writer.write(run_key(), [item()])
            slowest = max(slowest, time.monotonic() - began)
            await asyncio.sleep(0.01)
    finally:
        await writer.close()
    await meanwhile
    return slowest


async def _write_during(database: Database, keep_house: Any) -> float:
    running = asyncio.get_running_loop().run_in_executor(None, keep_house)
    return await _slowest_write(database, running)


@pytest.mark.postgres
def test_partitions_are_made_and_dropped_behind_an_open_reader(
    postgres: Database, connected_postgres: None
) -> None:
    """The edge does not notice, and what had to wait is done when the reader has gone."""
    day, items = old_day(postgres)
    drain_up_to(postgres, items[-1])
    newest = f"inbox_d{today() + partitions.AHEAD_DAYS}"
    old_keys = f"dedupe_d{today() - 40}"
    with postgres.write() as connection:
        connection.execute(sa.text(f"DROP TABLE {newest}"))
        first = today() - 40
        partitions.attach_new(connection, "dedupe", (f"d{first}", first, first + 1))
    _move_head(postgres, 20 * MESSAGES_PER_PARTITION)

    def keep_house() -> None:
        ensure_partitions(postgres)
        drop_inbox_days(postgres, today() - KEPT)
        drop_dedupe(postgres, today() - 30)

    with _open_reader(postgres):
        assert asyncio.run(_write_during(postgres, keep_house)) < 1
        assert newest in partition_names(postgres, "inbox")
        assert "messages_p30" in partition_names(postgres, "messages")
        assert DrainStore(postgres).write(Turn(appends=[append()])).added == 1
        assert list(inbox_days(postgres, today() - KEPT)) == [day], "its rows are still there"
        assert old_keys in partition_names(postgres, "dedupe")
    keep_house()
    assert not inbox_days(postgres, today() - KEPT)
    assert old_keys not in partition_names(postgres, "dedupe")
    assert count(postgres, run_keys) == 1, "the writer's own is left"
