"""The table, results.json, and the figures in README.md."""

import statistics
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec
from rich.box import SIMPLE
from rich.table import Table

from benchmarks.figures import Figure, Machine, Row, short, spread

FOLDER: Final = Path(__file__).parent
RESULTS: Final = FOLDER / "results.json"
README: Final = FOLDER / "README.md"
BEGIN: Final = "<!-- figures: written by python -m benchmarks -->\n"
END: Final = "<!-- end of figures -->\n"

HEAD: Final = ("what", "median", "range", "ratio", "to", "of", "target", "met")
WORDS: Final = ("what", "to")


def table(title: str, row: Row) -> Table:
    """A row for the terminal."""
    made = Table(
        title=title, title_justify="left", caption="; ".join(row.notes) or None, box=SIMPLE
    )
    for name in HEAD:
        made.add_column(name, justify="left" if name in WORDS else "right", no_wrap=True)
    for figure in row.figures:
        made.add_row(*cells(figure))
    return made


def cells(figure: Figure) -> Iterator[str]:
    """A figure as text, in the order of `HEAD`."""
    yield figure.what
    yield f"{short(figure.median)} {figure.unit}"
    yield spread(figure.values)
    if figure.ratio is None:
        yield from ("", "", "")
    else:
        yield f"{figure.ratio:.2f} ({min(figure.ratios):.2f}-{max(figure.ratios):.2f})"
        yield figure.yardstick
        yield short(statistics.median(figure.yardstick_values))
    target = figure.target
    yield str(target or "")
    yield "" if target is None else "yes" if target.met(figure) else "no"


def as_json(rows: Mapping[str, Row]) -> bytes:
    """Everything, with the medians and ratios beside the values that they come from."""
    built = {name: msgspec.to_builtins(row) for name, row in rows.items()}
    for name, row in rows.items():
        for figure, out in zip(row.figures, built[name]["figures"], strict=True):
            out |= {"median": figure.median, "ratio": figure.ratio}
            out["met"] = None if figure.target is None else figure.target.met(figure)
    return msgspec.json.format(msgspec.json.encode(built), indent=1)


def save(rows: Mapping[str, Row]) -> None:
    """Put `rows` into results.json and README.md; rows that were not measured now stay."""
    known: dict[str, Row] = {}
    if RESULTS.exists():
        known = msgspec.json.decode(RESULTS.read_bytes(), type=dict[str, Row])
    known |= rows
    RESULTS.write_bytes(as_json(known) + b"\n")
    text = README.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    README.write_text(f"{before}{BEGIN}{markdown(known)}{END}{after}", encoding="utf-8")


def markdown(rows: Mapping[str, Row]) -> str:
    """All rows as one section of Markdown."""
    lines = ["", f"| {' | '.join(HEAD)} |", f"|{'---|' * len(HEAD)}"]
    for row in rows.values():
        lines += [f"| {' | '.join(cells(figure))} |" for figure in row.figures]
    lines += ["", *(f"* {name}: {_where(row)}" for name, row in rows.items()), "", ""]
    return "\n".join(lines)


def _where(row: Row) -> str:
    found = row.machine
    said = [] if found is None else [*_machine(found)]
    return "; ".join([*said, *row.notes])


def _machine(found: Machine) -> Iterator[str]:
    yield f"{found.at}, {found.cores} cores, {found.cpu}, Linux {found.kernel}"
    yield f"Python {found.python}, SQLite {found.sqlite}"
    yield "PostgreSQL " + ", ".join(f"{k} {v}" for k, v in found.postgresql.items())
    yield f"load before {found.load_before}"
