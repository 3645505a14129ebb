"""Deliveries: nothing unsigned gets in, nothing signed gets lost, nothing is a 500."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from contracts.connector import Item
from contracts.errors import KeyUnavailable, StoreUnavailable
from gateway.bodies import BODY_CAP
from gateway.run_keys import DAY_MS, GRACE_MS, RunKeys
from storage.database import now_ms
from storage.inbox import NewItem, RunKey
from storage.lanes import lane_of
from storage.schema import gaps, inbox
from tests import rig as rigs
from tests.gateway.edges import FakeJobs, World, exchange, post, running
from tests.rig import Rig, text
from tests.services import eventually
from token_vault import RunSealer

pytestmark = pytest.mark.anyio


def items(world: World) -> list[Item]:
    """What is stored, opened, in the order of its ids."""
    with world.rig.database.read() as connection:
        ids = list(connection.scalars(sa.select(inbox.c.id).order_by(inbox.c.id)))
    deliveries = world.rig.parts.replayer._deliveries
    opened = [world.rig.parts.drainer.open(deliveries.stored(f"itm_{n}")) for n in ids]
    return [one.item for one in opened if one.item is not None]


async def test_a_signed_delivery_is_stored_sealed_and_nudged(world: World) -> None:
    body = text("100", "7", "hello")
    answer = await world.deliver(body)
    assert (answer.status_code, answer.content) == (200, b"")
    (item,) = items(world)
    assert (item.provider, item.route) == ("facebook", "100")
    assert json.loads(item.raw)["messaging"][0]["message"]["text"] == "hello"
    with world.rig.database.read() as connection:
        row = connection.execute(sa.select(inbox)).one()
    assert b"hello" not in row.sealed
    assert row.lane == lane_of("facebook", "100")
    await asyncio.to_thread(eventually, lambda: world.jobs.nudged)
    assert world.jobs.nudged == [[row.lane]]
    assert world.counted("ingest_deliveries_total", endpoint="meta", result="stored") == 1
    assert world.counted("ingest_items_total", provider="facebook") == 1


async def test_the_message_travels_to_the_reader(world: World) -> None:
    world.rig.connect("acme", "100")
    body = text("100", "7", "hello")
    await world.deliver(body)
    world.rig.drain([lane_of("facebook", "100")])
    page = (await world.get("/v1/messages")).json()
    assert [m["data"]["text"] for m in page["messages"]] == ["hello"]
    assert page["messages"][0]["sequence"] == "00000000000000000001"


async def test_many_at_once_share_commits_and_keep_their_order(world: World) -> None:
    bodies = [text(str(100 + n % 5), "7", str(n)) for n in range(200)]
    answers = await asyncio.gather(*(world.deliver(body) for body in bodies))
    assert {answer.status_code for answer in answers} == {200}
    assert len(items(world)) == 200
    batches = world.counted("inbox_batch_items_count")
    assert batches < 200
    assert world.counted("inbox_batch_items_sum") == 200


@pytest.mark.parametrize("signature", [None, "", "sha256=", "sha256=00", "sha1=abc", "ü"])
async def test_what_is_not_signed_is_refused(world: World, signature: str | None) -> None:
    headers: dict[bytes, bytes] = {}
    if signature is not None:
        headers[b"x-hub-signature-256"] = signature.encode("latin-1")
    answer = await world.client.post(
        "/webhooks/meta", content=text("100", "7", "x"), headers=headers
    )
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "urn:cleverbox:problem:bad-signature"
    assert items(world) == []
    assert world.counted("ingest_deliveries_total", endpoint="meta", result="bad_signature") == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[1,2]",
        b'{"object":"page","entry":7}',
        b'{"object":7,"entry":[{}]}',
        b'{"object":"page","entry":[' + b"[" * 5000 + b"]" * 5000 + b"]}",
        b'{"object":"page","entry":[{"id":"\\ud800","messaging":[]}]}',
        b'{"object":"page","entry":[{"id":"1\\u0000"}]}',
        b'{"object":"page","object":"user","entry":[{"id":"1"}],"entry":[{"id":"2"}]}',
    ],
)
async def test_signed_nonsense_is_kept_and_never_a_fault(world: World, body: bytes) -> None:
    answer = await world.deliver(body)
    assert answer.status_code == 200
    kept = items(world)
    assert kept
    assert all(item.raw for item in kept) or body == b""


async def test_nonsense_does_not_lose_its_neighbour(world: World) -> None:
    good = text("100", "7", "hello")
    entry = good[good.index(b"[") + 1 : good.rindex(b"]")]
    await world.deliver(b'{"object":"page","entry":[{"id":7.5e999},' + entry + b"]}")
    assert "100" in {item.route for item in items(world)}


async def test_an_empty_delivery_is_acknowledged(world: World) -> None:
    assert (await world.deliver(b'{"object":"page","entry":[]}')).status_code == 200
    assert items(world) == []


@pytest.mark.parametrize("declared", [True, False])
async def test_five_megabytes_are_too_many(world: World, declared: bool) -> None:
    body = bytes(5 << 20)
    headers = {"content-length": str(len(body))} if declared else {}
    parts = [body[n : n + 65536] for n in range(0, len(body), 65536)]
    incoming = [
        {"type": "http.request", "body": part, "more_body": n < len(parts) - 1}
        for n, part in enumerate(parts)
    ]
    start, _ = await exchange(world.edge, post("/webhooks/meta", headers), incoming)
    assert start["status"] == 413
    assert (b"connection", b"close") in start["headers"]


async def test_a_body_in_pieces_is_put_together(world: World) -> None:
    body = text("100", "7", "x" * 1000)
    incoming = [
        {"type": "http.request", "body": body[n : n + 100], "more_body": n + 100 < len(body)}
        for n in range(0, len(body), 100)
    ]
    scope = post("/webhooks/meta", dict(rigs.signed(body).headers))
    start, _ = await exchange(world.edge, scope, incoming)
    assert start["status"] == 200
    assert len(items(world)) == 1


async def test_exactly_the_cap_is_let_in(world: World) -> None:
    answer = await world.deliver(b'{"object":"page","entry":[]}'.ljust(BODY_CAP))
    assert answer.status_code == 200


@pytest.mark.parametrize("pieces", [0, 1])
async def test_a_sender_that_leaves_is_not_stored_and_not_answered(
    world: World, pieces: int
) -> None:
    body = text("100", "7", "x")
    first = [{"type": "http.request", "body": body[:20], "more_body": True}] * pieces
    scope = post("/webhooks/meta", dict(rigs.signed(body).headers))
    assert await exchange(world.edge, scope, [*first, {"type": "http.disconnect"}]) == []
    assert items(world) == []


async def test_the_handshake_echoes_the_challenge_as_plain_text(world: World) -> None:
    query = "hub.mode=subscribe&hub.verify_token=verify&hub.challenge=%3Cb%3E12"
    answer = await world.client.get(f"/webhooks/meta?{query}")
    assert (answer.status_code, answer.text) == (200, "<b>12")
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("hub.mode=subscribe&hub.verify_token=wrong&hub.challenge=1", 403),
        ("hub.mode=subscribe&hub.challenge=1", 403),
        ("", 403),
        ("hub.challenge=%ff", 400),
        ("hub.challenge=%00", 400),
    ],
)
async def test_a_stranger_gets_no_echo(world: World, query: str, status: int) -> None:
    answer = await world.client.get(f"/webhooks/meta?{query}")
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


async def test_other_paths_and_methods_are_problems(world: World) -> None:
    assert (await world.client.post("/webhooks/other")).status_code == 404
    assert (await world.client.post("/webhooks/")).status_code == 404
    put = await world.client.put("/webhooks/meta")
    assert put.status_code == 405
    assert put.headers["allow"] == "GET, POST"


class AwayWriter:
    """A store that is away until it is told otherwise; then it is what it was."""

    def __init__(self, world: World) -> None:
        self.real = world.edge.parts.inbox._writer
        self.away = True
        world.edge.parts.inbox._writer = self

    async def write(self, key: RunKey, items: Sequence[NewItem]) -> None:
        if self.away:
            raise StoreUnavailable("away")
        await self.real.write(key, items)

    async def close(self) -> None:
        await self.real.close()


async def test_while_the_store_is_away_nothing_is_acknowledged_and_the_span_is_told(
    world: World,
) -> None:
    writer = AwayWriter(world)
    answers = [await world.deliver(text("100", "7", str(n))) for n in range(3)]
    assert {answer.status_code for answer in answers} == {503}
    assert {answer.headers["retry-after"] for answer in answers} == {"1"}
    writer.away = False
    await asyncio.sleep(0.25)
    assert (await world.deliver(text("100", "7", "3"))).status_code == 200
    assert len(items(world)) == 1
    assert await world.edge.parts.refused.flush(ended=True)
    with world.rig.database.read() as connection:
        (gap,) = connection.execute(sa.select(gaps)).all()
    assert gap.route == world.rig.vault.deployment().hash("route", "facebook", "100")
    assert gap.reason == "refused"
    assert gap.from_ms <= gap.until_ms <= now_ms()
    assert world.counted("ingest_deliveries_total", endpoint="meta", result="refused") == 3


class HeldWriter(AwayWriter):
    """A store that answers when it is let."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.away, self.asked, self.open = False, asyncio.Event(), asyncio.Event()

    async def write(self, key: RunKey, items: Sequence[NewItem]) -> None:
        self.asked.set()
        await self.open.wait()
        await super().write(key, items)


async def test_a_request_cancelled_while_it_is_told_keeps_no_neighbour_waiting(
    world: World,
) -> None:
    writer, gathering = HeldWriter(world), world.edge.parts.inbox
    first = asyncio.create_task(world.deliver(text("100", "7", "first")))
    await writer.asked.wait()
    later = [asyncio.create_task(world.deliver(text("100", "7", str(n)))) for n in range(3)]
    async with asyncio.timeout(5):
        while len(gathering._queue) < 3:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    tell = gathering._tell

    def cancel_and_tell(batch: Sequence[Any], items: Sequence[NewItem]) -> None:
        if len(batch) == 3:
            later[0].cancel()
        tell(batch, items)

    gathering._tell = cancel_and_tell  # type: ignore[method-assign]
    writer.open.set()
    async with asyncio.timeout(5):
        outcomes = await asyncio.gather(first, *later, return_exceptions=True)
    assert isinstance(outcomes[1], asyncio.CancelledError)
    answered = [one.status_code for one in outcomes if isinstance(one, httpx.Response)]
    assert answered == [200, 200, 200]


async def test_a_broker_that_is_away_holds_nothing_up(rig: Rig) -> None:
    jobs = FakeJobs()
    jobs.away = True
    async with running(rig, jobs) as world:
        answers = [await world.deliver(text("100", "7", str(n))) for n in range(3)]
        assert {answer.status_code for answer in answers} == {200}
        await asyncio.to_thread(eventually, lambda: world.counted("nudges_total", result="failed"))


async def test_a_missing_run_key_is_a_503_until_it_can_be_made(world: World) -> None:
    keys = world.edge.parts.run_keys
    keys._runs.clear()
    assert (await world.deliver(text("100", "7", "x"))).status_code == 503
    assert await keys.renew()
    assert (await world.deliver(text("100", "7", "x"))).status_code == 200


class Clock:
    """A time that the test moves."""

    def __init__(self, now: int) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def rig_of_sqlite(sqlite_url: str, tmp_path: Path) -> Iterator[Rig]:
    made = Rig(sqlite_url, tmp_path / "var")
    yield made
    made.close()


async def test_run_keys_change_at_midnight_and_are_made_before_it(rig_of_sqlite: Rig) -> None:
    day = 20_000
    clock = Clock(day * DAY_MS + DAY_MS // 2)
    made: list[date] = []

    def make(of: date) -> RunSealer:
        made.append(of)
        return rig_of_sqlite.vault.run_sealer(of)

    keys = RunKeys(make, clock)
    assert await keys.renew()
    assert keys.at(clock.now).key.day == day
    clock.now = (day + 1) * DAY_MS - 60_000
    assert await keys.renew()
    assert [one.isoformat() for one in made] == ["2024-10-04", "2024-10-05"]
    assert keys.at(clock.now).key.day == day
    assert keys.at((day + 1) * DAY_MS).key.day == day + 1
    clock.now = (day + 4) * DAY_MS
    assert await keys.renew()
    assert sorted(keys._runs) == [day + 4]


async def test_yesterdays_key_serves_an_hour_when_todays_cannot_be_made() -> None:
    day = 20_000

    def make(of: date) -> RunSealer:
        raise KeyUnavailable("away")

    clock = Clock(day * DAY_MS)
    keys = RunKeys(make, clock)
    assert not await keys.renew()
    with pytest.raises(KeyUnavailable):
        keys.at(clock.now)
    keys._runs[day] = yesterday = object()  # type: ignore[assignment]
    assert keys.at((day + 1) * DAY_MS + GRACE_MS - 1) is yesterday
    with pytest.raises(KeyUnavailable):
        keys.at((day + 1) * DAY_MS + GRACE_MS)


async def test_items_of_one_delivery_go_to_their_accounts_lanes(world: World) -> None:
    one, two = (json.loads(text(page, "7", page))["entry"][0] for page in ("100", "200"))
    body = json.dumps({"object": "page", "entry": [one, two]}).encode()
    assert (await world.deliver(body)).status_code == 200
    assert [item.route for item in items(world)] == ["100", "200"]


async def test_the_signature_is_of_the_raw_bytes(world: World) -> None:
    body = text("100", "7", "x")
    digest = hmac.new(b"test-secret", body, hashlib.sha256).hexdigest()
    spaced = json.dumps(json.loads(body), indent=1).encode()
    headers = {"x-hub-signature-256": f"sha256={digest}"}
    answer = await world.client.post("/webhooks/meta", content=spaced, headers=headers)
    assert answer.status_code == 401
