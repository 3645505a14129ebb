"""`python -m benchmarks`: measure, print a table, write benchmarks/results.json."""

import argparse
import importlib
import sys
from collections.abc import Callable, Sequence
from typing import Final

from rich.console import Console
from rich.status import Status

from benchmarks import report
from benchmarks.deployment import databases
from benchmarks.figures import Progress, Row
from benchmarks.machine import machine
from benchmarks.plan import Plan

BENCHMARKS: Final = {
    "ingest": "durable ingest of one edge process",
    "parts": "what the edge's time goes to",
    "drain": "drain of one worker process",
    "pull": "pull with content opened, in process and over HTTP",
    "latency": "POST to visible in a long poll",
    "filled": "the same four with a million rows stored",
    "fairness": "one account floods its lane",
    "scheduler": "finding due rows among a million",
    "rotation": "a million values re-sealed, ten thousand keys re-wrapped",
    "processes": "memory under load, cold start",
}
ROUNDS: Final = 5
QUICK_ROUNDS: Final = 2
QUICK_SCALE: Final = 0.25
WIDTH: Final = 150


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for; what fails to run ends the program, a missed target does not."""
    asked = _parser().parse_args(arguments)
    console = Console(stderr=asked.json)
    console.width = max(console.width, WIDTH)
    names = asked.only or list(BENCHMARKS)
    rows = {}
    with console.status("starting") as status:
        for name in names:
            plan = Plan(
                databases=databases(),
                rounds=QUICK_ROUNDS if asked.quick else ROUNDS,
                scale=QUICK_SCALE if asked.quick else 1.0,
                rows=asked.rows,
                progress=_progress(status, name),
            )
            rows[name] = measure(name, plan)
            if not asked.quick:
                report.save({name: rows[name]})
            if not asked.json:
                console.print(report.table(BENCHMARKS[name], rows[name]))
    if asked.json:
        sys.stdout.buffer.write(report.as_json(rows) + b"\n")
    return 0


def _progress(status: Status, name: str) -> Progress:
    return lambda text: status.update(f"{name}: {text}")


def measure(name: str, plan: Plan) -> Row:
    """One benchmark, with notes on the machine as it was before."""
    where = machine()
    run: Callable[[Plan], Row] = importlib.import_module(f"benchmarks.{name}").run
    found = run(plan)
    return Row(figures=found.figures, notes=found.notes, machine=where)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    listed = "; ".join(f"{name}: {text}" for name, text in BENCHMARKS.items())
    parser.add_argument(
        "--only", action="append", choices=BENCHMARKS, help=f"may be repeated ({listed})"
    )
    parser.add_argument(
        "--quick", action="store_true", help="two short rounds, and nothing is written"
    )
    parser.add_argument(
        "--rows",
        type=int,
        default=1_000_000,
        help="rows stored before `filled` and `rotation` measure",
    )
    parser.add_argument("--json", action="store_true", help="JSON on standard output, no table")
    return parser


if __name__ == "__main__":
    sys.exit(main())
