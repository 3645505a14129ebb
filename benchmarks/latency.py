"""From POST to visible in a long poll, with all processes real, at a rate that is offered."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final

from benchmarks.deliveries import Signed, sign, text_delivery
from benchmarks.deployment import Deployment, Page, Server, deployment
from benchmarks.figures import Figure, Row, alternate, at_most
from benchmarks.open_loop import Due, Latency, latency, offer
from benchmarks.plan import Plan, broker
from storage.log import MessageLog
from tests.processes import Process

RATE: Final = 1_000
SECONDS: Final = 10.0
PAGES: Final = 1_000
QUIET_RATE: Final = 20
"""The yardstick: the same way with nothing else on it."""
TARGETS_MS: Final = {"postgresql": (15.0, 100.0), "sqlite": (30.0, None)}


def run(plan: Plan) -> Row:
    """Each database with its broker: a loaded and a quiet run, in turn."""
    figures: list[Figure] = []
    for kind in plan.databases:
        with contextlib.ExitStack() as stack:
            url = stack.enter_context(broker(kind))
            gateway = stack.enter_context(deployment(kind, broker_url=url))
            gateway.connect(PAGES)
            measure = stack.enter_context(visible(gateway))
            measures = {
                "quiet": partial(measure, QUIET_RATE, plan.seconds(SECONDS)),
                "loaded": partial(measure, RATE, plan.seconds(SECONDS)),
            }
            found = alternate(measures, plan.rounds, plan.on(kind))
        figures += _figures(kind, found)
    return Row(figures=figures, notes=[f"{RATE:,}/s offered, open loop, timed from when due"])


def _figures(kind: str, found: dict[str, list[Latency]]) -> Iterator[Figure]:
    way = {"postgresql": "PostgreSQL and Redis", "sqlite": "embedded"}[kind]
    for name, target in zip(("p50_ms", "p99_ms"), TARGETS_MS[kind], strict=True):
        yield Figure(
            what=f"POST to visible, {name[:3]}, {way}",
            unit="ms",
            values=[getattr(x, name) for x in found["loaded"]],
            yardstick=f"at {QUIET_RATE}/s",
            yardstick_values=[getattr(x, name) for x in found["quiet"]],
            target=None if target is None else at_most(target),
        )


@contextlib.contextmanager
def way(gateway: Deployment) -> Iterator[tuple[Server, Process, str]]:
    """An edge, a worker and a key to pull with; one message has travelled already."""
    key = gateway.api_key()
    with gateway.edge() as edge, gateway.worker() as worker:
        after = str(MessageLog(gateway.database).head())
        offer(edge, key, after, at_rate(gateway, gateway.pages[:1], 1))
        yield edge, worker, key


@contextlib.contextmanager
def visible(gateway: Deployment) -> Iterator[Callable[[int, float], Latency]]:
    """An edge and a worker of `gateway`, and how to measure at so many a second for so long."""
    log = MessageLog(gateway.database)
    with way(gateway) as (edge, _, key):

        def measure(rate: int, seconds: float) -> Latency:
            count = int(rate * seconds)
            pages = [gateway.pages[number % len(gateway.pages)] for number in range(count)]
            schedule = at_rate(gateway, pages, rate)
            return latency(offer(edge, key, str(log.head()), schedule))

        yield measure


def at_rate(gateway: Deployment, pages: Sequence[Page], rate: float) -> list[Due]:
    """A delivery for each of `pages`, evenly in time."""
    return [due(gateway, number, number / rate, page) for number, page in enumerate(pages)]


def due(gateway: Deployment, number: int, at_s: float, page: Page) -> Due:
    """The delivery of message `number` for `page`."""
    body = text_delivery(page.account, str(7_000_000 + number % 20), f"n{number} hello")
    return Due(at_s, Signed(sign(gateway.app_secret.encode(), body), body))
