"""Deliveries as bytes: signed as Meta does, sent whole, in pieces, or wrongly."""

import contextlib
import hashlib
import hmac
import itertools
import json
import re
import socket
import time
from collections.abc import Iterable

import httpx

from tests.e2e.stack import Run
from tests.sandbox.stage import PAGE

PATH = "/webhooks/meta"

_numbers = itertools.count(1)


class Meta:
    """Delivers to one gateway what is given to it."""

    def __init__(self, run: Run) -> None:
        self.port = run.port
        self._secret = run.app_secret
        self._http = httpx.Client(base_url=run.url, timeout=30, trust_env=False)

    def signature(self, body: bytes) -> str:
        """The value of `X-Hub-Signature-256`."""
        return f"sha256={hmac.new(self._secret, body, hashlib.sha256).hexdigest()}"

    def deliver(self, body: bytes) -> int:
        """POST the signed body; returns the status."""
        return self.post(body, self.signature(body))

    def post(self, body: bytes | Iterable[bytes], signature: str | bytes | None) -> int:
        """POST the body, chunked where it comes in pieces; returns the status."""
        text = signature.encode() if isinstance(signature, str) else signature
        headers = [] if text is None else [(b"x-hub-signature-256", text)]
        return self._http.post(PATH, content=body, headers=headers).status_code

    def raw(
        self,
        body: bytes,
        *headers: str,
        pieces: Iterable[bytes] | None = None,
        pause_s: float = 0.0,
        signature: str | None = None,
    ) -> list[int]:
        """Send a request by hand, with just these headers beside the signature; returns statuses.

        `pieces` are what is sent as the body if not `body`, with pauses between them. Then our side
        is closed, as by a sender who left.
        """
        signed = signature or self.signature(body)
        head = [f"POST {PATH} HTTP/1.1", "Host: localhost", f"X-Hub-Signature-256: {signed}"]
        first = "\r\n".join((*head, *headers, "", "")).encode("latin-1")
        return exchange(self.port, [first, *([body] if pieces is None else pieces)], pause_s)

    def close(self) -> None:
        """Let go of the connection."""
        self._http.close()


def exchange(port: int, pieces: Iterable[bytes], pause_s: float = 0.0) -> list[int]:
    """Send bytes to a port, stop sending, and return the statuses of all answers."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        with contextlib.suppress(OSError):  # refused before all was sent
            for piece in pieces:
                connection.sendall(piece)
                time.sleep(pause_s)
            connection.shutdown(socket.SHUT_WR)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while chunk := connection.recv(65536):
                answer += chunk
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3})", answer)]


def text_entry(contact: str, words: str, page: str = PAGE) -> bytes:
    """An entry with one message."""
    return entry([update(contact, {"mid": f"m_e2e_{next(_numbers)}", "text": words}, page)], page)


def update(contact: str, message: object, page: str = PAGE) -> dict[str, object]:
    """What `messaging` holds for one message."""
    ends = {"sender": {"id": contact}, "recipient": {"id": page}}
    return {**ends, "timestamp": now_ms(), "message": message}


def entry(messaging: object, page: object = PAGE) -> bytes:
    """An entry with anything in `messaging`."""
    return json.dumps({"id": page, "time": now_ms(), "messaging": messaging}).encode()


def envelope(*entries: bytes) -> bytes:
    """A delivery of entries that are bytes already."""
    return b'{"object":"page","entry":[%b]}' % b",".join(entries)


def now_ms() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000
