"""Pausing over HTTP: by whom it may be, at once, and resumed by a worker."""

import anyio.to_thread
import pytest

from storage.connections import Connections
from tests.gateway.edges import World
from tests.rig import text
from tests.workers.granted import run_due

pytestmark = pytest.mark.anyio


async def order(
    world: World, id_: str, what: str, role: str = "crm", tenant: str | None = None
) -> tuple[int, object]:
    """Status of the answer, and what it says."""
    answer = await world.client.post(
        f"/v1/connections/{id_}/{what}",
        headers=world.headers(role, tenant),
        json={"reason": "moving"} if what == "pause" else None,
    )
    said = answer.json()
    return answer.status_code, (said.get("status"), said.get("resuming"))


async def test_it_is_paused_at_once_and_resumed_by_a_worker(world: World) -> None:
    made = world.rig.connect("acme", "42")
    assert await order(world, made.id, "resume") == (202, ("active", False))
    assert await order(world, made.id, "pause", "operator") == (202, ("paused", False))
    assert await order(world, made.id, "pause") == (202, ("paused", False))
    shown = (await world.get(f"/v1/connections/{made.id}")).json()
    assert (shown["status"], shown["status_reason"]) == ("paused", "moving")
    await anyio.to_thread.run_sync(lambda: world.rig.drain(world.rig.put(text("42", "7", "hello"))))
    listed = (await world.get("/v1/deliveries?status=paused", "operator", "acme")).json()
    assert [one["status"] for one in listed["deliveries"]] == ["paused"]
    assert (await world.get("/v1/deliveries?status=parked", "operator")).json()["deliveries"] == []

    assert await order(world, made.id, "resume") == (202, ("paused", True))
    assert world.jobs.dues == 4
    await anyio.to_thread.run_sync(run_due, world.rig)
    assert Connections(world.rig.database).get(made.id).status == "active"
    assert world.rig.texts() == ["hello"]


async def test_only_who_may_see_it_pauses_it(world: World) -> None:
    made = world.rig.connect("acme", "42")
    for what in ("pause", "resume"):
        assert (await order(world, made.id, what, tenant="beta"))[0] == 404
        assert (await order(world, "con_none", what))[0] == 404
    assert Connections(world.rig.database).get(made.id).status == "active"
    assert (await order(world, made.id, "pause", tenant="acme"))[0] == 202
    assert (await order(world, made.id, "resume", tenant="acme"))[0] == 202


async def test_what_was_ended_is_neither_paused_nor_resumed(world: World) -> None:
    made = world.rig.connect("acme", "42")
    Connections(world.rig.database).set_status(made.id, "revoked", "")
    for what in ("pause", "resume"):
        assert (await order(world, made.id, what))[0] == 409


async def test_a_broker_that_is_away_holds_nothing_up(world: World) -> None:
    made = world.rig.connect("acme", "42")
    world.jobs.away = True
    assert (await order(world, made.id, "pause"))[0] == 202
