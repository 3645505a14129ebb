"""Finding due rows among a thousand, a hundred thousand and a million, and how late jobs begin."""

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

import sqlalchemy as sa

from benchmarks.deployment import Deployment, deployment
from benchmarks.figures import Figure, Row, alternate, at_most
from benchmarks.plan import Plan
from storage.database import now_ms
from storage.due import DueRows, Taken
from storage.grants import REFRESH
from storage.schema import due
from workers.metrics import Metrics
from workers.scheduler import AT_ONCE, Scheduler

TOTALS: Final = (1_000, 100_000, 1_000_000)
SAMPLES: Final = 50
"""Searches in one round, of which the median counts."""
RATE: Final = 200
"""Rows that come due in a second, for the lag: of a million grants that are refreshed every hour
and a half.
"""
SECONDS: Final = 3.0
FAR_MS: Final = 86_400_000

_FILL: Final = {
    True: "INSERT INTO due (kind, key, due_at_ms) SELECT :kind, 'gra_' || n, "
    "CAST(:first + n * :step AS bigint) FROM generate_series(0, :rows - 1) AS n",
    False: "WITH RECURSIVE s(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM s WHERE n < :rows - 1) "
    "INSERT INTO due (kind, key, due_at_ms) SELECT :kind, 'gra_' || n, "
    "CAST(:first + n * :step AS integer) FROM s",
}


def run(plan: Plan) -> Row:
    """For each database three tables of due rows, measured in turn."""
    figures: list[Figure] = []
    for kind in plan.databases:
        figures += _measured(kind, plan)
    notes = [
        f"{SAMPLES} searches a round, the median of them; {AT_ONCE} rows due at a time",
        f"lag: {RATE} rows a second come due for {plan.seconds(SECONDS):.0f} s; jobs do nothing",
    ]
    return Row(figures=figures, notes=notes)


def _measured(kind: str, plan: Plan) -> Iterator[Figure]:
    measures: dict[str, Callable[[], float]] = {}
    totals = [max(TOTALS[0], int(total * plan.scale)) for total in TOTALS]
    with contextlib.ExitStack() as stack:
        for total in totals:
            gateway = stack.enter_context(deployment(kind))
            plan.on(kind)(f"filling {total:,} rows")
            table = Filled(gateway, total)
            measures[f"lag {total}"] = partial(table.lag, plan.seconds(SECONDS))
            measures[f"nothing {total}"] = table.nothing_due
            measures[f"some {total}"] = table.some_due
        found = alternate(measures, plan.rounds, plan.on(kind))
    whats = {
        "nothing": ("a search that finds nothing due", "ms", at_most(3.0)),
        "some": (f"finding and leasing {AT_ONCE} due", "ms", at_most(3.0)),
        "lag": ("from due to begun, median", "ms", None),
    }
    for name, (what, unit, target) in whats.items():
        for total in totals[1:]:
            yield Figure(
                what=f"{what}, {total:,} rows, {kind}",
                unit=unit,
                values=found[f"{name} {total}"],
                yardstick=f"{totals[0]:,} rows",
                yardstick_values=found[f"{name} {totals[0]}"],
                target=target,
            )


class Filled:
    """A table of due rows, none of which is due before tomorrow."""

    def __init__(self, gateway: Deployment, rows: int) -> None:
        self._database = gateway.database
        self._rows = DueRows(gateway.database)
        self._total = rows
        self._next = 0
        step = 30 * FAR_MS / rows
        values = {"kind": REFRESH, "first": now_ms() + FAR_MS, "step": step, "rows": rows}
        with self._database.write() as connection:
            connection.execute(sa.text(_FILL[gateway.is_postgresql]), values)
        with self._database.read() as connection:
            connection.exec_driver_sql("VACUUM ANALYZE due" if gateway.is_postgresql else "ANALYZE")

    def nothing_due(self) -> float:
        """Milliseconds of a search, as most are."""
        return statistics.median(self._timed()[0] for _ in range(SAMPLES))

    def some_due(self) -> float:
        """Milliseconds until `AT_ONCE` due rows are found and leased."""
        times = []
        for _ in range(SAMPLES):
            self._let_come_due(AT_ONCE, in_ms=-1000)
            took, taken = self._timed()
            assert len(taken) == AT_ONCE
            times.append(took)
            for row in taken:
                self._rows.finish(row, now_ms() + FAR_MS)
        return statistics.median(times)

    def lag(self, seconds: float) -> float:
        """Median milliseconds from when a row was due until its job began."""
        count, late = int(RATE * seconds), []

        def job(row: Taken) -> None:
            assert row.due_at_ms is not None
            late.append(now_ms() - row.due_at_ms)
            self._rows.finish(row, now_ms() + FAR_MS)

        scheduler = Scheduler(self._rows, {REFRESH: job}, Metrics())
        self._let_come_due(count, in_ms=500, every_ms=1000 / RATE)
        scheduler.start()
        deadline = time.monotonic() + seconds + 20
        while len(late) < count and time.monotonic() < deadline:
            time.sleep(0.05)
        scheduler.stop()
        assert len(late) == count, f"{len(late)} of {count} jobs ran"
        return statistics.median(late)

    def _timed(self) -> tuple[float, list[Taken]]:
        began = time.perf_counter()
        taken = self._rows.take([REFRESH], AT_ONCE)
        return (time.perf_counter() - began) * 1000, taken

    def _let_come_due(self, count: int, *, in_ms: float, every_ms: float = 0.0) -> None:
        """`count` rows from all over the table, one after the other."""
        begin = now_ms() + in_ms
        stride = max(1, self._total // count)
        values = [
            {"k": f"gra_{(self._next + n * stride) % self._total}", "at": int(begin + n * every_ms)}
            for n in range(count)
        ]
        self._next += 1
        which = (due.c.kind == REFRESH, due.c.key == sa.bindparam("k"))
        sooner = sa.update(due).where(*which).values(due_at_ms=sa.bindparam("at"))
        with self._database.write() as connection:
            connection.execute(sooner, values)
