"""`gateway messages`: the message log as it grows."""

import time
from typing import TYPE_CHECKING, Annotated, Final

import typer

from gateway.cli.output import note
from gateway.cli.parts import Parts, parts

if TYPE_CHECKING:
    from storage.cursors import Cursor
    from storage.log import Filter, MessageLog, Row

app = typer.Typer(help="The message log.", no_args_is_help=True)

BATCH: Final = 200
BACKLOG: Final = 10
"""How many of the newest messages are shown first."""
LOOK_S: Final = 0.3
_TEXT: Final = 80


@app.callback()
def message_commands() -> None:
    """The message log."""


@app.command()
def tail(
    tenant: Annotated[str | None, typer.Option(help="Only of this tenant.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print each message as one line of JSON.")
    ] = False,
) -> None:
    """Print the newest messages and those that follow, until Ctrl-C; it opens their content."""
    from storage.log import Filter, MessageLog

    only = Filter(tenant=tenant)
    with parts() as built:
        log = MessageLog(built.database)
        cursor = log.back(BACKLOG)
        try:
            while True:
                cursor, more = _print_next(built, log, cursor, only, as_json=as_json)
                if not more:
                    time.sleep(LOOK_S)
        except KeyboardInterrupt:
            note("")


def _print_next(
    built: Parts, log: "MessageLog", cursor: "Cursor", only: "Filter", *, as_json: bool
) -> "tuple[Cursor, bool]":
    from contracts.errors import CursorError
    from storage.cursors import parse_cursor

    try:
        page = log.read(cursor, BATCH, only)
    except CursorError as error:
        note(f"{error}; going on from there")
        return parse_cursor(error.resume), True
    for row in page.rows:
        plain = _open(built, row)
        if plain is not None:
            typer.echo(plain.decode() if as_json else _line(plain))
    return page.next, page.has_more


def _open(built: Parts, row: "Row") -> bytes | None:
    """The message as JSON, or None when it was erased, or does not open. Raises `UnknownKey` when
    the key store is another database's.
    """
    from contracts.errors import KeyDestroyed, Tampered, UnknownKey
    from contracts.messages import with_sequence
    from storage.message_id import seal_id
    from token_vault import Purpose

    if row.sealed is None:
        return None
    try:
        keys = built.vault.tenant(row.tenant)
        plain = keys.open(Purpose.MESSAGE, seal_id(row.day, row.hash), row.sealed)
    except KeyDestroyed:
        return None
    except (Tampered, UnknownKey) as error:
        built.fit.check()
        note(f"position {row.position} does not open ({error.reason})")
        return None
    return with_sequence(plain, row.position)


def _line(plain: bytes) -> str:
    """Time, type, tenant, conversation and text, shortened and free of control characters."""
    from contracts.messages import PREFIX, decode

    message = decode(plain)
    text = getattr(message.data, "text", None) or getattr(message.data, "emoji", None) or ""
    if not isinstance(text, str):
        text = ""
    text = "".join(c if c.isprintable() else " " for c in text)
    shown = text if len(text) <= _TEXT else text[: _TEXT - 1] + "…"
    kind = message.type.removeprefix(PREFIX)
    subject = message.subject if isinstance(message.subject, str) else "-"
    return f"{message.time}  {kind:<18}  {message.tenant:<12}  {subject:<30}  {shown}"
