"""Load as hard as the server can take it: `wrk`, or a generator of our own where wrk is missing.

Both keep their connections busy from one process and send deliveries that were signed before.
"""

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

import msgspec

from benchmarks.deployment import ROOT
from tests.processes import program

CONNECTIONS: Final = 256
FEW: Final = 64


class Load(msgspec.Struct, frozen=True):
    """What came of a run."""

    requests: int
    seconds: float
    failed: int
    p50_ms: float
    p99_ms: float

    @property
    def per_second(self) -> float:
        """Requests a second. Raises `AssertionError` when any was not answered 200."""
        assert not self.failed, f"{self.failed} of {self.requests} deliveries were not accepted"
        return self.requests / self.seconds


def generator() -> str:
    """Which generator is used here."""
    return "wrk" if program("wrk") else "benchmarks.closed_loop"


def load(
    url: str,
    deliveries: Path,
    seconds: float,
    *,
    connections: int = CONNECTIONS,
    prefix: str = "",
) -> Load:
    """POST the file's deliveries to `url` over and over for `seconds`; `prefix` leads the path."""
    if found := program("wrk"):
        script = Path(__file__).with_name("deliver.lua")
        options = ["-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "-s", str(script)]
        command = [found, *options, url, "--", str(deliveries), prefix]
    else:
        module = [sys.executable, "-m", "benchmarks.closed_loop"]
        command = [*module, url, str(deliveries), str(seconds), str(connections), prefix]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    return msgspec.json.decode(done.stdout.strip().splitlines()[-1], type=Load)


class _Sender(asyncio.Protocol):
    """One connection: sends its next request when the last was answered."""

    def __init__(self, requests: list[bytes], first: int, step: int, until: float) -> None:
        self._requests, self._at, self._step, self._until = requests, first, step, until
        self._sent_at = 0.0
        self.times: list[float] = []
        self.failed = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        self.times.append(time.perf_counter() - self._sent_at)
        self.failed += not data.startswith(b"HTTP/1.1 200")
        if time.perf_counter() < self._until:
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        self.failed += error is not None
        self.done.set_result(None)

    def _send(self) -> None:
        self._sent_at = time.perf_counter()
        self._transport.write(self._requests[self._at % len(self._requests)])
        self._at += self._step


def delivery_request(signature: bytes, body: bytes, prefix: str = "") -> bytes:
    """A POST as it goes over the wire."""
    return (
        b"POST %b/webhooks/meta HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        b"x-hub-signature-256: %b\r\ncontent-length: %d\r\n\r\n%b"
        % (prefix.encode(), signature, len(body), body)
    )


async def _drive(
    url: str, lines: list[bytes], seconds: float, connections: int, prefix: str
) -> Load:
    parts = (line.split(b"\t", 1) for line in lines)
    requests = [delivery_request(signature, body, prefix) for signature, body in parts]
    loop, began = asyncio.get_running_loop(), time.perf_counter()
    host, _, port = url.removeprefix("http://").partition(":")
    senders = [
        _Sender(requests, first, connections, began + seconds) for first in range(connections)
    ]
    for sender in senders:
        await loop.create_connection(lambda sender=sender: sender, host, int(port))  # type: ignore[misc]
    await asyncio.gather(*(sender.done for sender in senders))
    times = sorted(x * 1e3 for sender in senders for x in sender.times)
    failed = sum(sender.failed for sender in senders)
    p50, p99 = times[len(times) // 2], times[len(times) * 99 // 100]
    return Load(len(times), time.perf_counter() - began, failed, p50, p99)


if __name__ == "__main__":
    import uvloop

    lines = Path(sys.argv[2]).read_bytes().splitlines()
    found = uvloop.run(
        _drive(sys.argv[1], lines, float(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
    )
    print(json.dumps(msgspec.structs.asdict(found)))
