"""`gateway deliveries`: what came in and waits, found no connection, or could not be read."""

import time
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gateway.cli.output import Json, console, fields, note, rows, when, write_json
from gateway.cli.parts import Parts, parts

if TYPE_CHECKING:
    from storage.deliveries import Delivery
    from storage.replays import Replay

app = typer.Typer(help="Stored deliveries.", no_args_is_help=True)

REPLAYED: Final = ("waiting", "unrouted", "parked")
LISTED: Final = (*REPLAYED, "paused")
PATIENCE_S: Final = 60.0
"""How long a replay may make no progress before the command leaves it to the workers."""
LOOK_S: Final = 0.2

Status = Annotated[str | None, typer.Option(help="waiting, unrouted, parked or paused.")]
Provider = Annotated[str | None, typer.Option(help="Only of this provider.")]


@app.command("list")
def list_deliveries(
    status: Status = None,
    provider: Provider = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many of each status.")] = 100,
    as_json: Json = False,
) -> None:
    """What waits, is unrouted, parked, or waits for a paused connection, oldest first; contents
    stay sealed.
    """
    from storage.deliveries import Deliveries

    with parts() as built:
        deliveries = Deliveries(built.database)
        found = [
            _shown(delivery)
            for wanted in ([status] if status else LISTED)
            for delivery in deliveries.list(wanted, provider=provider, limit=limit)
        ]
    if as_json:
        write_json(found)
        return
    columns = ["id", "status", "provider", "received_at", "tenant", "connection", "reason"]
    rows(columns, found, empty="There are no such deliveries.")


@app.command()
def show(
    id: Annotated[str, typer.Argument(help="itm_… or prk_…")],  # noqa: A002
    as_json: Json = False,
) -> None:
    """One delivery; its content stays sealed."""
    from storage.deliveries import Deliveries

    with parts() as built:
        shown = _shown(Deliveries(built.database).get(id))
    write_json(shown) if as_json else fields(shown)


@app.command()
def replay(
    id: Annotated[str | None, typer.Argument(help="itm_… or prk_…")] = None,  # noqa: A002
    status: Status = None,
    provider: Provider = None,
    as_json: Json = False,
) -> None:
    """Have a worker run one delivery, or all of a status, again; nothing is added twice."""
    from contracts.errors import InvalidInput
    from storage.deliveries import Deliveries
    from storage.replays import Replays

    if (id is None) == (status is None):
        raise InvalidInput("name one delivery, or a --status")
    if status is not None and status not in REPLAYED:
        raise InvalidInput(f"--status: one of {', '.join(REPLAYED)}")
    with parts() as built:
        if id is not None:
            Deliveries(built.database).get(id)
        order = Replays(built.database).order(delivery=id, status=status, provider=provider)
        _nudge(built, order.id)
        done = _wait(built, order)
    write_json(done._asdict()) if as_json else note(_outcome(done))
    raise typer.Exit(0 if done.state == "done" else 1)


def _nudge(built: Parts, replay_id: str) -> None:
    from contracts.errors import Unavailable
    from workers.queue import Queue

    try:
        Queue(built.settings.broker).replay(replay_id)
    except Unavailable:
        note("The broker is away: a worker finds the order by itself a little later.")


def _wait(built: Parts, order: "Replay") -> "Replay":
    """Follow the replay until it ended, or made no progress for too long."""
    from storage.replays import Replays

    replays = Replays(built.database)
    seen, patient_until = order, time.monotonic() + PATIENCE_S
    with console(err=True).status("waiting for a worker") as shown:
        while seen.state == "queued" and time.monotonic() < patient_until:
            time.sleep(LOOK_S)
            now = replays.get(order.id)
            if now != seen:
                seen, patient_until = now, time.monotonic() + PATIENCE_S
                shown.update(f"{seen.items} deliveries")
    return seen


def _outcome(done: "Replay") -> str:
    if done.state == "queued":
        return f"{done.id} is ordered, but no worker is at it. Is one running?"
    if done.state == "failed":
        return f"Failed: {done.detail}"
    again = f", parked again {done.parked}" if done.parked else ""
    items = "1 delivery" if done.items == 1 else f"{done.items} deliveries"
    return f"{items}: added {done.added}, already there {done.duplicate}{again}"


def _shown(delivery: "Delivery") -> dict[str, Any]:
    shown = delivery._asdict()
    return {"received_at" if k == "received_at_ms" else k: v for k, v in shown.items()} | {
        "received_at": when(delivery.received_at_ms)
    }
