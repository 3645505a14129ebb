"""`gateway connections`: the accounts that tenants have connected."""

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gateway.cli.output import Json, fields, note, rows, when, write_json
from gateway.cli.parts import Parts, parts

if TYPE_CHECKING:
    from contracts.tokens import Secret
    from gateway.connecting import Connected
    from storage.connections import Connection

app = typer.Typer(help="The accounts that tenants have connected.", no_args_is_help=True)

STATUSES: Final = ("pending", "active", "degraded", "needs_reauth", "paused", "revoking", "revoked")
ILL: Final = ("degraded", "needs_reauth")
PAGE: Final = 500

Tenant = Annotated[str | None, typer.Option(help="Only of this tenant.")]
Provider = Annotated[str | None, typer.Option(help="Only at this provider.")]
Status = Annotated[str | None, typer.Option(help="Only in this status, e.g. active.")]


@app.command()
def add(
    tenant: Annotated[str, typer.Option(help="The tenant's name; it is made when it is new.")],
    provider: Annotated[str, typer.Option(help="For example facebook.")],
    account: Annotated[str, typer.Option(help="The account's id at the provider: a Page id.")],
    name: Annotated[str, typer.Option(help="For people.")] = "",
    parent: Annotated[
        str,
        typer.Option(help="What it is part of: a phone number's WhatsApp Business Account."),
    ] = "",
    token_stdin: Annotated[
        bool, typer.Option("--token-stdin", help="Read the account's token from standard input.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Connect an account by hand. Nothing is called; without a token it only receives."""
    from gateway.connecting import ManualAccount

    token = _read_token() if token_stdin else None
    with parts() as built:
        added = built.connecting.add(ManualAccount(tenant, provider, account, name, parent), token)
        if missing := built.off().get(provider):
            note(f"{provider} is off until {missing} is set.")
        if not added.calls_out:
            note("It receives, but cannot call out: it has no token.")
        _look_again(built)
    write_json(_shown(added)) if as_json else fields(_shown(added))


@app.command("list")
def list_connections(
    tenant: Tenant = None,
    provider: Provider = None,
    status: Status = None,
    ill: Annotated[
        bool, typer.Option("--ill", help="Only those with which something is wrong.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Connections, oldest first."""
    from contracts.errors import InvalidInput

    if status is not None and status not in STATUSES:
        raise InvalidInput(f"--status: one of {', '.join(STATUSES)}")
    statuses = ILL if ill else (status,)
    with parts() as built:
        pages = (
            page
            for one in statuses
            for page in _pages(built, tenant=tenant, provider=provider, status=one)
        )
        shown = [_shown(one) for page in pages for one in built.connecting.open(page)]
    if as_json:
        write_json(shown)
        return
    columns = ["id", "tenant", "provider", "account", "name", "status", "cause", "calls_out"]
    empty = "Nothing is wrong with any." if ill else "There are no such connections."
    rows(columns, shown, empty=empty)


@app.command()
def show(id: Annotated[str, typer.Argument(help="con_…")], as_json: Json = False) -> None:  # noqa: A002
    """One connection."""
    from storage.connections import Connections

    with parts() as built:
        found = Connections(built.database).get(id)
        shown = _shown(built.connecting.open([found])[0])
    write_json(shown) if as_json else fields(shown)


@app.command()
def revoke(
    id: Annotated[str, typer.Argument(help="con_…")],  # noqa: A002
    reason: Annotated[str, typer.Option(help="Stands in the receipt and in the feed.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen.")] = False,
    as_json: Json = False,
) -> None:
    """End a connection completely; a worker carries it out. Repeat it to see how far it is."""
    from gateway.cli import revoking

    with parts() as built:
        shown = revoking.planned(built, id) if dry_run else revoking.ordered(built, id, reason)
    write_json(shown) if as_json else revoking.tell(shown)


@app.command()
def explain(id: Annotated[str, typer.Argument(help="con_…")], as_json: Json = False) -> None:  # noqa: A002
    """How it is, in words: what is wrong, and what to do about it. Nobody is called."""
    from gateway.explaining import explain as sentences
    from gateway.facts import FactFinder
    from storage.connections import Connections

    with parts() as built:
        found = Connections(built.database).get(id)
        (opened,) = built.connecting.open([found])
        finder = FactFinder(built.database, built.vault, built.settings, built.off())
        told = sentences(finder.find(opened))
    if as_json:
        write_json([sentence._asdict() for sentence in told])
        return
    for says, do in told:
        typer.echo(says)
        if do:
            typer.echo(f"  → {do}")


@app.command()
def resync(id: Annotated[str, typer.Argument(help="con_…")]) -> None:  # noqa: A002
    """Have a worker ask the provider now how it stands, and mend what it can."""
    from gateway.resyncing import order_look
    from storage.connections import Connections
    from storage.due import DueRows

    with parts() as built:
        order_look(DueRows(built.database), Connections(built.database).get(id))
        _nudge(built)
    note(f"A worker looks at it: gateway connections explain {id}")


@app.command()
def pause(
    id: Annotated[str, typer.Argument(help="con_…")],  # noqa: A002
    reason: Annotated[str, typer.Option(help="Stands in the connection and in the feed.")] = "",
) -> None:
    """Have what comes in for it wait, from now on; nothing is lost."""
    from storage.pausing import Pauses

    with parts() as built:
        Pauses(built.database).order(id, reason=reason, by="command line")
        _nudge(built)
    note(f"It is paused. What comes in waits until: gateway connections resume {id}")
    note("Media are fetched then: what waits for long may have lost them at the provider.")


@app.command()
def resume(id: Annotated[str, typer.Argument(help="con_…")]) -> None:  # noqa: A002
    """Have a worker put what waited into the feed, in order, and go on."""
    from storage.pausing import Pauses

    with parts() as built:
        was_paused = Pauses(built.database).resume(id) is not None
        if was_paused:
            _nudge(built)
    note(f"A worker goes on with it: gateway connections explain {id}" if was_paused else _WORKS)


@app.command()
def openings(id: Annotated[str, typer.Argument(help="con_…")], as_json: Json = False) -> None:  # noqa: A002
    """Which jobs opened its tokens, by minute: the newest thousand lines, kept for a year."""
    from storage.connections import Connections
    from storage.grants import Grants
    from storage.openings import MINUTE_MS, TokenOpenings

    with parts() as built:
        found = Connections(built.database).get(id)
        ids = Grants(built.database).carrying(found.id)
        counted = TokenOpenings(built.database).of_grants(ids)
    shown = [row._asdict() | {"minute": when(row.minute * MINUTE_MS)} for row in counted]
    columns = ["minute", "job", "times", "grant", "process"]
    write_json(shown) if as_json else rows(columns, shown, empty="Nobody opened its tokens.")


_WORKS: Final = "It is not paused."


def _nudge(built: Parts) -> None:
    from contracts.errors import Unavailable
    from workers.queue import Queue

    try:
        Queue(built.settings.broker).due()
    except Unavailable:
        note("The broker is away: a worker finds it within a second or two.")


def _pages(built: Parts, **only: str | None) -> "Iterator[Sequence[Connection]]":
    """The connections, some hundred at a time."""
    from storage.connections import Connections

    stored, after = Connections(built.database), None
    while page := stored.list(**only, after=after, limit=PAGE):
        yield page
        after = page[-1].id


def _read_token() -> "Secret":
    from contracts.errors import InvalidInput
    from contracts.tokens import Secret

    text = sys.stdin.read().strip()
    if not text or not text.isprintable():
        raise InvalidInput("--token-stdin: standard input holds no token")
    return Secret(text)


def _look_again(built: Parts) -> None:
    """Have the workers look at what waits unrouted; they do so by themselves a little later."""
    from contracts.errors import Unavailable
    from workers.queue import Queue

    try:
        Queue(built.settings.broker).route_unrouted()
    except Unavailable:
        note("The broker is away: what waited for this account is found by the next sweep.")


def _shown(connected: "Connected") -> dict[str, Any]:
    from gateway.explaining import short

    connection, details, granted = connected
    return {
        "id": connection.id,
        "tenant": connection.tenant,
        "provider": connection.provider,
        "account": details.account if details else None,
        "name": details.name if details else None,
        "status": connection.status,
        "cause": short(connection),
        "reason": connection.status_reason,
        "calls_out": connected.calls_out,
        "token_obtained_at": when(granted and granted.obtained_at_ms),
        "token_expires_at": when(granted and granted.expires_at_ms),
        "created_at": when(connection.created_at_ms),
        "changed_at": when(connection.changed_at_ms),
        "receives_from": when(connection.receives_from_ms),
    }
