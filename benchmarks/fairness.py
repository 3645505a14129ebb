"""One account at 50 times the others' rate: how long the others of its lane wait."""

import contextlib
from typing import Final

from benchmarks.deployment import Deployment, deployment
from benchmarks.figures import Figure, Row, alternate, at_most
from benchmarks.latency import due, way
from benchmarks.open_loop import Due, Latency, latency, offer
from benchmarks.plan import Plan, broker
from storage.log import MessageLog

LANE: Final = 7
ACCOUNTS: Final = 11
"""The last one floods."""
RATE: Final = 10.0
"""Deliveries/s of each quiet account."""
FLOOD: Final = 50
SECONDS: Final = 12.0


def run(plan: Plan) -> Row:
    """For each database, with and without the flood, in turn."""
    figures: list[Figure] = []
    for kind in plan.databases:
        found = measure(kind, plan)
        figures.append(
            Figure(
                what=f"p99 beside a flooding account, {kind}",
                unit="ms",
                values=[x.p99_ms for x in found["flood"]],
                yardstick="without the flood",
                yardstick_values=[x.p99_ms for x in found["quiet"]],
                target=at_most(2.0, "ratio"),
            )
        )
    notes = [
        f"{ACCOUNTS - 1} accounts of one lane at {RATE:.0f}/s, and one at {RATE * FLOOD:.0f}/s",
    ]
    return Row(figures=figures, notes=notes)


def measure(kind: str, plan: Plan) -> dict[str, list[Latency]]:
    """`quiet` and `flood`: what the quiet accounts' messages took."""
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(broker(kind))
        gateway = stack.enter_context(deployment(kind, broker_url=url))
        gateway.connect(ACCOUNTS, [LANE])
        edge, _, key = stack.enter_context(way(gateway))
        log = MessageLog(gateway.database)

        def once(flood: bool) -> Latency:
            schedule, quiet = mixed(gateway, plan.seconds(SECONDS), flood=flood)
            times = offer(edge, key, str(log.head()), schedule)
            return latency([times[number] for number in quiet])

        measures = {"quiet": lambda: once(False), "flood": lambda: once(True)}
        return alternate(measures, plan.rounds, plan.on(kind))


def mixed(gateway: Deployment, seconds: float, *, flood: bool) -> tuple[list[Due], list[int]]:
    """All deliveries in order of time, and the numbers of those from quiet accounts."""
    *others, flooding = gateway.pages
    step = 1 / (RATE * len(others))
    times = [(n * step, others[n % len(others)]) for n in range(int(seconds / step))]
    if flood:
        rate = RATE * FLOOD
        times += [(n / rate, flooding) for n in range(int(seconds * rate))]
    times.sort(key=lambda each: each[0])
    schedule = [due(gateway, number, at, page) for number, (at, page) in enumerate(times)]
    return schedule, [number for number, (_, page) in enumerate(times) if page != flooding]
