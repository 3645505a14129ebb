"""Sending over HTTP: what is told before a call, once for each key, and each tenant its own."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from anyio.to_thread import run_sync

from contracts.tokens import Secret
from gateway.connecting import Connecting, ManualAccount
from storage.connections import Connection, Connections
from storage.schema import connections
from storage.sending_schema import sends
from tests.gateway.edges import World
from tests.rig import text

pytestmark = pytest.mark.anyio
PAGE = "42"


def _connected(world: World, token: str | None = "token") -> Connection:
    rig = world.rig
    connecting = Connecting(Connections(rig.database), rig.vault, ("facebook",))
    secret = Secret(token) if token else None
    return connecting.add(ManualAccount("acme", "facebook", PAGE), secret).connection


async def _heard(world: World, *, hours_ago: float = 0, contact: str = "7") -> str:
    """Somebody wrote; the conversation."""
    at = datetime.now(UTC) - timedelta(hours=hours_ago)
    rig = world.rig
    body = text(PAGE, contact, "hello", at=at)
    await run_sync(lambda: rig.drain(rig.put(body)))
    return str(rig.messages()[-1].subject)


async def _send(
    world: World, key: str | None = "k1", tenant: str | None = "acme", **body: Any
) -> httpx.Response:
    headers = world.headers("crm", tenant) | ({"idempotency-key": key} if key else {})
    return await world.client.post("/v1/messages", headers=headers, json=body)


def _stored(world: World) -> int:
    with world.rig.database.read() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(sends)) or 0


async def test_a_send_is_accepted_once_for_each_key_and_can_be_asked_for(world: World) -> None:
    made = await run_sync(_connected, world)
    body = {"connection": made.id, "conversation": await _heard(world), "text": "Hello"}
    first = await _send(world, **body)
    assert (first.status_code, first.json()["status"]) == (202, "queued")
    assert (await _send(world, **body)).json() == first.json()
    other = await _send(world, **{**body, "text": "Another"})
    assert (other.status_code, other.json()["type"].rpartition(":")[2]) == (
        422,
        "idempotency-key-reused",
    )
    assert (_stored(world), world.jobs.dues) == (1, 2)

    path = f"/v1/sends/{first.json()['id']}"
    told = (await world.get(path, tenant="acme")).json()
    assert (told["status"], told["conversation"]) == ("queued", body["conversation"])
    assert (told["message_id"], told["error"]) == (None, None)
    assert (await world.get(path, tenant="beta")).status_code == 404
    assert (await _send(world, tenant="beta", **body)).status_code == 404
    of_all = await _send(world, tenant=None, **body)  # another scope: another key
    assert of_all.json()["id"] != first.json()["id"]


async def test_a_broker_that_is_away_holds_nothing_up(world: World) -> None:
    made = await run_sync(_connected, world)
    conversation = await _heard(world)
    world.jobs.away = True
    answer = await _send(world, connection=made.id, conversation=conversation, text="Hello")
    assert answer.status_code == 202


REFUSED: list[tuple[dict[str, Any], int, str, str]] = [
    ({"text": "x" * 2_001}, 422, "not-sendable", "text has 2001 characters, and may have 2000"),
    ({"text": " "}, 422, "not-sendable", "there is nothing to send"),
    ({"attachments": [{"url": "https://e.com/a.jpg"}] * 2}, 422, "not-sendable", "1 at most"),
    ({"attachments": [{"url": "http://e.com/a.jpg"}]}, 400, "invalid", "url must be https"),
    ({"attachments": [{"url": "https://127.0.0.1/a.jpg"}]}, 400, "invalid", "of a public host"),
    ({"attachments": [{"url": "https://u:p@e.com/a.jpg"}]}, 400, "invalid", "url must be https"),
    ({"text": "a", "interactive": {}}, 422, "not-sendable", "interactive cannot be used here"),
    ({"text": "a", "reply": "public"}, 400, "invalid", "to.comment is needed"),
    ({"text": "a", "to": {"contact": "7"}}, 400, "invalid", "either conversation or to"),
    ({"text": "a", "conversation": "cnv_x"}, 422, "not-sendable", "this connection has none"),
    (
        {"text": "a", "conversation": None, "to": {"comment": "1"}},
        400,
        "invalid",
        "reply is needed",
    ),
    (
        {"text": "a", "conversation": None, "to": {"comment": "1/likes?x="}, "reply": "public"},
        400,
        "invalid",
        "to.comment",
    ),
    ({"text": "a", "conversation": None, "to": {}}, 400, "invalid", "a contact or a comment"),
]


async def test_what_cannot_be_sent_says_why(world: World) -> None:
    made = await run_sync(_connected, world)
    conversation = await _heard(world)
    for fields, status, name, words in REFUSED:
        answer = await _send(
            world, **{"connection": made.id, "conversation": conversation} | fields
        )
        problem = answer.json()
        assert (answer.status_code, problem["type"]) == (status, f"urn:cleverbox:problem:{name}")
        assert words in problem["detail"], problem
    body = {"connection": made.id, "conversation": conversation, "text": "Hello"}
    assert (await _send(world, key=None, **body)).status_code == 400
    assert (await _send(world, key="two words", **body)).status_code == 400
    assert _stored(world) == 0


async def test_what_we_keep_goes_by_its_id_and_only_to_its_tenant(world: World) -> None:
    made = await run_sync(_connected, world)
    conversation = await _heard(world)
    world.rig.vault.create_tenant("beta")
    body = {"connection": made.id, "conversation": conversation}
    for number, (tenant, status) in enumerate((("acme", 202), ("beta", 422))):
        uploaded = await world.client.post(
            "/v1/attachments?name=a.png",
            headers=world.headers("crm", tenant) | {"content-type": "image/png"},
            content=b"\x89PNG\r\n\x1a\n" + bytes(100),
        )
        attachments = [{"id": uploaded.json()["id"]}]
        answer = await _send(world, key=f"k{number}", **body, attachments=attachments)
        assert answer.status_code == status, answer.text
    both = [{"id": "att_1", "url": "https://e.com/a.jpg"}]
    assert (await _send(world, key="k3", **body, attachments=both)).status_code == 400


async def test_the_window_is_told_and_a_person_has_a_longer_one(world: World) -> None:
    made = await run_sync(_connected, world)
    body = {
        "connection": made.id,
        "conversation": await _heard(world, hours_ago=30),
        "text": "Hello",
    }
    closed = await _send(world, **body)
    assert closed.status_code == 422
    assert closed.json()["type"] == "urn:cleverbox:problem:window-closed"
    assert "acted 30 hours ago, and may be written to for 24" in closed.json()["detail"]
    assert (await _send(world, key="k2", **body, human_agent=True)).status_code == 202
    await _heard(world)  # they write again
    assert (await _send(world, key="k3", **body)).status_code == 202


@pytest.mark.parametrize("status", ["paused", "needs_reauth", "revoking", "revoked", "pending"])
async def test_a_connection_that_cannot_send_says_what_to_do(world: World, status: str) -> None:
    made = await run_sync(_connected, world)
    conversation = await _heard(world)
    Connections(world.rig.database).set_status(made.id, status, "")
    answer = await _send(world, connection=made.id, conversation=conversation, text="Hello")
    assert answer.status_code == 409
    assert answer.json()["type"] == "urn:cleverbox:problem:not-connected"


async def test_without_a_token_or_the_feature_nothing_is_accepted(world: World) -> None:
    made = await run_sync(_connected, world, None)
    body: dict[str, Any] = {"connection": made.id, "to": {"contact": "7"}, "text": "Hello"}
    answer = await _send(world, **body)
    assert (answer.status_code, "no token" in answer.json()["detail"]) == (409, True)


async def test_a_feature_that_was_not_chosen_or_not_granted_is_named(world: World) -> None:
    made = await run_sync(_connected, world)
    chosen = {"features": ["messages", "comments"], "missing": ["messages"]}
    with world.rig.database.write() as connection:
        connection.execute(sa.update(connections).values(chosen))
    body: dict[str, Any] = {"connection": made.id, "to": {"contact": "7"}, "text": "Hello"}
    answer = await _send(world, **body)
    assert (answer.status_code, answer.json()["detail"]) == (
        422,
        "this needs the feature messages, and its scopes are not granted",
    )
    public = {**body, "to": {"comment": "1_9"}, "reply": "public"}
    answer = await _send(world, **public)
    assert (
        answer.json()["detail"] == "this needs the feature comment_replies, and it was not chosen"
    )
