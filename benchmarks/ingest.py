"""Durable ingest of one edge process, against an endpoint that does nothing on the same server."""

import contextlib
import itertools
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.closed_loop import CONNECTIONS, FEW, generator, load
from benchmarks.deliveries import deliveries, write_file
from benchmarks.deployment import Deployment, Server, cpu_s, deployment
from benchmarks.figures import Figure, Row, alternate, at_least
from benchmarks.noop import noop_server
from benchmarks.plan import Plan, broker

SECONDS: Final = 4.0
BODIES: Final = 30_000
PAGES: Final = 1_000
NOOPS: Final = ("no-op", "unread no-op")
"""The first reads its request, the second answers without."""
TARGETS: Final = {"postgresql": 0.8, "sqlite": 0.9}
"""DESIGN's; issue 2 asks for 0.8 on both."""


class Ingested(NamedTuple):
    """What a run of load found; the processor's time does not depend on who else is at work."""

    per_second: float
    cpu_us: float
    """The server's own time for each delivery, in all its threads."""


def run(plan: Plan) -> Row:
    """The edge on each database and two no-op endpoints, in turn, with many and few connections."""
    with contextlib.ExitStack() as stack:
        servers: dict[str, tuple[Server, Path, str]] = {}
        for kind in plan.databases:
            url = stack.enter_context(broker(kind))
            gateway = stack.enter_context(deployment(kind, broker_url=url))
            gateway.connect(PAGES)
            path = write_deliveries(gateway, plan.amount(BODIES))
            servers[kind] = stack.enter_context(gateway.edge()), path, ""
        noop = stack.enter_context(noop_server(gateway.settings.data_dir))
        servers |= {"no-op": (noop, path, ""), "unread no-op": (noop, path, "/unread")}
        measures = {
            f"{name} {count}": partial(loaded, server, path, plan.seconds(SECONDS), count, prefix)
            for count in (CONNECTIONS, FEW)
            for name, (server, path, prefix) in servers.items()
        }
        found = alternate(measures, plan.rounds, plan.progress)
    return Row(figures=[*_figures(plan, found)], notes=[f"load generator: {generator()}"])


def _figures(plan: Plan, found: dict[str, list[Ingested]]) -> Iterator[Figure]:
    for count, kind, noop in itertools.product((CONNECTIONS, FEW), plan.databases, NOOPS):
        yield Figure(
            what=f"durable ingest, {kind}, {count} connections",
            unit="/s",
            values=[x.per_second for x in found[f"{kind} {count}"]],
            yardstick=noop,
            yardstick_values=[x.per_second for x in found[f"{noop} {count}"]],
            target=at_least(TARGETS[kind], "ratio"),
        )
    for kind, noop in itertools.product(plan.databases, NOOPS):
        yield Figure(
            what=f"the edge's time for a delivery, {kind}",
            unit="µs",
            values=[x.cpu_us for x in found[f"{kind} {CONNECTIONS}"]],
            yardstick=noop,
            yardstick_values=[x.cpu_us for x in found[f"{noop} {CONNECTIONS}"]],
        )


def loaded(
    server: Server,
    deliveries: Path,
    seconds: float,
    connections: int = CONNECTIONS,
    prefix: str = "",
) -> Ingested:
    """Load `server` for so long."""
    before = cpu_s(server.process)
    done = load(server.url, deliveries, seconds, connections=connections, prefix=prefix)
    return Ingested(done.per_second, (cpu_s(server.process) - before) / done.requests * 1e6)


@contextlib.contextmanager
def ingest(gateway: Deployment, plan: Plan) -> Iterator[Callable[[], float]]:
    """An edge of `gateway`, and how to measure its deliveries/s."""
    path = write_deliveries(gateway, plan.amount(BODIES))
    with gateway.edge() as edge:
        yield lambda: loaded(edge, path, plan.seconds(SECONDS)).per_second


def write_deliveries(gateway: Deployment, count: int) -> Path:
    """A file of `count` different deliveries for the connected Pages."""
    path = gateway.settings.data_dir / "deliveries"
    write_file(path, list(deliveries(gateway, count, gateway.pages)))
    return path
