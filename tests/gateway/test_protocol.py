"""HTTP itself: a real socket to a real server, on the short way of deliveries and beside it."""

import asyncio
import threading
from collections.abc import Sequence

import pytest

from storage.inbox import InboxWriter, NewItem, RunKey
from tests.gateway.lines import Site, request
from tests.rig import text

EMPTY = b"content-length: 0\r\n\r\n"


def test_one_connection_carries_many_deliveries(site: Site) -> None:
    with site.line() as line:
        for n in range(5):
            line.send(request(text("100", "7", str(n))))
            status, headers, body = line.answer()
            assert (status, body) == (200, b"")
            assert "date" in headers
            assert "server" not in headers
    assert site.stored() == 5


def test_a_delivery_in_pieces_is_put_together(site: Site) -> None:
    whole = request(text("100", "7", "x" * 200_000))
    with site.line() as line:
        line.send(whole[:10], whole[10:90], whole[90:150_000], whole[150_000:])
        assert line.answer()[0] == 200
    assert site.stored() == 1


def test_pipelined_requests_are_answered_in_their_order(site: Site) -> None:
    health = b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n"
    forged = request(text("100", "7", "a")).replace(b"sha256=", b"sha256=0")
    with site.line() as line:
        line.send(request(text("100", "7", "b")) + forged + health + request(text("1", "7", "c")))
        assert [line.answer()[0] for _ in range(4)] == [200, 401, 200, 200]
    assert site.stored() == 2


def test_what_is_unusual_is_stored_all_the_same(site: Site) -> None:
    body = text("100", "7", "x")
    chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    chunked = request(body, "Transfer-Encoding: chunked", size=False).removesuffix(body) + chunks
    query = request(body, path="/webhooks/meta?a=b")
    for number, whole in enumerate((chunked, query)):
        with site.line() as line:
            line.send(whole)
            assert line.answer()[0] == 200, number
    assert site.stored() == 2


def test_a_client_that_asks_first_is_told_to_go_on(site: Site) -> None:
    body = text("100", "7", "x")
    with site.line() as line:
        line.send(request(body, "Expect: 100-continue").removesuffix(body))
        assert line._file.readline() == b"HTTP/1.1 100 Continue\r\n"
        line._file.readline()
        line.send(body)
        assert line.answer()[0] == 200


@pytest.mark.parametrize(
    "whole",
    [
        request(text("100", "7", "x"), "Connection: close"),
        request(text("100", "7", "x"), version="1.0"),
    ],
)
def test_a_connection_that_is_to_end_ends_after_the_answer(site: Site, whole: bytes) -> None:
    with site.line() as line:
        line.send(whole)
        assert line.answer()[0] == 200
        assert line.closed()
    assert site.stored() == 1


def test_a_sender_that_leaves_half_way_stores_nothing(site: Site) -> None:
    whole = request(text("100", "7", "x"))
    with site.line() as line:
        line.send(whole[:-20])
    with site.line() as line:
        line.send(request(text("100", "7", "y")))
        assert line.answer()[0] == 200
    assert site.stored() == 1


def test_five_megabytes_are_answered_and_not_read_for_ever(site: Site) -> None:
    with site.line() as line:
        line.send(request(bytes(5 << 20)))
        status, headers, _ = line.answer()
        assert status == 413
        assert headers["connection"] == "close"
        assert line.closed()


@pytest.mark.parametrize(
    "whole",
    [
        b"\x00\x01\x02\r\n\r\n",
        b"POST /webhooks/meta HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"POST /webhooks/meta HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    ],
)
def test_what_is_not_http_is_a_400(site: Site, whole: bytes) -> None:
    with site.line() as line:
        line.send(whole)
        assert line.answer()[0] == 400
        assert line.closed()


def test_two_lengths_store_nothing(site: Site) -> None:
    whole = request(text("100", "7", "x"), "Transfer-Encoding: chunked", "Content-Length: 3")
    with site.line() as line:
        line.send(whole)
        assert line.answer()[0] == 400
    assert site.stored() == 0


def test_a_handshake_and_other_methods_go_the_usual_way(site: Site) -> None:
    query = b"hub.mode=subscribe&hub.verify_token=verify&hub.challenge=42"
    with site.line() as line:
        line.send(b"GET /webhooks/meta?" + query + b" HTTP/1.1\r\nHost: here\r\n\r\n")
        assert line.answer()[::2] == (200, b"42")
        line.send(b"PUT /webhooks/meta HTTP/1.1\r\nHost: here\r\n" + EMPTY)
        assert line.answer()[0] == 405
        line.send(b"POST /webhooks/meta HTTP/1.1\r\nHost: here\r\n" + EMPTY)
        assert line.answer()[0] == 401


class SlowWriter:
    """Stores what it is given, a little later."""

    def __init__(self, real: InboxWriter) -> None:
        self.real = real
        self.writing = threading.Event()

    async def write(self, key: RunKey, items: Sequence[NewItem]) -> None:
        self.writing.set()
        await asyncio.sleep(0.5)
        await self.real.write(key, items)

    async def close(self) -> None:
        await self.real.close()


def test_stopping_answers_what_came_in(site: Site) -> None:
    inbox = site.edge.parts.inbox
    inbox._writer = slow = SlowWriter(inbox._writer)
    with site.line() as line:
        line.send(request(text("100", "7", "x")))
        assert slow.writing.wait(5)
        site.server.should_exit = True
        assert line.answer()[0] == 200
        assert line.closed()
    assert site.stored() == 1
