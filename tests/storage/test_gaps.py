"""Gaps: a span that is told twice is one."""

from concurrent.futures import ThreadPoolExecutor

from storage.database import Database
from storage.gaps import Gaps, gap
from tests.storage.rows import digest


def test_a_span_that_is_stored_again_is_one(database: Database) -> None:
    """The edge does so when it does not know whether its commit went through."""
    gaps, route = Gaps(database), digest("route")
    for _ in range(2):
        gaps.add([gap(route, 1, 2, "refused"), gap(None, 1, 2, "refused")])
    assert len(gaps.waiting()) == 2
    grown = gap(route, 1, 3, "refused")
    gaps.add([grown])
    assert grown in gaps.waiting(), "what went on meanwhile is told whole"


def test_processes_that_tell_the_same_at_once_do_not_fail(database: Database) -> None:
    gaps = Gaps(database)
    told = [gap(digest(n), 1, 2, "refused") for n in range(20)]
    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(gaps.add, told[::step]) for step in (1, -1, 1, -1)]:
            done.result()
    assert sorted(gaps.waiting()) == sorted(told)
