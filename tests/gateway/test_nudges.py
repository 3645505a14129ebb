"""What runs beside the requests: nudges to the workers, and the memory of what was refused."""

import threading
import time
from collections.abc import Iterator, Sequence

import pytest

from contracts.errors import StoreUnavailable, Unavailable
from gateway.metrics import Metrics
from gateway.nudges import Nudges
from gateway.refused import ELSEWHERE, LONGEST_MS, MOST_ROUTES, QUIET_MS, Refused, Span
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


class Store:
    """Keeps spans, unless it is away."""

    def __init__(self) -> None:
        self.away = False
        self.spans: list[Span] = []

    def add(self, spans: Sequence[Span]) -> None:
        if self.away:
            raise StoreUnavailable("away")
        self.spans += spans


class Clock:
    """A time that the test moves."""

    def __init__(self) -> None:
        self.now = 1_000_000

    def __call__(self) -> int:
        return self.now


@pytest.mark.anyio
async def test_a_span_is_told_when_it_is_over() -> None:
    store, clock = Store(), Clock()
    refused = Refused(store.add, clock)
    refused.note("facebook", "1", clock.now)
    clock.now += 500
    refused.note("facebook", "1", clock.now)
    assert await refused.flush()
    assert store.spans == []
    clock.now += QUIET_MS
    assert await refused.flush()
    assert store.spans == [Span("facebook", "1", 1_000_000, 1_000_500, 2)]
    assert len(refused) == 0


@pytest.mark.anyio
async def test_a_span_waits_for_the_store_and_goes_on_growing() -> None:
    store, clock = Store(), Clock()
    store.away = True
    refused = Refused(store.add, clock)
    refused.note("facebook", "1", clock.now)
    clock.now += QUIET_MS
    assert not await refused.flush()
    refused.note("facebook", "1", clock.now)
    store.away = False
    assert await refused.flush(ended=True)
    assert store.spans == [Span("facebook", "1", 1_000_000, 1_000_000 + QUIET_MS, 2)]


@pytest.mark.anyio
async def test_a_long_span_is_told_in_parts() -> None:
    store, clock = Store(), Clock()
    refused = Refused(store.add, clock)
    refused.note("facebook", "1", clock.now)
    clock.now += LONGEST_MS
    refused.note("facebook", "1", clock.now)
    assert await refused.flush()
    assert [span.refused for span in store.spans] == [2]


@pytest.mark.anyio
async def test_an_unexpected_error_forgets_no_span() -> None:
    clock, told = Clock(), []

    def odd(spans: Sequence[Span]) -> None:
        told.append(spans)
        raise ValueError("odd")

    refused = Refused(odd, clock)
    refused.note("facebook", "1", clock.now)
    for _ in range(2):
        with pytest.raises(ValueError, match="odd"):
            await refused.flush(ended=True)
    assert told[0] == told[1] != []


def test_memory_is_bounded() -> None:
    refused = Refused(Store().add, Clock())
    for n in range(MOST_ROUTES + 500):
        refused.note("facebook", str(n), n)
    assert len(refused) == MOST_ROUTES + 1
    assert refused._spans[ELSEWHERE] == [MOST_ROUTES, MOST_ROUTES + 499, 500]
