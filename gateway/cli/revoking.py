"""`gateway connections revoke`: what it would end, what it orders, how far it has come."""

from typing import Any

from contracts.errors import Conflict, Unavailable
from gateway.cli.output import note, rows
from gateway.cli.parts import Parts
from gateway.revoking import MEANT, shown
from storage.revocation_steps import CONSENT, SUBSCRIPTION, Step
from storage.revocations import Revocations

COLUMNS = ["step", "outcome", "detail"]


def planned(built: Parts, connection_id: str) -> dict[str, Any]:
    """What an order would do; nothing is changed and nobody is called. Raises `NotFound`."""
    plan = Revocations(built.database).plan(connection_id)
    steps = [_would(step, others) for step, others in plan]
    return {"connection": connection_id, "state": "dry run", "steps": steps}


def ordered(built: Parts, connection_id: str, reason: str) -> dict[str, Any]:
    """Order it, or show the one that there is. Raises `NotFound`."""
    revocations = Revocations(built.database)
    try:
        found = revocations.order(connection_id, reason=reason, by="command line")
    except Conflict:
        latest = revocations.of_connection(connection_id)
        if latest is None:
            raise
        found = latest
    else:
        _nudge(built)
    import msgspec

    state: dict[str, Any] = msgspec.to_builtins(shown(found))
    return state


def tell(state: dict[str, Any]) -> None:
    """For people."""
    rows(COLUMNS, state["steps"], empty="")
    match state["state"]:
        case "dry run":
            note("Nothing was changed.")
        case "running":
            note("A worker goes on with it. Say it again to see how far it is.")
        case "done":
            note("It is revoked.")
    if "by_hand" in state:
        note(state["by_hand"])


def _would(step: Step, others: int) -> dict[str, Any]:
    if step.step in (SUBSCRIPTION, CONSENT) and others:
        outcome, detail = "kept", f"{others} other connections use it"
    else:
        outcome, detail = "would be done", MEANT[step.step]
    return {"step": step.step, "outcome": outcome, "detail": detail, "others": others}


def _nudge(built: Parts) -> None:
    from workers.queue import Queue

    try:
        Queue(built.settings.broker).due()
    except Unavailable:
        note("The broker is away: a worker finds it within a second or so.")
