"""Consuming from a real edge: what is committed, and where it goes on."""

import itertools
import sys
import threading
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from contracts.content import MessageReceived
from gateway.client import (
    Conflict,
    Content,
    Gateway,
    InvalidInput,
    LogRestored,
    Message,
    NotFound,
    Unauthenticated,
)
from gateway.client import gateway as consuming
from storage.schema import messages
from tests.client.conftest import Edge
from tests.conftest import Spawn
from tests.processes import eventually

ROOT = Path(__file__).parents[2]


class Away(httpx.HTTPTransport):
    """A network that is away when it is told to be."""

    now = False

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if self.now:
            raise httpx.ConnectError("away")
        return super().handle_request(request)


def _take(client: Gateway, count: int, name: str = "crm") -> list[str]:
    """The texts of the next messages; all of them are finished."""
    stream = client.consume(name, wait=1)
    found: list[str] = []
    for message in stream:
        if len(found) == count:
            break
        found.append(_text(message))
    stream.close()
    return found


def _text(message: Message[Content]) -> str:
    assert isinstance(message.data, MessageReceived)
    return message.data.text or ""


def _left(client: Gateway, name: str = "crm") -> list[str]:
    """What the consumer would be given now."""
    return [_text(message) for message in client.pull(name).messages]


def test_messages_come_typed_and_in_order(edge: Edge, client: Gateway) -> None:
    edge.receive("one", "two", "three")
    [first, second] = itertools.islice(client.consume("crm"), 2)
    assert isinstance(first.data, MessageReceived)
    assert (first.data.text, first.data.sender.id) == ("one", "7")
    assert (first.tenant, first.position, second.position) == ("acme", 1, 2)


def test_a_message_that_comes_later_is_waited_for(edge: Edge, client: Gateway) -> None:
    edge.receive("one")
    stream = client.consume("crm", wait=20)
    next(stream)
    later = threading.Timer(0.5, edge.receive, ["two"])
    later.start()
    assert _text(next(stream)) == "two"
    later.join()


def test_asking_for_the_next_finishes_a_message(edge: Edge, client: Gateway) -> None:
    edge.receive("one", "two", "three")
    stream = client.consume("crm")
    next(stream), next(stream)
    stream.close()
    assert _left(client) == ["two", "three"]


def test_an_error_in_the_loop_commits_what_was_finished_and_no_more(
    edge: Edge, client: Gateway
) -> None:
    edge.receive("one", "two", "three")

    def fail() -> None:
        for message in client.consume("crm"):
            if _text(message) == "three":
                raise RuntimeError("the CRM's database is away")

    with pytest.raises(RuntimeError):
        fail()
    assert _left(client) == ["three"]
    with pytest.raises(RuntimeError):
        fail()
    assert _left(client) == ["three"]


def test_a_finished_page_is_committed_before_the_next(edge: Edge, client: Gateway) -> None:
    edge.receive(*(f"{n}" for n in range(7)))
    stream = client.consume("crm", limit=3)
    for _ in range(4):
        next(stream)
    with Gateway(edge.url, edge.key) as another:
        assert _left(another)[0] == "3"
    stream.close()


def test_a_slow_page_is_committed_in_between(
    edge: Edge, client: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consuming, "COMMIT_EVERY_S", 0.0)
    edge.receive("one", "two", "three")
    stream = client.consume("crm")
    next(stream), next(stream), next(stream)
    assert _left(client) == ["three"]
    stream.close()
    assert _left(client) == ["three"]


def test_what_could_not_be_committed_is_committed_with_the_next(
    edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commits in between fail; the one when the loop is left holds all that is finished."""
    monkeypatch.setattr(consuming, "COMMIT_EVERY_S", 0.0)
    monkeypatch.setattr(consuming, "_CLOSING_S", 0.0)
    edge.receive("one", "two", "three", "four")
    away = Away()
    with Gateway(edge.url, edge.key, transport=away) as client:
        stream = client.consume("crm")
        next(stream)
        away.now = True
        next(stream), next(stream)
        away.now = False
        next(stream)
        assert _left(client) == ["four"]
        stream.close()


def test_what_was_erased_in_a_page_is_no_obstacle(edge: Edge, client: Gateway) -> None:
    edge.receive("one", "two", "three")
    with edge.rig.database.write() as connection:
        connection.execute(sa.update(messages).where(messages.c.position == 1).values(sealed=None))
    stream = client.consume("crm")
    assert [_text(next(stream)), _text(next(stream))] == ["two", "three"]
    stream.close()
    assert _left(client) in (["two", "three"], ["three"])
    assert _left(client)[-1] == "three"


def test_types_narrow_and_are_kept(edge: Edge, client: Gateway) -> None:
    edge.receive("one")
    client.put_consumer("reads", types=["message.read"])
    edge.receive("two")
    assert client.pull("reads").messages == []
    assert client.consumer("reads").types == ["message.read"]
    with pytest.raises(Conflict):
        next(client.consume("reads", types=["message.sent"]))


def test_now_starts_behind_what_is_there(edge: Edge, client: Gateway) -> None:
    edge.receive("old")
    client.put_consumer("new", start="now")
    edge.receive("new")
    assert _left(client, "new") == ["new"]
    assert client.consumer("new").lag == 1


def test_two_threads_with_consumers_of_their_own(edge: Edge, client: Gateway) -> None:
    edge.receive("one", "two")
    found: dict[str, list[str]] = {}

    def read(name: str) -> None:
        found[name] = [_text(m) for m in itertools.islice(client.consume(name), 2)]

    threads = [threading.Thread(target=read, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {"a": ["one", "two"], "b": ["one", "two"]}


def test_a_restored_log_is_told_and_gone_on_from(edge: Edge, client: Gateway) -> None:
    edge.receive("one", "two")
    page = client.pull(client.put_consumer("crm").name)
    client.commit("crm", page.next)
    with edge.rig.database.write() as connection:
        connection.execute(sa.delete(messages).where(messages.c.position == 2))
    edge.rig.log.mark_restored()
    with pytest.raises(LogRestored) as told:
        next(client.consume("crm", wait=0))
    client.resume("crm", told.value)
    edge.receive("three")
    assert _left(client) == ["three"]


def test_pages_by_a_cursor_of_ones_own(edge: Edge, client: Gateway) -> None:
    edge.receive("one", "two", "three")
    page = client.messages(limit=2)
    assert [_text(m) for m in page.messages] == ["one", "two"]
    assert page.has_more
    rest = client.messages(page.next, tenant="acme", types=["message.received"])
    assert [_text(m) for m in rest.messages] == ["three"]
    assert client.messages(rest.next, wait=0).messages == []
    assert client.message(rest.messages[0].id).id == rest.messages[0].id


def test_commits_go_forward_unless_told(edge: Edge, client: Gateway) -> None:
    edge.receive("one", "two")
    client.put_consumer("crm")
    beginning = client.consumer("crm").cursor
    client.commit("crm", client.pull("crm").next)
    with pytest.raises(Conflict):
        client.commit("crm", beginning)
    client.commit("crm", beginning, rewind=True)
    assert _left(client) == ["one", "two"]


def test_problems_are_errors_of_their_kind(edge: Edge, client: Gateway) -> None:
    with pytest.raises(NotFound):
        client.consumer("nobody")
    with pytest.raises(InvalidInput):
        client.messages("nonsense")
    with pytest.raises(NotFound):
        client.pull("../messages")
    with Gateway(edge.url, "cbg_wrong") as stranger, pytest.raises(Unauthenticated):
        stranger.put_consumer("crm")


def test_the_example_runs_and_resumes(edge: Edge, spawn: Spawn) -> None:
    environ = {"GATEWAY_URL": edge.url, "GATEWAY_KEY": edge.key, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, ROOT / "docs" / "examples" / "crm_core.py"]
    edge.receive("one")
    first = spawn(command, env=environ, name="crm")
    first.wait_for("acme: 7 writes: one")
    with Gateway(edge.url, edge.key) as client:
        eventually(lambda: client.consumer("crm-core").lag == 0)
    first.kill()
    edge.receive("two")
    second = spawn(command, env=environ, name="crm")
    assert "one" not in second.wait_for("acme: 7 writes: two")
