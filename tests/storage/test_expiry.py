"""What is older than it is kept is removed, in short steps; what is waited for is not."""

from typing import Any

import pytest
import sqlalchemy as sa

from storage import partitions
from storage.database import Database, now_ms
from storage.drain import DrainStore
from storage.expiry import CHUNK_ROWS, drop_dedupe, drop_inbox_days, drop_parked, inbox_days
from storage.partitions import DAY_MS, today
from storage.schema import dedupe, inbox, parked, run_keys, unrouted
from storage.turns import Deferred, Turn, Unrouted
from tests.storage.rows import (
    LONG_AGO,
    add_items,
    append,
    count,
    digest,
    drain_up_to,
    make_day,
    old_day,
    partition_names,
)

KEPT = 7


def test_an_old_day_is_dropped_with_its_keys_once_it_is_drained(database: Database) -> None:
    day, items = old_day(database)
    add_items(database, 1)
    waits = drop_inbox_days(database, today() - KEPT)
    assert (list(waits.days), list(waits.left)) == ([], [day]), "items wait in it"
    assert count(database, inbox) == 4
    stranded = Unrouted(items[0], day, 1, digest("r"), "facebook", 1)
    drain_up_to(database, items[-1], Turn(strand=[stranded]))
    assert not drop_inbox_days(database, day).days, "it is not old yet"
    removed = drop_inbox_days(database, today() - KEPT)
    assert (list(removed.days), list(removed.left)) == ([day], [])
    assert removed.unrouted == {("facebook", digest("r")): 1}
    assert [count(database, table) for table in (inbox, run_keys, unrouted)] == [1, 0, 0]
    assert not inbox_days(database, today() - KEPT)


def test_an_old_day_with_a_deferred_item_is_left(database: Database) -> None:
    day, items = old_day(database)
    put_off = Deferred(1, digest("r"), items[1], day)
    drain_up_to(database, items[-1], Turn(defer=[put_off]))
    assert not drop_inbox_days(database, today() - KEPT).days
    drain_up_to(database, items[-1], Turn(resume=[put_off]))
    assert list(drop_inbox_days(database, today() - KEPT).days) == [day]


def test_a_stuck_day_keeps_no_younger_one(database: Database) -> None:
    stuck, younger = today() - LONG_AGO, today() - LONG_AGO + 1
    for day in (stuck, younger):
        make_day(database, day)
    (waits,) = add_items(database, 1, lane=2, day=stuck)
    items = add_items(database, 2, day=younger)
    drain_up_to(database, items[-1])
    removed = drop_inbox_days(database, today() - KEPT)
    assert (list(removed.days), list(removed.left)) == ([younger], [stuck])
    with database.read() as connection:
        assert list(connection.scalars(sa.select(inbox.c.id))) == [waits]


def test_a_day_is_removed_in_short_transactions(sqlite_database: Database) -> None:
    """One DELETE of a day would keep the edge waiting for as long as it takes."""
    day, rows = today() - LONG_AGO, 2 * CHUNK_ROWS + 100
    one = dict(zip(inbox.c.keys()[1:], (day, 1, "facebook", b"r" * 16, 1, 1, b"x"), strict=True))
    with sqlite_database.write() as connection:
        connection.execute(sa.insert(inbox), [one] * rows + [one | {"day": today()}])
        connection.execute(sa.insert(inbox), [one])  # an edge that used yesterday's key
    drain_up_to(sqlite_database, rows + 2)
    deleted = _deleted_rows(sqlite_database)
    assert list(drop_inbox_days(sqlite_database, today() - KEPT).days) == [day]
    assert count(sqlite_database, inbox) == 1
    assert sum(deleted) == rows + 1
    assert max(deleted) == CHUNK_ROWS


def _deleted_rows(database: Database) -> list[int]:
    """How many rows each DELETE removes from now on."""
    deleted: list[int] = []

    @sa.event.listens_for(database.engine, "after_cursor_execute")
    def _count(_c: object, cursor: Any, statement: str, *_: object) -> None:
        if statement.startswith("DELETE"):
            deleted.append(cursor.rowcount)

    return deleted


def test_parked_items_are_removed_and_counted(database: Database) -> None:
    rows = [
        {"id": f"prk_{n}", "item": n, "connection": f"con_{n % 2}", "received_at_ms": n}
        for n in range(5)
    ]
    same: dict[str, object] = {"tenant": "acme", "provider": "facebook", "reason": "test"}
    same |= {"detail": "", "parked_at_ms": 1, "sealed": b""}
    with database.write() as connection:
        connection.execute(sa.insert(parked), [row | same for row in rows])
    assert drop_parked(database, 3) == {("acme", "con_0"): 2, ("acme", "con_1"): 1}
    assert count(database, parked) == 2


def test_keys_of_many_chunks_are_forgotten(sqlite_database: Database) -> None:
    old = today() - 40
    rows = [
        {"day": old, "hash": digest(n), "after": 0, "kept_at_ms": 0 if n % 3 else now_ms()}
        for n in range(CHUNK_ROWS + 50)
    ]
    with sqlite_database.write() as connection:
        connection.execute(sa.insert(dedupe), rows)
    gone = sum(row["kept_at_ms"] == 0 for row in rows)
    deleted = _deleted_rows(sqlite_database)
    assert drop_dedupe(sqlite_database, today() - 30) == gone
    assert count(sqlite_database, dedupe) == len(rows) - gone
    assert len(deleted) == 2


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
        partitions.attach_new(connection, "dedupe", (f"d{old}", old, old + 1))
    DrainStore(postgres).write(Turn(appends=[append()._replace(day=old)]))
    drop_dedupe(postgres, today() - 30)
    assert f"dedupe_d{old}" in partition_names(postgres, "dedupe"), "it came in today"
    with postgres.write() as connection:
        connection.execute(sa.update(dedupe).values(kept_at_ms=old * DAY_MS))
    assert drop_dedupe(postgres, today() - 30) == 1
    assert f"dedupe_d{old}" not in partition_names(postgres, "dedupe")
