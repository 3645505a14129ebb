"""Pulling: in order, filtered, woken at once, honest about what was lost."""

import asyncio
import time
from collections.abc import Sequence

import pytest
import sqlalchemy as sa

from contracts.content import Conversation, MessageReceived, business, contact
from contracts.messages import Message, data_schema, encode
from storage import message_id
from storage.cursors import Cursor
from storage.drain import DrainStore
from storage.schema import messages
from storage.turns import Append, Turn
from tests.gateway.edges import FakeJobs, World, running
from tests.rig import Rig
from tests.storage.rows import digest
from token_vault import Purpose

pytestmark = pytest.mark.anyio

DAY = 20_000


def written(rig: Rig, tenant: str, connection: str, words: str) -> Append:
    """A message as the drain writes it."""
    day, hash_ = DAY, digest(tenant, connection, words)
    conversation = Conversation(id="cnv_1", kind="direct")
    content = MessageReceived(
        conversation=conversation,
        sender=contact("7"),
        to=(business("100"),),
        message_id=words,
        text=words,
    )
    message = Message(
        id=message_id.pack(day, hash_),
        source="/facebook/100",
        type="cleverbox.message.received",
        time="2024-10-04T00:00:00.000Z",
        dataschema=data_schema("http://gateway", MessageReceived),
        tenant=tenant,
        connection=connection,
        provider="facebook",
        channel="messenger",
        data=content,
    )
    keys = rig.vault.tenant(tenant)
    sealed = keys.seal(Purpose.MESSAGE, message_id.seal_id(day, hash_), encode(message))
    return Append(tenant, connection, "message.received", day, hash_, None, 0, sealed)


class Log:
    """Two tenants, `acme` and `zeta`, with a connection each, and a way to write for them."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._store = DrainStore(rig.database)
        self.connections = {
            tenant: rig.connect(tenant, page).id for tenant, page in (("acme", "1"), ("zeta", "2"))
        }

    def add(self, tenant: str, *words: str) -> None:
        connection = self.connections[tenant]
        rows = [written(self._rig, tenant, connection, word) for word in words]
        self._store.write(Turn(appends=rows))


@pytest.fixture
def log(rig: Rig) -> Log:
    return Log(rig)


def words(found: Sequence[dict[str, dict[str, str]]]) -> list[str]:
    return [message["data"]["text"] for message in found]


async def test_pages_follow_each_other_without_gaps(world: World, log: Log) -> None:
    log.add("acme", *"abcde")
    key = world.headers()
    seen, after, more = [], "", True
    while more:
        path = f"/v1/messages?limit=2&after={after}"
        page = (await world.client.get(path, headers=key)).json()
        seen += words(page["messages"])
        after, more = page["next"], page["has_more"]
    assert seen == list("abcde")
    again = (await world.client.get(f"/v1/messages?after={after}", headers=key)).json()
    assert again == {"messages": [], "next": after, "has_more": False}


async def test_a_filter_still_moves_the_cursor(world: World, log: Log) -> None:
    log.add("acme", "a", "b")
    log.add("zeta", "c")
    page = (await world.get("/v1/messages?tenant=acme")).json()
    assert words(page["messages"]) == ["a", "b"]
    everything = (await world.get("/v1/messages")).json()
    assert words(everything["messages"]) == ["a", "b", "c"]
    assert page["next"] == everything["next"]
    one = (await world.get(f"/v1/messages?connection={log.connections['zeta']}")).json()
    assert words(one["messages"]) == ["c"]
    none = (await world.get("/v1/messages?type=message.read,cleverbox.comment.created")).json()
    assert (none["messages"], none["next"]) == ([], everything["next"])
    unknown = await world.get("/v1/messages?type=message.recieved")
    assert unknown.status_code == 400


async def test_a_tenants_key_is_filtered_whatever_it_asks(world: World, log: Log) -> None:
    log.add("acme", "a")
    log.add("zeta", "z")
    assert words((await world.get("/v1/messages", tenant="zeta")).json()["messages"]) == ["z"]
    assert (await world.get("/v1/messages?tenant=acme", tenant="zeta")).status_code == 403


@pytest.mark.parametrize("wait", [1.2, 5])
async def test_a_waiting_reader_is_woken_at_once(world: World, log: Log, wait: float) -> None:
    key = world.headers()
    await world.client.get("/v1/messages", headers=key)
    waiting = asyncio.create_task(world.client.get(f"/v1/messages?wait={wait}", headers=key))
    await asyncio.sleep(0.7)
    assert not waiting.done()
    began = time.perf_counter()
    await asyncio.to_thread(log.add, "acme", "now")
    page = (await waiting).json()
    assert words(page["messages"]) == ["now"]
    assert time.perf_counter() - began < 0.45


async def test_a_wait_ends_in_time_and_without_messages(world: World, log: Log) -> None:
    log.add("acme", "a")
    began = time.perf_counter()
    page = (await world.get("/v1/messages?wait=0.3&tenant=zeta")).json()
    assert 0.25 < time.perf_counter() - began < 1.4
    assert page["messages"] == []
    assert page["next"] == (await world.get("/v1/messages")).json()["next"]


async def test_stopping_lets_waiting_readers_go(world: World, log: Log) -> None:
    key = world.headers()
    await world.client.get("/v1/messages", headers=key)
    waiting = asyncio.create_task(world.client.get("/v1/messages?wait=30", headers=key))
    await asyncio.sleep(0.3)
    world.edge.let_go()
    async with asyncio.timeout(1):
        assert (await waiting).json()["messages"] == []


async def test_what_was_erased_is_left_out(world: World, log: Log) -> None:
    log.add("acme", "a", "b", "c")
    with world.rig.database.write() as connection:
        erased = sa.update(messages).where(messages.c.position == 2)
        connection.execute(erased.values(sealed=None))
    page = (await world.get("/v1/messages")).json()
    assert words(page["messages"]) == ["a", "c"]
    gone = message_id.pack(DAY, digest("acme", log.connections["acme"], "b"))
    answer = await world.get(f"/v1/messages/{gone}")
    assert answer.status_code == 410
    assert answer.json()["type"] == "urn:cleverbox:problem:key-destroyed"


async def test_the_messages_of_a_destroyed_tenant_are_left_out_and_counted(
    rig: Rig, log: Log
) -> None:
    log.add("zeta", "z")
    log.add("acme", "a")
    rig.vault.destroy_tenant("zeta")
    async with running(rig, FakeJobs()) as world:
        page = (await world.get("/v1/messages")).json()
        assert words(page["messages"]) == ["a"]
        assert world.counted("pull_unreadable_total", reason="key-destroyed") == 1
        gone = message_id.pack(DAY, digest("zeta", log.connections["zeta"], "z"))
        assert (await world.get(f"/v1/messages/{gone}")).status_code == 410
        listed = (await world.get("/v1/connections", "operator")).json()["connections"]
        assert {c["tenant"]: c["account"] for c in listed} == {"acme": "1", "zeta": None}


async def test_one_message_by_its_id(world: World, log: Log) -> None:
    log.add("acme", "a")
    listed = (await world.get("/v1/messages")).json()["messages"][0]
    path = f"/v1/messages/{listed['id']}"
    assert (await world.get(path)).json() == listed
    assert (await world.get(path, tenant="acme")).json() == listed
    assert (await world.get(path, tenant="zeta")).status_code == 404
    assert (await world.get(f"/v1/messages/{message_id.pack(1, bytes(16))}")).status_code == 404
    assert (await world.get("/v1/messages/msg_nonsense")).status_code == 400


async def test_a_cursor_of_another_log_is_told_where_to_go_on(world: World, log: Log) -> None:
    log.add("acme", "a", "b")
    answer = await world.get(f"/v1/messages?after={Cursor(2, 12345)}")
    assert answer.status_code == 409
    problem = answer.json()
    assert problem["type"] == "urn:cleverbox:problem:log-restored"
    page = (await world.get(f"/v1/messages?after={problem['resume']}")).json()
    assert words(page["messages"]) == ["a", "b"]


async def test_an_expired_cursor_is_told_where_to_go_on(world: World, log: Log) -> None:
    log.add("acme", "a", "b", "c")
    cursor = (await world.get("/v1/messages?limit=1")).json()["next"]
    with world.rig.database.write() as connection:
        connection.execute(sa.delete(messages).where(messages.c.position <= 2))
    answer = await world.get(f"/v1/messages?after={cursor}")
    assert answer.status_code == 410
    page = (await world.get(f"/v1/messages?after={answer.json()['resume']}")).json()
    assert words(page["messages"]) == ["c"]


@pytest.mark.parametrize(
    "query",
    [
        "limit=abc",
        "limit=0",
        "limit=1001",
        "limit=1&limit=2",
        "wait=31",
        "wait=-1",
        "wait=nan",
        "wait=inf",
        "after=nonsense",
        "after=%00",
        "after=%ff",
        "tenant=%00",
        "tenant=",
        "type=",
        "type=message.read,",
        "tenat=acme",
        "type=%ED%A0%80",
        "%00=1",
        "&".join(f"type=t{n}" for n in range(200)),
    ],
)
async def test_queries_that_make_no_sense_are_problems(world: World, query: str) -> None:
    answer = await world.get(f"/v1/messages?{query}")
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "urn:cleverbox:problem:invalid"


async def test_a_wake_up_between_looking_and_waiting_is_not_missed(world: World, log: Log) -> None:
    wake = world.edge.parts.wake
    ticket = wake.ticket()
    wake.all()
    async with asyncio.timeout(0.5):
        await wake.wait(ticket, 30)
    assert wake.waiting == 0
