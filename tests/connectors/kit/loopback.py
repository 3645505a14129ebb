"""A server on loopback that answers in raw bytes, for what no polite server would do."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Any

from connectors.kit.transport.observing import Call
from connectors.kit.transport.transport import Transport
from connectors.kit.transport.usage import Usage

Answer = Callable[[socket.socket], None]
LOOPBACK = (ip_network("127.0.0.0/8"),)


@dataclass
class Heard:
    """An observer that remembers."""

    calls: list[Call] = field(default_factory=list)
    usages: list[tuple[str, Usage]] = field(default_factory=list)

    def called(self, call: Call) -> None:
        self.calls.append(call)

    def used(self, provider: str, usage: Usage) -> None:
        self.usages.append((provider, usage))

    @property
    def outcomes(self) -> list[str]:
        return [call.outcome for call in self.calls]


@dataclass
class Server:
    """Its port, and the head of each request that it read."""

    port: int
    heads: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextlib.contextmanager
def serving(answer: Answer, context: ssl.SSLContext | None = None) -> Iterator[Server]:
    """Reads the head of a request on each connection, then lets `answer` write and closes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Server(listener.getsockname()[1])
        done = threading.Event()

        def serve() -> None:
            while not done.is_set():
                try:
                    accepted, _ = listener.accept()
                except OSError:
                    return
                with accepted, contextlib.suppress(OSError):
                    _answer(accepted, context, server, answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            done.set()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(10)


def _answer(
    accepted: socket.socket, context: ssl.SSLContext | None, server: Server, answer: Answer
) -> None:
    accepted.settimeout(10)
    with context.wrap_socket(accepted, server_side=True) if context else accepted as stream:
        head = b""
        while b"\r\n\r\n" not in head:
            if not (more := stream.recv(65_536)):
                return
            head += more
        server.heads.append(head)
        answer(stream)


def raw(*parts: bytes) -> Answer:
    """Writes `parts`, one after the other; the head says that the connection ends with it, else
    whoever keeps it for the next call finds out too late.
    """
    head = parts[0].replace(b"\r\n", b"\r\nconnection: close\r\n", 1)

    def write(stream: socket.socket) -> None:
        for part in (head, *parts[1:]):
            stream.sendall(part)

    return write


def transport(**options: Any) -> Transport:
    """A transport that may go to loopback, where every name leads."""
    usual: dict[str, Any] = {"allow": LOOPBACK, "resolve": lambda host, port: ["127.0.0.1"]}
    return Transport(**usual | options)
