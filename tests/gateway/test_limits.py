"""What one connection, or all of them, may take before anybody knows who it is."""

import contextlib
import logging
import time

import pytest

from gateway.limits import HEADERS, PIPELINED
from gateway.protocol import EdgeProtocol
from gateway.seldom import Seldom
from tests.gateway.lines import Line, Site, request
from tests.rig import text
from tests.services import eventually

FORGED = request(b"x").replace(b"sha256=", b"sha256=0")
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
both_ways = pytest.mark.parametrize("path", ["/webhooks/meta", "/webhooks/meta?a=b"])


def connections(site: Site) -> list[EdgeProtocol]:
    """What is open."""
    found = list(site.server.server_state.connections)
    return [one for one in found if isinstance(one, EdgeProtocol)]


def flood(line: Line, whole: bytes, size: int) -> None:
    """Send up to `size` bytes and read nothing; stop when the server does not read any more."""
    line._socket.settimeout(0.5)
    with contextlib.suppress(OSError):
        for _ in range(size // (len(whole) * 500)):
            line._socket.sendall(whole * 500)
    line._socket.settimeout(5)


@pytest.mark.parametrize("whole", [FORGED, FORGED.replace(b"meta", b"meta?a=b"), HEALTH])
def test_who_never_reads_answers_is_not_read_for_ever(site: Site, whole: bytes) -> None:
    with site.line() as line:
        flood(line, whole, 30 << 20)
        for one in connections(site):
            assert len(one.pipeline) <= PIPELINED
            assert one.transport.get_write_buffer_size() < 4 << 20
    with site.line() as line:
        line.send(request(text("100", "7", "x")))
        assert line.answer()[0] == 200


def test_eight_may_wait_for_the_one_before_and_not_more(site: Site) -> None:
    with site.line() as line:
        line.send(HEALTH * (PIPELINED + 1))
        assert [line.answer()[0] for _ in range(PIPELINED + 1)] == [200] * (PIPELINED + 1)
        line.send(HEALTH * (PIPELINED + 2))
        assert line.closed()
    assert site.refused("pipelined") == 1


def test_headers_are_bounded_in_number(site: Site) -> None:
    def headed(count: int) -> bytes:
        return request(text("100", "7", "x"), *[f"X-{n}: y" for n in range(count - 3)])

    with site.line() as line:
        line.send(headed(HEADERS))
        assert line.answer()[0] == 200
        line.send(headed(HEADERS + 1))
        assert line.answer()[0] == 431
        assert line.closed()
    assert site.stored() == 1


@pytest.mark.parametrize(
    "endless",
    [
        b"POST /webhooks/meta HTTP/1.1\r\nX-A: ",
        b"POST /webhooks/meta HTTP/1.1\r\n",
        b"POST /",
        b"POST /webhooks/meta HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-A: ",
        b"POST /webhooks/meta HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;a=",
    ],
)
def test_headers_are_bounded_in_bytes(site: Site, endless: bytes) -> None:
    piece = b"X-A: y\r\n" if endless.endswith(b"1.1\r\n") else b"a" * 1000
    with site.line() as line:
        line.send(endless)
        flood(line, piece, 4 << 20)
        eventually(lambda: site.refused("headers") == 1)
    eventually(lambda: not connections(site))


def test_a_long_body_after_many_headers_is_no_header(site: Site) -> None:
    with site.line() as line:
        line.send(request(text("100", "7", "x" * 300_000), "X-A: " + "y" * 60_000))
        assert line.answer()[0] == 200


def test_a_body_in_tiny_pieces_costs_what_its_bytes_cost(site: Site) -> None:
    whole = request(text("100", "7", "x" * 3_000_000))
    with site.line() as line:
        line.send(whole[:-3000])
        began = time.process_time()
        line.send(*[whole[n : n + 1] for n in range(len(whole) - 3000, len(whole))])
        assert line.answer()[0] == 200
        assert time.process_time() - began < 1, "copied at every piece"


HALF = request(b"x" * 100)[:-50]


@pytest.mark.parametrize("way", ["", "?a=b"])
@pytest.mark.parametrize(
    ("half", "status"),
    [(b"", 0), (b"\r\n\r\n", 0), (b"POST /webhooks/meta HTTP/1.1\r\nHo", 408), (HALF, 408)],
)
def test_what_does_not_come_is_not_waited_for(
    site: Site, way: str, half: bytes, status: int
) -> None:
    site.limits.head_s = site.limits.body_s = 0.3
    with site.line() as line:
        line.send(half.replace(b"meta", b"meta" + way.encode()))
        if status:
            assert line.answer()[0] == status
        assert line.closed()
    assert site.refused("late") == (status == 408)


def test_a_trickle_does_not_put_the_deadline_off(site: Site) -> None:
    site.limits.head_s = 0.5
    with site.line() as line:
        line.send(request(text("100", "7", "x")))
        assert line.answer()[0] == 200
        began = time.monotonic()
        with contextlib.suppress(OSError):
            for byte in FORGED[:60]:
                line.send(bytes([byte]))
                time.sleep(0.05)
        assert time.monotonic() - began < 3
        assert site.refused("late") == 1


@pytest.mark.parametrize(("progress_bytes", "late"), [(20, False), (2000, True)])
def test_a_large_body_has_its_time_by_what_comes_of_it(
    site: Site, progress_bytes: int, late: bool
) -> None:
    site.limits.body_s, site.limits.progress_bytes = 0.5, progress_bytes
    whole = request(text("100", "7", "x" * 1000)).replace(b"meta", b"meta?a=b")
    with site.line() as line:
        line.send(whole[:-1000])
        with contextlib.suppress(OSError):
            for at in range(len(whole) - 1000, len(whole), 25):
                line.send(whole[at : at + 25])
                time.sleep(0.03)
        if not late:
            assert line.answer()[0] == 200
    assert site.refused("late") == late


def test_between_requests_a_connection_may_be_silent(site: Site) -> None:
    site.limits.head_s = site.limits.body_s = 0.2
    with site.line() as line:
        for whole in (request(text("100", "7", "x")), HEALTH, request(text("1", "7", "x"))):
            line.send(whole[:20], whole[20:])
            assert line.answer()[0] == 200
            time.sleep(0.4)


def test_who_leaves_answers_unread_is_let_go(site: Site) -> None:
    site.limits.stalled_s = 0.3
    with site.line() as line:
        flood(line, FORGED, 30 << 20)
        eventually(lambda: not connections(site))


def test_connections_are_bounded(site: Site) -> None:
    site.limits.connections = 3
    with contextlib.ExitStack() as stack:
        open_ = [stack.enter_context(site.line()) for _ in range(3)]
        eventually(lambda: len(connections(site)) == 3)
        with site.line() as refused:
            status, headers, _ = refused.answer()
            assert (status, headers["retry-after"]) == (503, "1")
            assert refused.closed()
        open_[0].close()
        eventually(lambda: len(connections(site)) == 2)
        with site.line() as line:
            line.send(request(text("100", "7", "x")))
            assert line.answer()[0] == 200


@both_ways
def test_bodies_are_bounded_together(site: Site, path: str) -> None:
    bodies = site.edge.parts.webhooks.bodies
    bodies.most = 100_000
    whole = request(text("100", "7", "x" * 60_000), path=path)
    with site.line() as one:
        one.send(whole[:-10])
        eventually(lambda: bodies.held > 50_000)
        with site.line() as two:
            two.send(whole)
            status, headers, _ = two.answer()
            assert (status, headers["connection"]) == (503, "close")
            assert two.closed()
        one.send(whole[-10:])
        assert one.answer()[0] == 200
    eventually(lambda: bodies.held == 0)
    assert site.stored() == 1
    assert site.counted("ingest_deliveries_total", endpoint="meta", result="refused") == 1


def test_stopping_does_not_wait_for_half_a_body(site: Site) -> None:
    with site.line() as body, site.line() as head, site.line() as silent:
        body.send(request(text("100", "7", "x"))[:-5])
        head.send(b"POST /web")
        eventually(lambda: len([one for one in connections(site) if one._coming]) == 2)
        began = time.monotonic()
        site.server.should_exit = True
        assert all(line.closed() for line in (body, head, silent))
        assert time.monotonic() - began < 2


def test_an_upgrade_is_not_made_and_answered_all_the_same(site: Site) -> None:
    site.limits.head_s = 0.2
    asked = b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    with site.line() as line:
        line.send(HEALTH.removesuffix(b"\r\n") + asked)
        assert line.answer()[0] == 200
    assert site.refused("upgrade") == 1


def test_malformed_requests_are_counted_and_logged_once(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            with site.line() as line:
                line.send(b"\x00\x01\r\n\r\n")
                assert line.answer()[0] == 400
    assert site.refused("malformed") == 5
    assert len([one for one in caplog.records if one.name == "uvicorn.error"]) == 0


def test_what_happens_often_is_logged_once_a_second(capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    seldom = Seldom("flooded", lambda: now[0])
    for _ in range(1000):
        seldom.note(reason="x")
        now[0] += 0.002
    assert capsys.readouterr().out.count("flooded") == 2
