"""What a call may take at most, and what it means when it did not get through."""

import gzip
import socket
import threading
import time
from pathlib import Path

import httpx
import pytest

from connectors.kit.transport.addresses import resolve
from connectors.kit.transport.transport import Limits
from contracts.errors import (
    AddressRefused,
    OutcomeUnknown,
    Permanent,
    Retryable,
)
from tests.connectors.kit.loopback import Answer as Answering
from tests.connectors.kit.loopback import raw, serving, transport

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


def _get(answer: Answering, limits: Limits | None = None, method: str = "GET") -> httpx.Response:
    with serving(answer) as server:
        return transport(limits=limits).client().request(method, server.url)


def _gzipped(body: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
    return head % len(body) + body


def test_an_answer_is_read_and_unpacked() -> None:
    assert _get(raw(OK)).json() == {}
    answer = _get(raw(_gzipped(gzip.compress(b"one, ") + gzip.compress(b"two"))))
    assert answer.text == "one, two"
    assert "content-encoding" not in answer.headers


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n800\r\n",
    ],
)
def test_more_bytes_than_the_cap_are_refused(head: bytes) -> None:
    with pytest.raises(Permanent):
        _get(raw(head, b"x" * 2048), Limits(body_bytes=1024))


def test_an_endless_body_is_cut_off() -> None:
    def endless(stream: socket.socket) -> None:
        stream.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            stream.sendall(b"x" * 65_536)

    with pytest.raises(Permanent, match="larger"):
        _get(endless, Limits(body_bytes=1_000_000))


def test_a_gzip_bomb_is_not_unpacked() -> None:
    """A hundred megabytes of zeros in a hundred kilobytes, and that packed again in its head."""
    bomb = gzip.compress(bytes(100 * 1024 * 1024))
    assert len(bomb) < 200_000
    before = _peak()
    with pytest.raises(Permanent, match="larger"):
        _get(raw(_gzipped(bomb)), Limits(body_bytes=1_000_000))
    assert _peak() - before < 20_000


def _peak() -> int:
    """The most memory this process ever had, in KiB."""
    (line,) = (
        line for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line
    )
    return int(line.split()[1])


@pytest.mark.parametrize(
    "answer",
    [
        _gzipped(b"not gzip at all"),
        _gzipped(gzip.compress(b"cut off", mtime=0)[:-6]),
        b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}",
        b"HTTP/1.1 2",
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
    ],
)
def test_a_broken_answer_is_asked_for_again_only_when_that_is_harmless(answer: bytes) -> None:
    with pytest.raises(Retryable):
        _get(raw(answer))
    with pytest.raises(OutcomeUnknown):
        _get(raw(answer), method="POST")


def _trickle(start: bytes) -> Answering:
    def trickle(stream: socket.socket) -> None:
        stream.sendall(start)
        while True:
            stream.sendall(b"x")
            time.sleep(0.02)

    return trickle


@pytest.mark.parametrize("start", [b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_a_trickle_does_not_put_the_deadline_off(start: bytes) -> None:
    began = time.monotonic()
    with pytest.raises(Retryable):
        _get(_trickle(start), Limits(total_s=0.3))
    assert 0.25 < time.monotonic() - began < 2


def test_silence_after_sending_is_an_unknown_outcome() -> None:
    def silent(stream: socket.socket) -> None:
        time.sleep(0.5)

    with pytest.raises(Retryable, match="ReadTimeout"):
        _get(silent, Limits(read_s=0.05))
    with pytest.raises(OutcomeUnknown, match="ReadTimeout"):
        _get(silent, Limits(read_s=0.05), "POST")


def test_a_call_that_says_it_may_be_repeated_is() -> None:
    with serving(raw(b"")) as server, pytest.raises(Retryable):
        transport().client().post(server.url, extensions={"idempotent": True})


def test_nobody_listening_is_retryable_whatever_the_method(free_port: int) -> None:
    for method in ("GET", "POST"):
        with pytest.raises(Retryable, match="no connection"):
            transport().client().request(method, f"http://127.0.0.1:{free_port}")


def test_a_full_pool_is_retryable() -> None:
    release = threading.Event()

    def late(stream: socket.socket) -> None:
        release.wait(5)
        stream.sendall(OK)

    with serving(late) as server:
        client = transport(limits=Limits(connections=1, pool_s=0.05)).client()
        first = threading.Thread(target=client.get, args=(server.url,))
        first.start()
        while not server.heads:
            time.sleep(0.01)
        with pytest.raises(Retryable, match="PoolTimeout"):
            client.post(server.url)
        release.set()
        first.join()


def test_redirects_are_not_followed() -> None:
    there = b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n"
    assert _get(raw(there)).status_code == 302
    with serving(raw(there)) as server, pytest.raises(AddressRefused):
        transport(resolve=resolve).client().get(server.url, follow_redirects=True)
