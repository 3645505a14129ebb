"""Deliveries offered at their own times, and when each message became visible in a long poll.

Times count from when a delivery was due, not from when it could be sent, so that a server which
stalls cannot hide behind a sender that waits for it (coordinated omission).
"""

import asyncio
import re
import statistics
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import uvloop

from benchmarks.closed_loop import delivery_request
from benchmarks.deliveries import Signed
from benchmarks.deployment import Server

PATIENCE_S: Final = 20.0
_TEXT: Final = re.compile(rb'"text":"n(\d+) ')


class Due(NamedTuple):
    """A delivery to offer `at_s` seconds after the start; its text begins with `n` and its
    number.
    """

    at_s: float
    signed: Signed


class Latency(NamedTuple):
    """How long messages took from due to visible, in milliseconds."""

    p50_ms: float
    p99_ms: float
    worst_ms: float


def latency(times_ms: Sequence[float]) -> Latency:
    """Percentiles; needs 100 times or more to mean something."""
    cuts = statistics.quantiles(times_ms, n=100)
    return Latency(cuts[49], cuts[98], max(times_ms))


def offer(edge: Server, key: str, after: str, schedule: Sequence[Due]) -> list[float]:
    """Offer `schedule` to `edge` and read the log from `after` on; milliseconds from due to
    visible, in the schedule's order.

    Raises `AssertionError` when one is refused, or not visible 20 s after the last.
    """
    return uvloop.run(_offer(edge.url, key, after, schedule))


async def _offer(url: str, key: str, after: str, schedule: Sequence[Due]) -> list[float]:
    host, _, port = url.removeprefix("http://").partition(":")
    loop = asyncio.get_running_loop()
    reader = _Reader(len(schedule))
    reading = loop.create_task(reader.run(host, int(port), key, after))
    await asyncio.sleep(0.2)  # it waits by now
    senders = _Senders(host, int(port))
    began = time.perf_counter() + 0.05
    for due in schedule:
        pause = began + due.at_s - time.perf_counter()
        if pause > 0:
            await asyncio.sleep(pause)
        await senders.send(delivery_request(due.signed.signature.encode(), due.signed.body))
    async with asyncio.timeout(PATIENCE_S):
        await reading
    assert not senders.refused, f"{senders.refused} deliveries were refused"
    return [(at - began - due.at_s) * 1e3 for at, due in zip(reader.seen, schedule, strict=True)]


class _Senders:
    """As many connections as are busy at once."""

    def __init__(self, host: str, port: int) -> None:
        self._address = host, port
        self._free: deque[_Sender] = deque()
        self.refused = 0

    async def send(self, request: bytes) -> None:
        if self._free:
            sender = self._free.pop()
        else:
            loop = asyncio.get_running_loop()
            _, sender = await loop.create_connection(lambda: _Sender(self), *self._address)
        sender.transport.write(request)

    def answered(self, sender: "_Sender", data: bytes) -> None:
        self.refused += not data.startswith(b"HTTP/1.1 200")
        self._free.append(sender)


class _Sender(asyncio.Protocol):
    transport: Any

    def __init__(self, senders: _Senders) -> None:
        self._senders = senders

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._senders.answered(self, data)


class _Reader:
    """Follows the cursor by long polls and notes when it saw which number."""

    def __init__(self, count: int) -> None:
        self.seen = [0.0] * count
        self._left = count

    async def run(self, host: str, port: int, key: str, after: str) -> None:
        reader, writer = await asyncio.open_connection(host, port, limit=1 << 24)
        while self._left:
            path = f"/v1/messages?limit=1000&wait=5&after={after}"
            head = f"GET {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {key}\r\n\r\n"
            writer.write(head.encode())
            lines = (await reader.readuntil(b"\r\n\r\n")).lower()
            assert lines.startswith(b"http/1.1 200"), lines
            body = await reader.readexactly(int(lines.split(b"content-length:")[1].split()[0]))
            self._note(body, time.perf_counter())
            after = body[body.rindex(b'"next":"') + 8 :].split(b'"', 1)[0].decode()
        writer.close()

    def _note(self, body: bytes, now: float) -> None:
        for number in map(int, _TEXT.findall(body)):
            assert not self.seen[number], f"message {number} came twice"
            self.seen[number] = now
            self._left -= 1
