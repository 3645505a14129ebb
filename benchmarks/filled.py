"""The way of a message with a million rows stored, against an empty database, in the same run."""

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from benchmarks.deployment import Deployment, deployment
from benchmarks.drain import LANES, TENANTS, drain
from benchmarks.figures import Figure, Row, alternate, at_least, at_most
from benchmarks.filling import fill
from benchmarks.ingest import ingest
from benchmarks.latency import RATE, visible
from benchmarks.plan import Plan, broker
from benchmarks.pull import HttpPull, pull_in_process

PULLED: Final = 20_000
SECONDS: Final = 6.0
SLOWER: Final = 1.11
"""0.9 times as fast, said of a time."""

Measured = contextlib.AbstractContextManager[Callable[[], float]]
Part = Callable[[Deployment, Plan], Measured]


def run(plan: Plan) -> Row:
    """For each database an empty deployment and a filled one, measured in turn."""
    figures: list[Figure] = []
    for kind in plan.databases:
        with contextlib.ExitStack() as stack:
            empty = _deployed(kind, stack)
            full = _deployed(kind, stack)
            fill(full, plan.rows, plan.on(kind))
            for what, unit, part in PARTS:
                figures.append(_compared(f"{what}, {kind}", unit, part, empty, full, plan))
    return Row(figures=figures, notes=[f"{plan.rows:,} handled items, keys and messages"])


def _deployed(kind: str, stack: contextlib.ExitStack) -> Deployment:
    url = stack.enter_context(broker(kind))
    gateway = stack.enter_context(deployment(kind, broker_url=url))
    gateway.connect(TENANTS, LANES)
    return gateway


def _compared(
    what: str, unit: str, part: Part, empty: Deployment, full: Deployment, plan: Plan
) -> Figure:
    with part(empty, plan) as on_empty, part(full, plan) as on_full:
        found = alternate({"empty": on_empty, "filled": on_full}, plan.rounds, plan.on(what))
    return Figure(
        what=what,
        unit=unit,
        values=found["filled"],
        yardstick="empty",
        yardstick_values=found["empty"],
        target=at_most(SLOWER, "ratio") if unit == "ms" else at_least(0.9, "ratio"),
    )


@contextlib.contextmanager
def _pull(gateway: Deployment, plan: Plan) -> Iterator[Callable[[], float]]:
    yield partial(pull_in_process, gateway, plan.amount(PULLED))


@contextlib.contextmanager
def _pull_http(gateway: Deployment, plan: Plan) -> Iterator[Callable[[], float]]:
    with gateway.edge() as edge:
        yield HttpPull(gateway, edge, plan.amount(PULLED)).measure


@contextlib.contextmanager
def _latency(gateway: Deployment, plan: Plan) -> Iterator[Callable[[], float]]:
    with visible(gateway) as measure:
        yield lambda: measure(RATE, plan.seconds(SECONDS)).p50_ms


PARTS: Final[tuple[tuple[str, str, Part], ...]] = (
    ("drain", "messages/s", drain),
    ("pull in process", "messages/s", _pull),
    ("pull over HTTP", "messages/s", _pull_http),
    ("POST to visible, p50", "ms", _latency),
    ("durable ingest", "deliveries/s", ingest),  # the last: nobody drains what it leaves
)
