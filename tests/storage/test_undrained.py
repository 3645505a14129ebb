"""A lane's items are found however many segments of other lanes' items lie between."""

import time

import pytest
import sqlalchemy as sa

from contracts.errors import LeaseLost
from storage.database import Database
from storage.drain import DrainStore
from storage.leases import LANE, Lease, Leases
from storage.schema import SEGMENT_BITS, leases
from storage.turns import Turn
from tests.storage.rows import add_items

SEGMENT = 1 << SEGMENT_BITS


def _mark(database: Database, lane: int) -> int:
    mine = sa.select(leases.c.mark).where(leases.c.kind == LANE, leases.c.key == str(lane))
    with database.read() as connection:
        return int(connection.scalar(mine) or 0)


def _drained(store: DrainStore, held: Lease, each: int) -> list[int]:
    """Ids of `each` items a turn until there are no more."""
    found: list[int] = []
    while rows := store.waiting([held], each):
        found += [row.id for row in rows]
        held = held._replace(mark=found[-1])
    return found


def test_items_are_found_over_many_segments_in_their_order(connected: Database) -> None:
    store, wanted = DrainStore(connected), []
    for between in (SEGMENT - 2, 2 * SEGMENT, 1, 0, SEGMENT):
        add_items(connected, between, lane=2)
        wanted += add_items(connected, 3, lane=7)
    (lease,) = Leases(connected).take(LANE, ["7"])
    for each in (1, 3, 4, 500):
        assert _drained(store, lease, each) == wanted
    assert store.waiting([lease._replace(mark=wanted[-1])], 1) == []


def test_a_lane_far_behind_is_overdue(connected: Database) -> None:
    store = DrainStore(connected)
    add_items(connected, 3 * SEGMENT, lane=2)
    add_items(connected, 1, lane=7)
    assert sorted(store.overdue_lanes()) == [2, 7]
    assert store.has_waiting([1, 7]) == ["7"]


def test_drained_lanes_catch_up_and_miss_nothing(sqlite_database: Database) -> None:
    store = DrainStore(sqlite_database)
    items = add_items(sqlite_database, SEGMENT + 10, lane=2)
    store.catch_up()
    assert _mark(sqlite_database, 7) == items[-1], "nothing of it is before the inbox's end"
    assert _mark(sqlite_database, 2) == 0, "it has items to drain"
    later = add_items(sqlite_database, 2, lane=7)
    assert 7 in store.overdue_lanes()
    (lease,) = Leases(sqlite_database).take(LANE, ["7"])
    assert [row.id for row in store.waiting([lease], 9)] == later


def test_nobody_catches_up_for_a_lane_that_somebody_holds(sqlite_database: Database) -> None:
    store, holder = DrainStore(sqlite_database), Leases(sqlite_database)
    (lease,) = holder.take(LANE, ["7"])
    last = add_items(sqlite_database, 2 * SEGMENT, lane=2)[-1]
    store.catch_up()
    assert _mark(sqlite_database, 7) == 0, "its holder has read the mark"
    store.write(Turn([lease], [0], release=True))
    store.catch_up()
    assert _mark(sqlite_database, 7) == last


def test_a_lane_whose_holder_died_catches_up_too(sqlite_database: Database) -> None:
    store = DrainStore(sqlite_database)
    (lease,) = Leases(sqlite_database, seconds=0.001).take(LANE, ["7"])
    last = add_items(sqlite_database, 2 * SEGMENT, lane=2)[-1]
    time.sleep(0.01)
    store.catch_up()
    assert _mark(sqlite_database, 7) == last
    with pytest.raises(LeaseLost):
        store.write(Turn([lease], [0], release=True))


@pytest.mark.postgres
def test_postgresql_has_nothing_to_catch_up_with(postgres: Database) -> None:
    add_items(postgres, 2 * SEGMENT, lane=2)
    DrainStore(postgres).catch_up()
    assert _mark(postgres, 7) == 0
