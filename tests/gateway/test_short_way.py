"""The short way is really taken, and it offers what uvicorn asks of it (ADR 19)."""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http import httptools_impl

from gateway.app import Edge
from gateway.protocol import Delivery, EdgeProtocol
from gateway.run_keys import Run
from tests.gateway.lines import Site, request, serving
from tests.gateway.test_protocol import SlowWriter
from tests.rig import text
from tests.services import eventually

OVERRIDDEN = {"on_body", "on_message_complete"}
"""Of these the short way has its own, which do not come to uvicorn's."""


class DeafEdge(Edge):
    """Fails when a request comes to it as ASGI."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            raise AssertionError(scope["path"])
        await super().__call__(scope, receive, send)


@pytest.fixture
def deaf(sqlite_url: str, tmp_path: Path) -> Iterator[Site]:
    with serving(sqlite_url, tmp_path, DeafEdge) as site:
        yield site


def test_ordinary_deliveries_do_not_go_through_asgi(deaf: Site) -> None:
    whole = request(text("100", "7", "x" * 100_000))
    with deaf.line() as line:
        for pieces in ([whole], [whole[:60], whole[60:300], whole[300:]]):
            line.send(*pieces)
            assert line.answer()[0] == 200
        line.send(request(b"{}").replace(b"sha256=", b"sha256=0"))
        assert line.answer()[0] == 401
    assert deaf.stored() == 2
    assert deaf.counted("ingest_deliveries_total", endpoint="meta", result="stored") == 2


def _asked_of_cycles() -> set[str]:
    """What uvicorn's connection reads or sets on the request at hand, but for what we override."""
    tree = ast.parse(inspect.getsource(httptools_impl.HttpToolsProtocol))
    methods = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    return {
        node.attr
        for method in methods
        if method.name not in OVERRIDDEN
        for node in ast.walk(method)
        if isinstance(node, ast.Attribute)
        and ast.unparse(node.value) in {"self.cycle", "existing_cycle"}
    }


def test_a_delivery_offers_what_uvicorn_asks_of_a_request() -> None:
    asked = _asked_of_cycles()
    assert asked == {"disconnected", "keep_alive", "message_event", "response_complete"}
    assert asked <= set(dir(Delivery))
    assert set(vars(EdgeProtocol)) >= OVERRIDDEN


def test_what_was_answered_is_not_kept(site: Site) -> None:
    with site.line() as line:
        line.send(request(text("100", "7", "x" * 100_000)))
        assert line.answer()[0] == 200
        (protocol,) = site.server.server_state.connections
        assert isinstance(protocol, EdgeProtocol)
        delivery = protocol._latest
        assert delivery is not None
        assert (delivery.body.whole(), delivery._pending) == (b"", None)
    assert site.edge.parts.webhooks.bodies.held == 0


class BrokenSealer:
    """Fails in a way that nobody expects."""

    id, wrapped = b"id", b"wrapped"

    def seal(self, plaintext: bytes) -> tuple[int, bytes]:
        raise ZeroDivisionError(len(plaintext))


@pytest.mark.parametrize("query", ["", "?a=b"])
def test_a_fault_while_accepting_is_a_503(site: Site, query: str) -> None:
    runs = site.edge.parts.run_keys._runs
    whole = dict(runs)
    runs.update({day: Run(BrokenSealer(), run.key) for day, run in whole.items()})
    delivery = request(text("100", "7", "x"), path=f"/webhooks/meta{query}")
    with site.line() as line:
        line.send(delivery)
        assert line.answer()[0] == 503
        runs.update(whole)
        line.send(delivery)
        assert line.answer()[0] == 200
    assert site.counted("ingest_deliveries_total", endpoint="meta", result="refused") == 1


def test_a_fault_outside_of_the_store_is_a_503_too(site: Site) -> None:
    whole = request(text("100", "7", "x"))
    with site.line() as line:
        line.send(whole)
        assert line.answer()[0] == 200
        del site.edge.parts.webhooks._endpoints["/webhooks/meta"]
        line.send(whole)
        assert line.answer()[0] == 503


def test_who_leaves_is_counted_and_not_stored_although_more_was_asked(site: Site) -> None:
    inbox = site.edge.parts.inbox
    inbox._writer = slow = SlowWriter(inbox._writer)
    with site.line() as first, site.line() as line:
        first.send(request(text("100", "7", "a")))
        assert slow.writing.wait(5)
        line.send(request(text("100", "7", "b")) + b"GET /healthz HTTP")
        eventually(lambda: len(inbox._queue) == 1)
        line.close()
        assert first.answer()[0] == 200
    gone = {"endpoint": "meta", "result": "disconnected"}
    eventually(lambda: site.counted("ingest_deliveries_total", **gone) == 1)
    assert site.stored() == 1


def test_who_leaves_half_way_is_counted(site: Site) -> None:
    with site.line() as line:
        line.send(request(text("100", "7", "x"))[:-20])
    gone = {"endpoint": "meta", "result": "disconnected"}
    eventually(lambda: site.counted("ingest_deliveries_total", **gone) == 1)
    assert site.edge.parts.webhooks.bodies.held == 0
