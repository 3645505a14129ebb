"""`gateway vault`: which keys are in use, and giving the vault new ones while everything runs."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gateway.cli.output import Json, console, fields, note, rows, when, write_json
from gateway.cli.parts import Parts, parts

if TYPE_CHECKING:
    from storage.rotations import Rotation, Rotations, Round
    from token_vault import Wrapping

app = typer.Typer(help="The vault's keys: how they stand, and new ones.", no_args_is_help=True)

PAGE: Final = 500
"""Tenants ordered in one transaction."""
MOST_NAMED: Final = 20
MOST_LISTED: Final = 1000
"""Tenants that `status --json` gives reasons for."""

STATES: Final = {
    "ordered": "get a new key as soon as a worker is at it",
    "sealing": "have a new key; rows under the old one are re-sealed",
    "settling": "are re-sealed; some process may still seal with the old key",
    "checking": "are looked through once more",
    "done": "are under their new key; the old one still opens backups",
    "retiring": "are looked through before their old keys are removed",
    "retired": "are under their new key; the old ones are removed",
    "held": "wait for keys that do not open, or not now; they are tried again every 5 minutes",
    "ended": "have no key any more: destroyed",
}
NEW: Final = ("done", "retiring", "retired")
"""States of tenants of whom everything is under the new key."""


@app.command()
def status(as_json: Json = False) -> None:
    """Which key-encryption key has wrapped how many keys, and how far rotations have come."""
    from storage.rotations import Rotations

    with parts() as built:
        wrapping = built.vault.rotation.wrapping()
        rotations = Rotations(built.database)
        states, last = rotations.states(), rotations.last_round()
        reasons = [_reason(one) for one in rotations.told(MOST_LISTED)]
    if as_json:
        kek = {"keys": _counts(wrapping), "previous_needed": _elsewhere(wrapping) > 0}
        done = last and _round(last)
        write_json({"kek": kek, "tenants": states, "reasons": reasons, "round": done})
        return
    rows(["keys", "wrapped_by", "which_is"], _counts(wrapping), empty="The key store is empty.")
    note(_advice(wrapping))
    shown = [
        {"state": state, "tenants": states[state], "that": text}
        for state, text in STATES.items()
        if states[state]
    ]
    rows(["state", "tenants", "that"], shown, empty="No tenant's key was ever rotated.")
    if reasons:
        rows([*reasons[0]], reasons[:MOST_NAMED], empty="")
        _further(len(reasons) - MOST_NAMED, "tenant")
    if last is not None:
        fields(_round(last))


@app.command()
def rotate(
    kek: Annotated[
        bool, typer.Option("--kek", help="Wrap all keys under GATEWAY_KEK_URI.")
    ] = False,
    tenant: Annotated[str | None, typer.Option(help="A new data key for this tenant.")] = None,
    all_tenants: Annotated[
        bool, typer.Option("--all-tenants", help="New data keys for all tenants.")
    ] = False,
    retire: Annotated[
        bool,
        typer.Option(
            "--retire",
            help="Instead: remove the old data keys. Backups from before no longer open.",
        ),
    ] = False,
) -> None:
    """New keys while everything runs; may be ended and begun again at any moment.

    Ends with 1 when something that was asked for was not done, or not ordered.
    """
    from contracts.errors import InvalidInput

    if [kek, tenant is not None, all_tenants].count(True) != 1 or (kek and retire):
        raise InvalidInput("say one of --kek, --tenant and --all-tenants; --retire with the latter")
    with parts() as built:
        if kek:
            _rewrap(built)
        elif retire:
            _retire(built, tenant)
        else:
            _order(built, tenant)


def _rewrap(built: Parts) -> None:
    from token_vault import Rewrapping

    last = Rewrapping(0, 0, [], {})
    with console(err=True).status("re-wrapping") as shown:
        for last in built.vault.rotation.rewrap():
            shown.update(f"{last.done} of {last.total} keys")
    note(f"{_many(last.done, 'key')} re-wrapped under {built.settings.kek}")
    left = [f"No key-encryption key of the settings opens: {name}" for name in last.unreadable]
    left += [f"Not now: {name}: {why}" for name, why in last.waiting.items()]
    for line in left[:MOST_NAMED]:
        note(line)
    _further(len(left) - MOST_NAMED, "key")
    note(_advice(built.vault.rotation.wrapping()))
    raise typer.Exit(1 if left else 0)


def _order(built: Parts, tenant: str | None) -> None:
    from storage.rotations import Rotations

    rotations = Rotations(built.database)
    if tenant is not None:
        built.vault.rotation.sealing(tenant)  # raises for one that has no keys
    asked = new = 0
    for page in [[tenant]] if tenant else _tenants(built):
        asked += len(page)
        new += rotations.order(page)
    if not asked:
        note("There is no tenant that has keys: nothing to do.")
        return
    note(f"Ordered for {_many(new, 'tenant')}; workers carry it out: gateway vault status")
    if asked > new:
        note(f"Under way already for {_many(asked - new, 'tenant')}.")


def _retire(built: Parts, tenant: str | None) -> None:
    from storage.rotations import Rotations

    rotations = Rotations(built.database)
    new = sum(
        rotations.order_retiring(page) for page in ([[tenant]] if tenant else _tenants(built))
    )
    if new:
        note(f"Ordered for {_many(new, 'tenant')}; workers look everything through first.")
    states = rotations.states() if tenant is None else _state_of(rotations, tenant)
    early = {state: count for state, count in states.items() if state not in (*NEW, "ended")}
    if early:
        counts = ", ".join(f"{count} {state}" for state, count in sorted(early.items()))
        note(
            f"{_many(sum(early.values()), 'tenant')} not everything of which is under a new key "
            f"({counts}): order it again when they are done: gateway vault status"
        )
    elif not states.keys() & {*NEW}:
        note("Nothing could be retired: no new data key was made. gateway vault rotate comes first")
    elif not new:
        note("Nothing new to retire: ordered before, or done.")
        return
    raise typer.Exit(0 if new and not early else 1)


def _state_of(rotations: "Rotations", tenant: str) -> dict[str, int]:
    found = rotations.get(tenant)
    return {} if found is None else {"held" if found.held else found.state: 1}


def _further(count: int, what: str) -> None:
    if count > 0:
        note(f"and {_many(count, f'further {what}')}")


def _tenants(built: Parts) -> Iterator[Sequence[str]]:
    """All tenants that have keys, a page at a time."""
    after = ""
    while page := built.vault.rotation.tenants(after, PAGE):
        yield page
        after = page[-1]


def _counts(wrapping: "Wrapping") -> list[dict[str, Any]]:
    which = {wrapping.current: "current", wrapping.previous: "previous"} | {
        None: "not written down"
    }
    return [
        {"keys": keys, "wrapped_by": uri, "which_is": which.get(uri, "not in the settings")}
        for uri, keys in sorted(wrapping.counts.items(), key=lambda pair: pair[0] or "")
    ]


def _elsewhere(wrapping: "Wrapping") -> int:
    """How many keys the current key-encryption key has not wrapped."""
    return sum(keys for uri, keys in wrapping.counts.items() if uri != wrapping.current)


def _advice(wrapping: "Wrapping") -> str:
    if count := _elsewhere(wrapping):
        return f"{_many(count, 'key')} not under the current one: gateway vault rotate --kek"
    if wrapping.previous:
        return (
            "All keys are under the current one. When every process runs with it, look once more, "
            "then leave GATEWAY_KEK_URI_PREVIOUS out."
        )
    return "All keys are under the current key-encryption key."


def _reason(one: "Rotation") -> dict[str, Any]:
    """Why a tenant's rotation is held, and where, or has ended."""
    return {
        "tenant": one.tenant,
        "state": "held" if one.held else one.state,
        "held_when": one.state if one.held else None,
        "why": one.detail,
        "at": when(one.changed_at_ms),
    }


def _round(last: "Round") -> dict[str, Any]:
    """How far the round under way, or the last one, has come."""
    return {
        "round": last.id,
        "at": None if last.finished_at_ms else last.place,
        "rows_looked_at": last.looked_at,
        "of_about": last.total,
        "resealed": last.resealed,
        "left_for_another_round": last.left,
        "unreadable": last.unreadable,
        "started_at": when(last.started_at_ms),
        "finished_at": when(last.finished_at_ms),
    }


def _many(count: int, what: str) -> str:
    return f"1 {what}" if count == 1 else f"{count} {what}s"
