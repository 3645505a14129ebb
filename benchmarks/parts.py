"""Where the edge's time goes: the same load on edges that lack a part."""

import contextlib
from collections.abc import Callable
from functools import partial
from typing import Final

from benchmarks.deployment import deployment
from benchmarks.figures import Figure, Row, alternate
from benchmarks.ingest import BODIES, PAGES, SECONDS, Ingested, loaded, write_deliveries
from benchmarks.noop import noop_server
from benchmarks.plan import Plan, broker

WITHOUT: Final = {
    "whole": (),
    "without nudges": ("nudges",),
    "without nudges and store": ("nudges", "store"),
}


def run(plan: Plan) -> Row:
    """For each database, the time that each edge takes for a delivery, in turn."""
    figures: list[Figure] = []
    for kind in plan.databases:
        found = measure(kind, plan)
        yardstick = [x.cpu_us for x in found.pop("no-op")]
        for name, values in found.items():
            figures.append(
                Figure(
                    what=f"the edge {name}, {kind}",
                    unit="µs",
                    values=[x.cpu_us for x in values],
                    yardstick="no-op",
                    yardstick_values=yardstick,
                )
            )
    return Row(figures=figures, notes=["processor time for a delivery, all threads of the process"])


def measure(kind: str, plan: Plan) -> dict[str, list[Ingested]]:
    """The edges of `WITHOUT` and the no-op."""
    measures: dict[str, Callable[[], Ingested]] = {}
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(broker(kind))
        gateway = stack.enter_context(deployment(kind, broker_url=url))
        gateway.connect(PAGES)
        path = write_deliveries(gateway, plan.amount(BODIES))
        servers = {
            name: stack.enter_context(gateway.edge("benchmarks.lame_edge", *without))
            for name, without in WITHOUT.items()
        }
        servers["no-op"] = stack.enter_context(noop_server(gateway.settings.data_dir))
        for name, server in servers.items():
            measures[name] = partial(loaded, server, path, plan.seconds(SECONDS))
        return alternate(measures, plan.rounds, plan.on(kind))
