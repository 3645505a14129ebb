"""Due rows: found when their time has come, one holder at a time, never lost."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from contracts.errors import LeaseLost
from storage import due as due_rows
from storage.database import Database, now_ms
from storage.due import DueRows, Standing, Taken
from storage.schema import due

KIND = "refresh"
AT_ONCE = 8
DAY_MS = 86_400_000


@pytest.fixture
def rows(database: Database) -> DueRows:
    return DueRows(database)


def _put(rows: DueRows, *names: str, in_ms: int = -1000) -> None:
    for name in names:
        rows.schedule(KIND, name, now_ms() + in_ms)


def _keys(taken: list[Taken]) -> list[str]:
    return [row.key for row in taken]


def _expire(database: Database) -> None:
    """Let every lease run out, by the database's clock."""
    with database.write() as connection:
        ended = sa.update(due).where(due.c.ticket.is_not(None))
        connection.execute(ended.values(due_at_ms=database.clock_ms() - 1))


def _let_come_due(database: Database) -> None:
    with database.write() as connection:
        waits = sa.update(due).where(due.c.due_at_ms.is_not(None))
        connection.execute(waits.values(due_at_ms=database.clock_ms() - 1))


def test_what_is_due_is_found_longest_due_first(rows: DueRows) -> None:
    _put(rows, "b", in_ms=-2000)
    _put(rows, "a", in_ms=-1000)
    _put(rows, "c", in_ms=-3000)
    _put(rows, "later", in_ms=60_000)
    rows.schedule("renewal", "other kind", now_ms() - 9000)
    assert _keys(rows.take([KIND], 2)) == ["c", "b"]
    assert _keys(rows.take([KIND], 2)) == ["a"]
    assert rows.take([KIND], 2) == []
    assert _keys(rows.take(["renewal", KIND], 5)) == ["other kind"]


def test_no_more_is_taken_than_asked_for(rows: DueRows) -> None:
    kinds = [KIND, "renewal"]
    for number in range(20):
        for kind in kinds:
            rows.schedule(kind, str(number), now_ms() - 1000)
    found = []
    while taken := rows.take(kinds, 3):
        assert len(taken) <= 3
        found += [(row.kind, row.key) for row in taken]
    assert sorted(found) == sorted((kind, str(n)) for kind in kinds for n in range(20))


def test_a_row_is_one_holders(rows: DueRows, database: Database) -> None:
    _put(rows, "a")
    (mine,) = rows.take([KIND], 5)
    assert mine.crashes == 0
    assert DueRows(database).take([KIND], 5) == []
    assert DueRows(database).take_now(KIND, "a") is None
    rows.finish(mine, now_ms() - 5)
    (again,) = DueRows(database).take([KIND], 5)
    assert again.ticket != mine.ticket
    assert again.crashes == 0


def test_a_dead_holders_row_comes_due_again_and_says_so(rows: DueRows, database: Database) -> None:
    _put(rows, "a")
    (dead,) = rows.take([KIND], 5)
    _expire(database)
    (next_,) = rows.take([KIND], 5)
    assert next_.crashes == 1
    with pytest.raises(LeaseLost):
        rows.finish(dead, None)
    with pytest.raises(LeaseLost):
        rows.put_off(dead, 1, "no")
    with pytest.raises(LeaseLost), database.write() as connection:
        due_rows.check(connection, dead)
    rows.remove(dead)
    rows.finish(next_, None)
    assert rows.standing(KIND, "a") == Standing(False, None, 0, "")


def test_a_lease_runs_out_by_itself(database: Database) -> None:
    short = DueRows(database, seconds=0)
    _put(short, "a")
    (first,) = short.take([KIND], 5)
    (second,) = short.take([KIND], 5)
    assert (first.key, first.crashes, second.crashes) == ("a", 0, 1)


def _crash(rows: DueRows, database: Database) -> Taken:
    """Take the one row that is due as after a crash, and be gone again."""
    (row,) = rows.take([KIND], 5)
    if row.crashes:
        rows.suspect(row)
    _expire(database)
    return row


def test_crashes_in_a_row_are_counted_and_the_row_rests_for_longer(
    rows: DueRows, database: Database
) -> None:
    _put(rows, "a")
    rests = []
    for crashes in range(1, 6):
        _crash(rows, database)
        (row,) = rows.take([KIND], 5)
        assert row.crashes == crashes
        rests.append(rows.suspect(row))
        standing = rows.standing(KIND, "a")
        assert standing is not None
        assert f"{crashes} times" in standing.last_error
        assert abs((standing.wait_ms or 0) - rests[-1] * 1000) < 10_000
        rows.give_back(row, 0)
    assert rests == [120, 240, 3600, 3600, 3600]


@pytest.mark.parametrize("end", ["finish", "put_off"])
def test_an_end_of_any_kind_clears_the_row(rows: DueRows, database: Database, end: str) -> None:
    _put(rows, "a")
    _crash(rows, database)
    (row,) = rows.take([KIND], 5)
    rows.suspect(row)
    if end == "finish":
        rows.finish(row, now_ms() - 1)
    else:
        rows.put_off(row, 0, "no")
    (again,) = rows.take([KIND], 5)
    assert again.crashes == 0


def test_what_was_not_begun_is_given_back_as_it_was(rows: DueRows, database: Database) -> None:
    _put(rows, "a")
    _crash(rows, database)
    (row,) = rows.take([KIND], 5)
    rows.give_back(row, 0)
    (again,) = rows.take([KIND], 5)
    assert again.crashes == row.crashes == 1
    rows.give_back(row, 0)
    assert rows.take([KIND], 5) == [], "it is another's by now"


def test_no_caller_takes_what_may_kill_it_ahead_of_its_time(
    rows: DueRows, database: Database
) -> None:
    _put(rows, "a")
    _crash(rows, database)
    (row,) = rows.take([KIND], 5)
    rows.give_back(row, 60)
    assert rows.take_now(KIND, "a") is None


def test_who_schedules_a_row_often_does_not_have_it_kill_often(
    rows: DueRows, database: Database
) -> None:
    _put(rows, "a")
    rows.take([KIND], 5)
    _put(rows, "a")
    (row,) = rows.take([KIND], 5)
    assert row.crashes == 1, "nobody has seen its holder end"
    rows.suspect(row)
    with database.write() as connection:
        due_rows.renew(connection, row, database.clock_ms() + 60_000)
    for _ in range(2):
        _put(rows, "a")
        assert rows.take([KIND], 5) == []
    standing = rows.standing(KIND, "a")
    assert standing is not None
    assert 110_000 < (standing.wait_ms or 0) <= 120_000
    _let_come_due(database)
    (row,) = rows.take([KIND], 5)
    assert row.crashes == 2
    rows.finish(row, None)
    _put(rows, "a")
    (row,) = rows.take([KIND], 5)
    assert row.crashes == 0, "an end clears it"


def test_who_was_too_slow_begins_nothing(rows: DueRows, database: Database) -> None:
    _put(rows, "a")
    _crash(rows, database)
    (slow,) = rows.take([KIND], 5)
    _expire(database)
    rows.take([KIND], 5)
    with pytest.raises(LeaseLost):
        rows.suspect(slow)


def test_what_failed_waits_and_counts(rows: DueRows) -> None:
    _put(rows, "a")
    (row,) = rows.take([KIND], 5)
    rows.put_off(row, 30, "retryable: " + "x" * 1000)
    standing = rows.standing(KIND, "a")
    assert standing is not None
    assert (standing.taken, standing.attempts, len(standing.last_error)) == (False, 1, 300)
    assert 25_000 < (standing.wait_ms or 0) <= 30_000
    assert rows.take_now(KIND, "a") is None, "asking sooner would only ask the provider again"
    rows.schedule(KIND, "a", now_ms() - 1)
    (row,) = rows.take([KIND], 5)
    assert row.attempts == 0, "who schedules it anew starts anew"
    rows.put_off(row, 0, "no")
    (row,) = rows.take([KIND], 5)
    assert row.attempts == 1
    rows.finish(row, now_ms() - 1)
    (row,) = rows.take([KIND], 5)
    assert row.attempts == 0


def test_a_row_is_taken_ahead_of_its_time_when_it_is_asked_for(rows: DueRows) -> None:
    _put(rows, "a", in_ms=3_600_000)
    assert rows.take([KIND], 5) == []
    taken = rows.take_now(KIND, "a")
    assert taken is not None
    assert rows.take_now(KIND, "a") is None
    standing = rows.standing(KIND, "a")
    assert standing is not None
    assert standing.taken
    rows.finish(taken, None)
    assert rows.take_now(KIND, "a") is not None, "also one that has no time"
    assert rows.take_now(KIND, "b") is None
    assert rows.standing(KIND, "b") is None


def test_scheduling_anew_takes_a_row_from_its_holder(rows: DueRows) -> None:
    _put(rows, "a")
    (old,) = rows.take([KIND], 5)
    _put(rows, "a", in_ms=50_000)
    with pytest.raises(LeaseLost):
        rows.finish(old, now_ms())
    standing = rows.standing(KIND, "a")
    assert standing is not None
    assert (standing.wait_ms or 0) > 40_000


def test_of_many_who_take_at_once_each_row_has_one(rows: DueRows, database: Database) -> None:
    _put(rows, *map(str, range(60)))

    def take(_: int) -> list[str]:
        mine = DueRows(database)
        found: list[str] = []
        while taken := mine.take([KIND], 7):
            found += _keys(taken)
        return found

    with ThreadPoolExecutor(AT_ONCE) as threads:
        taken = [key for found in threads.map(take, range(AT_ONCE)) for key in found]
    assert sorted(taken) == sorted(map(str, range(60)))


def test_what_is_due_is_found_by_an_index(database: Database) -> None:
    """What a search costs must not grow with what exists."""
    clock = database.clock_ms()
    which = due_rows._RIPE.format(clock=clock)
    explain = "EXPLAIN" if database.is_postgresql else "EXPLAIN QUERY PLAN"
    with database.write() as connection:
        if database.is_postgresql:
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        look = sa.text(f"{explain} {due_rows._LOOK.format(which=which)}")
        plan = str(connection.execute(look, {"kind": KIND, "n": 10}).all())
    assert "ix_due_kind_due_at_ms" in plan
    assert "due_at_ms" in plan
    assert "Sort" not in plan
    assert "TEMP B-TREE" not in plan


def _standing(rows: DueRows, key: str = "a") -> Standing:
    found = rows.standing(KIND, key)
    assert found is not None
    return found


def test_a_row_that_is_asked_for_while_somebody_is_at_it_comes_due_after_that(
    rows: DueRows,
) -> None:
    _put(rows, "a")
    (taken,) = rows.take([KIND], 1)
    for by_ms in (now_ms() - 5, now_ms() + DAY_MS):
        rows.ask(KIND, "a", by_ms)
    assert rows.take([KIND], 1) == [], "it is still its holder's"
    assert _standing(rows).taken
    rows.finish(taken, now_ms() + 2 * DAY_MS)
    (again,) = rows.take([KIND], 1)
    assert again.crashes == 0, "nobody crashed"
    rows.finish(again, None)
    assert _standing(rows).wait_ms is None, "once was enough"


def test_what_failed_while_it_was_asked_for_is_not_put_off(rows: DueRows) -> None:
    _put(rows, "a")
    (taken,) = rows.take([KIND], 1)
    rows.ask(KIND, "a", now_ms() - 1)
    rows.put_off(taken, 3600, "away")
    (again,) = rows.take([KIND], 1)
    assert (again.attempts, again.crashes) == (1, 0)


def test_what_is_asked_for_is_due_by_then_at_the_latest(rows: DueRows) -> None:
    rows.ask(KIND, "a", now_ms() + DAY_MS)
    rows.ask(KIND, "a", now_ms() + 60_000)
    rows.ask(KIND, "a", now_ms() + DAY_MS)
    assert 50_000 < (_standing(rows).wait_ms or 0) <= 60_000
    taken = rows.take_now(KIND, "a")
    assert taken is not None
    rows.finish(taken, None)
    rows.ask(KIND, "a", now_ms() - 1)
    assert len(rows.take([KIND], 1)) == 1


def test_what_rests_after_crashes_is_not_asked_out_of_it(rows: DueRows, database: Database) -> None:
    _put(rows, "a")
    _crash(rows, database)
    (again,) = rows.take([KIND], 1)
    rows.suspect(again)
    rows.ask(KIND, "a", now_ms() - 1)
    assert (_standing(rows).wait_ms or 0) > 60_000
