"""Nudges to the workers, which run beside the requests."""

import threading
import time
from collections.abc import Iterator

import pytest

from contracts.errors import Unavailable
from gateway.metrics import Metrics
from gateway.nudges import Nudges
from tests.services import eventually


class Broker:
    """Takes nudges as slowly, and as badly, as it is told to."""

    def __init__(self) -> None:
        self.taken: list[list[int]] = []
        self.error: Exception | None = None
        self.open = threading.Event()
        self.open.set()

    def nudge(self, lanes: list[int]) -> None:
        self.open.wait(5)
        if self.error is not None:
            raise self.error
        self.taken.append(lanes)


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def nudges(broker: Broker, metrics: Metrics) -> Iterator[Nudges]:
    made = Nudges(broker.nudge, metrics)
    made.start()
    yield made
    broker.open.set()
    made.stop()


def test_what_comes_while_one_is_sent_is_gathered(broker: Broker, nudges: Nudges) -> None:
    broker.open.clear()
    nudges.committed({3})
    time.sleep(0.05)
    for lane in (9, 1, 9, 5):
        nudges.committed({lane})
    broker.open.set()
    eventually(lambda: len(broker.taken) == 2)
    assert broker.taken == [[3], [1, 5, 9]]


@pytest.mark.parametrize("error", [Unavailable("away"), ValueError("odd")])
def test_a_failing_broker_is_counted_and_tried_again(
    broker: Broker, nudges: Nudges, metrics: Metrics, error: Exception
) -> None:
    broker.error = error
    nudges.committed({1})
    failed = {"result": "failed"}
    eventually(lambda: metrics.registry.get_sample_value("gateway_nudges_total", failed) == 1)
    broker.error = None
    nudges.committed({2})
    eventually(lambda: broker.taken == [[2]])


def test_stopping_sends_what_is_left(broker: Broker, metrics: Metrics) -> None:
    nudges = Nudges(broker.nudge, metrics)
    nudges.start()
    nudges.committed({1})
    nudges.committed({2})
    nudges.stop()
    assert sorted(lane for lanes in broker.taken for lane in lanes) == [1, 2]
