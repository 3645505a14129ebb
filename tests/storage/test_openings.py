"""Openings of tokens, as they are kept."""

from contracts.tokens import Opening
from storage.database import Database
from storage.openings import MINUTE_MS, TokenOpenings

ONE = Opening("gra_1", 100, "send", "p1", "acme", 2)


def test_a_count_that_is_told_again_is_counted_once(database: Database) -> None:
    openings = TokenOpenings(database)
    openings.put([ONE, ONE._replace(job="refresh", times=1)])
    openings.put([ONE])
    openings.put([])
    assert set(openings.of_grants(["gra_1"])) == {ONE, ONE._replace(job="refresh", times=1)}
    openings.put([ONE._replace(times=5)])
    openings.put([ONE._replace(times=3)])
    assert ONE._replace(times=5) in openings.of_grants(["gra_1"]), "a late, smaller count"


def test_processes_are_counted_apart(database: Database) -> None:
    openings = TokenOpenings(database)
    openings.put([ONE, ONE._replace(process="p2", times=7), ONE._replace(grant="gra_2")])
    assert sum(row.times for row in openings.of_grants(["gra_1"])) == 9
    assert openings.of_grants([]) == []


def test_old_minutes_are_pruned(database: Database) -> None:
    openings = TokenOpenings(database)
    rows = [ONE._replace(minute=minute) for minute in (1, 2, 90, 99, 100, 101)]
    openings.put(rows)
    assert openings.prune(100 * MINUTE_MS + 1) == 4
    assert [row.minute for row in openings.of_grants(["gra_1"])] == [101, 100]
    assert openings.prune(100 * MINUTE_MS) == 0
