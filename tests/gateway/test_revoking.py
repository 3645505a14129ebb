"""Revoking over HTTP: ordered at once, by whom it may be, and a receipt for whoever asks."""

import anyio.to_thread
import pytest
from msgspec import UNSET

from gateway.revoking import shown
from storage.connections import Connections
from storage.revocation_steps import Revocation, Step
from tests.gateway.edges import World
from tests.rig import text
from tests.workers.granted import run_due

pytestmark = pytest.mark.anyio


async def revoke(world: World, id_: str, role: str = "crm", tenant: str | None = None) -> int:
    answer = await world.client.post(
        f"/v1/connections/{id_}/revoke",
        headers=world.headers(role, tenant),
        json={"reason": "the contract has ended"},
    )
    return answer.status_code


async def test_it_is_ordered_at_once_and_the_receipt_follows(world: World) -> None:
    made = world.rig.connect("acme", "42")
    assert (await world.get(f"/v1/connections/{made.id}/revocation")).status_code == 404
    assert [await revoke(world, made.id), await revoke(world, made.id)] == [202, 202]
    assert world.jobs.dues == 2
    state = await world.get(f"/v1/connections/{made.id}")
    assert state.json()["status"] == "revoking"
    await world.deliver(text("42", "7", "too late"))

    await anyio.to_thread.run_sync(run_due, world.rig)
    receipt = (await world.get(f"/v1/connections/{made.id}/revocation", "operator")).json()
    assert (receipt["state"], receipt["reason"]) == ("done", "the contract has ended")
    assert receipt["requested_by"].startswith("crm key ")
    outcomes = {step["step"]: step["outcome"] for step in receipt["steps"]}
    assert outcomes["tokens"] == outcomes["retention"] == outcomes["receipt"] == "done"
    assert Connections(world.rig.database).get(made.id).status == "revoked"
    assert await revoke(world, made.id) == 409
    assert world.rig.texts() == []


async def test_only_who_may_see_it_revokes_it(world: World) -> None:
    made = world.rig.connect("acme", "42")
    assert await revoke(world, made.id, tenant="beta") == 404
    assert await revoke(world, "con_none") == 404
    assert Connections(world.rig.database).get(made.id).status == "active"
    assert await revoke(world, made.id, tenant="acme") == 202
    path = f"/v1/connections/{made.id}/revocation"
    assert (await world.get(path, tenant="beta")).status_code == 404
    assert (await world.get(path, tenant="acme")).status_code == 200


async def test_a_broker_that_is_away_holds_nothing_up(world: World) -> None:
    made = world.rig.connect("acme", "42")
    world.jobs.away = True
    assert await revoke(world, made.id, "operator") == 202


@pytest.mark.parametrize(
    ("subscription", "consents", "left"),
    [
        ("ended", ["ended"], False),
        ("ended", ["refused"], True),
        ("refused", ["ended"], False),
        ("refused", ["ended", "refused"], True),
        ("refused", ["kept"], True),
        ("given up", [], True),
    ],
)
async def test_the_owner_is_sent_nowhere_where_the_consent_has_ended(
    subscription: str, consents: list[str], left: bool
) -> None:
    steps = [Step("subscription", subscription), *(Step("consent", how) for how in consents)]
    ended = Revocation("rev_a", "con_a", "acme", "facebook", "", "", "done", steps, 0, 0)
    assert (shown(ended).by_hand is not UNSET) == left
