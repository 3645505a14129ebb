"""Lanes gather in the process; one that fails waits, and holds up nobody."""

import threading

import pytest

from contracts.errors import Misconfigured, StoreUnavailable
from tests import services
from workers.drain import Drainer, Tally
from workers.lanes import DrainThreads, LaneQueue


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_nudges_for_one_lane_are_one() -> None:
    queue = LaneQueue()
    for _ in range(5):
        queue.add([1, 2])
    assert sorted(queue.take(10)) == [1, 2]


def test_a_failed_lane_pauses_twice_as_long_each_time() -> None:
    clock = Clock()
    queue = LaneQueue(clock)
    for pause in (0.2, 0.4, 0.8):
        queue.pause([1])
        queue.add([1, 2])
        assert queue.take(10) == [2]
        clock.now += pause
    queue.add([1])
    assert queue.take(10) == [1]


def test_a_lane_that_works_again_is_not_paused_any_more() -> None:
    queue = LaneQueue(Clock())
    queue.pause([1])
    queue.clear([1])
    queue.add([1])
    assert queue.take(10) == [1]


def test_closing_ends_those_that_wait() -> None:
    queue = LaneQueue()
    found: list[list[int]] = []
    thread = threading.Thread(target=lambda: found.append(queue.take(1)))
    thread.start()
    queue.close()
    thread.join(5)
    assert found == [[]]


class FakeDrainer(Drainer):
    """Fails for the lanes that it is told."""

    def __init__(self, failing: dict[int, Exception]) -> None:
        self.failing = failing
        self._stopping = threading.Event()
        self.drained: list[int] = []

    def drain(self, lanes: object) -> Tally:
        assert isinstance(lanes, list)
        for lane in lanes:
            if lane in self.failing:
                raise self.failing[lane]
        self.drained += lanes
        return Tally(items=len(lanes))


def run(failing: dict[int, Exception]) -> tuple[FakeDrainer, LaneQueue]:
    drainer, queue = FakeDrainer(failing), LaneQueue(Clock())
    queue.add([1, 2, 3])
    threads = DrainThreads(queue, drainer, lambda tally: None, 1)
    threads.start()
    services.eventually(lambda: not queue._lanes, within_s=5)
    threads.stop()
    queue._closed = False
    return drainer, queue


def test_one_lane_that_cannot_be_drained_leaves_the_others_alone() -> None:
    drainer, queue = run({2: RuntimeError("a defect")})
    assert sorted(drainer.drained) == [1, 3]
    queue.add([2, 3])
    assert queue.take(10) == [3]


@pytest.mark.parametrize("error", [StoreUnavailable("away"), Misconfigured("no credentials")])
def test_when_a_part_is_away_all_wait(error: Exception) -> None:
    drainer, queue = run({2: error})
    assert drainer.drained == []
    queue.add([1, 2, 3])
    assert queue._lanes == set()
