"""Leases: one holder at a time, a fence that grows, and nothing written by one who was too slow."""

import pytest
import sqlalchemy as sa

from contracts.errors import LeaseLost
from storage.cursors import BEGINNING
from storage.database import Database
from storage.drain import DrainStore
from storage.leases import LANE, Lease, Leases
from storage.log import MessageLog
from storage.schema import inbox, leases, unrouted
from storage.turns import Turn, Unrouted
from tests.storage.rows import add_items, append, count, digest


def _expire(database: Database, lease: Lease) -> None:
    """Let the time run out, by the database's clock."""
    row = sa.and_(leases.c.kind == lease.kind, leases.c.key == lease.key)
    with database.write() as connection:
        past = database.clock_ms() - 1
        connection.execute(sa.update(leases).where(row).values(until_ms=past))


def test_what_one_holds_another_does_not_get(database: Database) -> None:
    ours, theirs = Leases(database), Leases(database)
    held = ours.take(LANE, ["3", "1"])
    assert [lease.key for lease in held] == ["1", "3"]
    assert [lease.key for lease in theirs.take(LANE, ["1", "2", "3"])] == ["2"]
    assert ours.take(LANE, ["1"]) == [], "not even its holder takes it twice"


def test_what_is_given_back_is_whole_and_fenced_anew(database: Database) -> None:
    ours, theirs = Leases(database), Leases(database)
    (first,) = ours.take(LANE, ["1"])
    ours.release([first])
    (second,) = theirs.take(LANE, ["1"])
    assert second.fence > first.fence
    assert not second.broken
    assert second.owner == theirs.owner


def test_an_expired_lease_is_taken_and_says_that_it_was_broken(database: Database) -> None:
    (first,) = Leases(database).take(LANE, ["1"])
    _expire(database, first)
    (second,) = Leases(database).take(LANE, ["1"])
    assert second.broken
    assert second.fence == first.fence + 1


def test_a_lease_runs_out_by_itself(database: Database) -> None:
    (first,) = Leases(database, seconds=0).take(LANE, ["1"])
    (second,) = Leases(database).take(LANE, ["1"])
    assert (first.key, second.broken) == (second.key, True)


def test_a_holder_that_was_too_slow_writes_nothing(connected: Database) -> None:
    store = DrainStore(connected)
    (slow,) = Leases(connected).take(LANE, ["1"])
    _expire(connected, slow)
    (quick,) = Leases(connected).take(LANE, ["1"])
    turn = Turn(appends=[append()], strand=[Unrouted(9, 1, 1, digest("r"), "facebook", 1)])
    with pytest.raises(LeaseLost):
        store.write(turn._replace(leases=[slow], marks=[9]))
    assert MessageLog(connected).read(BEGINNING, 10).rows == []
    assert count(connected, unrouted) == 0
    assert store.write(turn._replace(leases=[quick], marks=[9], release=True)).added == 1
    (next_,) = Leases(connected).take(LANE, ["1"])
    assert next_.mark == 9


def test_one_lost_lease_of_several_loses_the_turn(connected: Database) -> None:
    held = Leases(connected).take(LANE, ["1", "2"])
    _expire(connected, held[1])
    Leases(connected).take(LANE, ["2"])
    with pytest.raises(LeaseLost):
        DrainStore(connected).write(Turn(held, [5, 5], appends=[append()]))
    assert MessageLog(connected).head() == BEGINNING
    (first,) = (x for x in _rows(connected) if x.key == "1")
    assert first.mark == 0, "the lane that was still ours was moved"


def test_a_mark_moves_only_from_where_it_was_read(connected: Database) -> None:
    store = DrainStore(connected)
    (lease,) = Leases(connected).take(LANE, ["1"])
    store.write(Turn([lease], [4]))
    with pytest.raises(LeaseLost):
        store.write(Turn([lease], [7], appends=[append()]))
    assert store.write(Turn([lease._replace(mark=4)], [7], appends=[append()])).added == 1


def test_an_extended_lease_is_held_for_another_full_time(database: Database) -> None:
    (short,) = Leases(database, seconds=0).take(LANE, ["1"])
    holder = Leases(database)
    holder.extend(short)
    assert Leases(database).take(LANE, ["1"]) == []
    _expire(database, short)
    Leases(database).take(LANE, ["1"])
    with pytest.raises(LeaseLost):
        holder.extend(short)


def test_a_lease_given_back_as_broken_says_so_to_the_next(database: Database) -> None:
    ours = Leases(database)
    (failed,) = ours.take(LANE, ["1"])
    ours.release([failed], broken=True)
    (next_,) = Leases(database).take(LANE, ["1"])
    assert next_.broken


def test_releasing_what_was_lost_leaves_its_new_holder_alone(database: Database) -> None:
    ours, theirs = Leases(database), Leases(database)
    (lost,) = ours.take(LANE, ["1"])
    _expire(database, lost)
    theirs.take(LANE, ["1"])
    ours.release([lost])
    assert ours.take(LANE, ["1"]) == []


def test_a_lease_whose_row_is_not_there_yet(database: Database) -> None:
    ours, theirs = Leases(database), Leases(database)
    assert ours.take(LANE, ["no such lane"]) == []
    lease = ours.take_new("upkeep", "all")
    assert lease is not None
    assert theirs.take_new("upkeep", "all") is None
    ours.remove(lease._replace(fence=lease.fence - 1))
    assert theirs.take_new("upkeep", "all") is None, "it removed what is not its own"
    ours.remove(lease)
    assert theirs.take_new("upkeep", "all") is not None


def test_lanes_with_something_to_drain(connected: Database) -> None:
    store, holder = DrainStore(connected), Leases(connected)
    assert store.overdue_lanes() == []
    items = add_items(connected, 2, lane=7)
    assert store.overdue_lanes() == [7]
    (lease,) = holder.take(LANE, ["7"])
    assert store.overdue_lanes() == [], "somebody is at it"
    assert store.has_waiting([7, 8]) == ["7"]
    store.write(Turn([lease], [items[-1]], release=True))
    assert store.overdue_lanes() == []
    assert store.has_waiting([7]) == []
    assert count(connected, inbox) == 2


def _rows(database: Database) -> list[sa.Row[tuple[object, ...]]]:
    with database.read() as connection:
        return list(connection.execute(sa.select(leases).where(leases.c.kind == LANE)))
