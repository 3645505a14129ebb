"""How commands print: tables for people, JSON for programs."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

if TYPE_CHECKING:
    from rich.console import Console

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def note(text: str) -> None:
    """A remark for people: on standard error, so that standard output stays what was asked for."""
    typer.echo(text, err=True)


def write_json(value: object) -> None:
    """One JSON document, indented, on standard output."""
    typer.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def rows(columns: Sequence[str], values: Iterable[Mapping[str, Any]], *, empty: str) -> None:
    """A table of `values`, whose keys are `columns`; or the sentence `empty`."""
    from rich.table import Table

    listed = list(values)
    if not listed:
        note(empty)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold")
    for value in listed:
        table.add_row(*(_cell(value[column]) for column in columns))
    console().print(table)


def fields(value: Mapping[str, Any]) -> None:
    """One thing, a line per field."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, content in value.items():
        table.add_row(name.replace("_", " "), _cell(content))
    console().print(table)


def console(*, err: bool = False) -> "Console":
    """A console that understands no markup; wide where it is no terminal: nothing is cut."""
    from rich.console import Console

    stream = sys.stderr if err else sys.stdout
    width = None if stream.isatty() else 240
    return Console(file=stream, markup=False, highlight=False, emoji=False, width=width)


def when(at_ms: int | None) -> str | None:
    """Unix milliseconds as text, UTC with milliseconds."""
    if at_ms is None:
        return None
    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    return f"{at.isoformat(timespec='milliseconds')[:-6]}Z"


def _cell(content: object) -> str:
    if content is None or content == "":
        return "-"
    if isinstance(content, bool):
        return "yes" if content else "no"
    return str(content)
