"""A served edge, and connections to it that are written and read as bytes."""

import contextlib
import gc
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from connectors.registry import build
from gateway.app import Edge
from gateway.limits import Limits
from gateway.parts import Parts
from gateway.serve import Server, server_config
from storage.schema import inbox
from tests import rig as rigs
from tests import services
from tests.gateway.edges import FakeJobs
from tests.rig import Rig
from token_vault import open_vault


class Line:
    """One connection to the server, written and read as bytes."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=5)
        self._file = self._socket.makefile("rb")

    def send(self, *pieces: bytes) -> None:
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            self._socket.sendall(piece)

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the next response."""
        status = int(self._file.readline().split()[1])
        headers: dict[str, str] = {}
        while (line := self._file.readline().strip()) != b"":
            name, _, value = line.decode().partition(": ")
            headers[name] = value
        return status, headers, self._file.read(int(headers["content-length"]))

    def closed(self) -> bool:
        """Whether the server has closed the connection."""
        return self._file.read(1) == b""

    def close(self) -> None:
        self._file.close()
        self._socket.close()


class Site:
    """A served edge with its stores."""

    def __init__(self, rig: Rig, edge: Edge, server: Server, port: int) -> None:
        self.rig, self.edge, self.server, self.port = rig, edge, server, port

    @contextlib.contextmanager
    def line(self) -> Iterator[Line]:
        line = Line(self.port)
        try:
            yield line
        finally:
            line.close()

    @property
    def limits(self) -> Limits:
        """Of every connection that is made from now on."""
        protocol: Any = self.server.config.http_protocol_class
        limits = protocol.keywords["limits"]
        assert isinstance(limits, Limits)
        return limits

    def counted(self, name: str, **labels: str) -> float:
        """The value of a metric, 0 when it was never counted."""
        return self.edge.parts.metrics.registry.get_sample_value(f"gateway_{name}", labels) or 0.0

    def refused(self, reason: str) -> float:
        """How many connections were ended, or answered, for this reason."""
        return self.counted("http_calls_total", operation="connection", status=reason)

    def stored(self) -> int:
        """How many items are in the inbox."""
        with self.rig.database.read() as connection:
            return connection.scalar(sa.select(sa.func.count()).select_from(inbox)) or 0


@contextlib.contextmanager
def serving(url: str, directory: Path, make: type[Edge] = Edge) -> Iterator[Site]:
    """An edge of the kind `make` over a new rig, served on a free port."""
    rig = Rig(url, directory / "var")
    parts = Parts(rig.settings, build(rigs.ENVIRON), open_vault(rig.settings), FakeJobs())
    edge, port, thresholds = make(parts), services.free_port(), gc.get_threshold()
    server = Server(server_config(edge, "127.0.0.1", port), edge)
    thread = threading.Thread(target=server.run)
    thread.start()
    services.eventually(lambda: server.started)
    yield Site(rig, edge, server, port)
    server.should_exit = True
    thread.join(20)
    gc.unfreeze()
    gc.set_threshold(*thresholds)
    rig.close()


def request(
    body: bytes, *extra: str, path: str = "/webhooks/meta", version: str = "1.1", size: bool = True
) -> bytes:
    """A signed delivery as HTTP."""
    signature = rigs.signed(body).headers["x-hub-signature-256"]
    lines = [f"POST {path} HTTP/{version}", "Host: here", f"X-Hub-Signature-256: {signature}"]
    if size:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, *extra, "", ""]).encode() + body
