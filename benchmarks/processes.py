"""Memory of edge and worker under load, and how fast an edge starts."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from benchmarks.deployment import Deployment, deployment
from benchmarks.figures import Figure, Row, alternate, at_most
from benchmarks.latency import PAGES, RATE, at_rate, way
from benchmarks.noop import noop_server
from benchmarks.open_loop import offer
from benchmarks.plan import Plan, broker
from storage.log import MessageLog
from tests.processes import Process

SECONDS: Final = 90.0
EVERY_S: Final = 0.5
TARGETS_MB: Final = {"edge": 100.0, "worker": 200.0}


def run(plan: Plan) -> Row:
    """For each database: resident memory over time, then cold starts."""
    figures: list[Figure] = []
    for kind in plan.databases:
        with contextlib.ExitStack() as stack:
            url = stack.enter_context(broker(kind))
            gateway = stack.enter_context(deployment(kind, broker_url=url))
            gateway.connect(PAGES)
            plan.progress(f"{kind}: memory under load")
            figures += memory(gateway, plan.seconds(SECONDS))
            figures.append(cold_start(gateway, plan))
    note = f"memory: resident, last quarter of {plan.seconds(SECONDS):.0f} s at {RATE:,}/s"
    return Row(figures=figures, notes=[note])


def memory(gateway: Deployment, seconds: float) -> Iterator[Figure]:
    """Resident megabytes of edge and worker in the last quarter against the second one."""
    with way(gateway) as (edge, worker, key):
        samples = {"edge": Samples(edge.process), "worker": Samples(worker)}
        count = int(RATE * seconds)
        pages = [gateway.pages[number % len(gateway.pages)] for number in range(count)]
        schedule = at_rate(gateway, pages, RATE)
        after = str(MessageLog(gateway.database).head())
        with contextlib.ExitStack() as stack:
            for each in samples.values():
                stack.enter_context(each)
            offer(edge, key, after, schedule)
    for name, taken in samples.items():
        yield Figure(
            what=f"memory of the {name}, {gateway.name}",
            unit="MB",
            values=taken.quarter(3),
            yardstick="second quarter",
            yardstick_values=taken.quarter(1),
            target=at_most(TARGETS_MB[name]),
        )


class Samples:
    """Resident memory of a process, taken by a thread while it is entered."""

    def __init__(self, process: Process) -> None:
        self._status = Path(f"/proc/{process.pid}/status")
        self.taken: list[float] = []
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Samples":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def quarter(self, number: int) -> Sequence[float]:
        """The samples of a quarter of the time, 0 to 3."""
        size = len(self.taken) // 4
        return self.taken[number * size : (number + 1) * size]

    def _run(self) -> None:
        while not self._done.wait(EVERY_S):
            line = next(x for x in self._status.read_text().splitlines() if x.startswith("VmRSS"))
            self.taken.append(int(line.split()[1]) / 1024)


def cold_start(gateway: Deployment, plan: Plan) -> Figure:
    """Seconds from exec to the first 200 of /healthz."""
    folder = gateway.settings.data_dir

    def took(start: Callable[[], contextlib.AbstractContextManager[object]]) -> float:
        began = time.perf_counter()
        with start():
            return time.perf_counter() - began

    measures = {
        "no-op": lambda: took(lambda: noop_server(folder)),
        "edge": lambda: took(gateway.edge),
    }
    found = alternate(measures, plan.rounds, plan.on(f"cold start, {gateway.name}"))
    return Figure(
        what=f"cold start of the edge, {gateway.name}",
        unit="s",
        values=found["edge"],
        yardstick="no-op server",
        yardstick_values=found["no-op"],
        target=at_most(1.0),
    )
