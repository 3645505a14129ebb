"""A provider's token endpoint on loopback, and a login that asks it: for threads and processes."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qs

import httpx

from contracts.errors import Permanent, Reauthorize, Retryable, Throttled
from contracts.login import Login, Refreshed, Tokens
from contracts.tokens import Secret

LIFE_S: Final = 3600
FIRST: Final = "refresh-0"
"""The refresh token that a provider begins with."""


class Provider:
    """What a token endpoint knows; set its attributes to have it misbehave."""

    def __init__(self, *, rotates: bool = False) -> None:
        self.rotates = rotates
        self.calls = 0
        self.live = {FIRST}
        self.delay_s = 0.0
        self.life_s = LIFE_S
        self.status = 200
        self.error = ""
        self.scope: str | None = None
        self.url = ""
        self._lock = threading.Lock()

    def answer(self, refresh_token: str) -> tuple[int, dict[str, Any]]:
        with self._lock:
            self.calls += 1
            number, delay_s, status = self.calls, self.delay_s, self.status
            if status == 200 and refresh_token not in self.live:
                status, error = 400, "invalid_grant"
            else:
                error = self.error
            given = {"access_token": f"access-{number}", "expires_in": self.life_s}
            if status == 200 and self.rotates:
                self.live = {f"refresh-{number}"}
                given["refresh_token"] = f"refresh-{number}"
        time.sleep(delay_s)
        if status != 200:
            return status, {"error": error}
        return 200, given | ({"scope": self.scope} if self.scope is not None else {})


@contextmanager
def served(provider: Provider) -> Iterator[Provider]:
    """`provider` at its `url`."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["content-length"])
            asked = parse_qs(self.rfile.read(length).decode())
            status, given = provider.answer(asked["refresh_token"][0])
            body = json.dumps(given).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            if status == 429:
                self.send_header("retry-after", "120")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    class Server(ThreadingHTTPServer):
        request_queue_size = 128

        def handle_error(self, request: object, client_address: object) -> None:
            """A client that was killed is none of our errors."""

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    provider.url = f"http://127.0.0.1:{server.server_port}/token"
    try:
        yield provider
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class FakeLogin(Login):
    """Refreshes at `url`, as OAuth providers do (RFC 6749 §6)."""

    name = "fake"
    rotates = False

    def __init__(self, url: str) -> None:
        self.url = url

    def due_at(self, tokens: Tokens) -> datetime | None:
        return tokens.expires_at and tokens.expires_at - timedelta(minutes=5)

    def refresh(self, client: httpx.Client, tokens: Tokens) -> Refreshed:
        assert tokens.refresh_token is not None
        asked = {"refresh_token": tokens.refresh_token.reveal()}
        answer = client.post(self.url, data=asked)
        self.check(answer)
        given, now = answer.json(), datetime.now(UTC)
        newer = given.get("refresh_token")
        fresh = Tokens(
            Secret(given["access_token"]),
            now,
            now + timedelta(seconds=given["expires_in"]),
            Secret(newer) if newer else None,
        )
        scope = given.get("scope")
        return Refreshed(fresh, None if scope is None else frozenset(scope.split()))

    def check(self, answer: httpx.Response) -> None:
        match answer.status_code:
            case 200:
                return
            case 400:
                raise Reauthorize("invalid_grant")
            case 401:
                raise Permanent("invalid_client")
            case 429:
                after_s = float(answer.headers["retry-after"])
                raise Throttled("too many calls", scope="app", after_s=after_s)
            case status:
                raise Retryable(f"the provider answered {status}")


class RotatingLogin(FakeLogin):
    """Each refresh spends the refresh token."""

    name = "rotating"
    rotates = True


class SlowLogin(FakeLogin):
    """Its tokens are old when they come."""

    name = "slow"

    def refresh(self, client: httpx.Client, tokens: Tokens) -> Refreshed:
        new = super().refresh(client, tokens).tokens
        assert new.expires_at is not None
        older = (new.expires_at - new.obtained_at) * 0.6
        return Refreshed(
            Tokens(new.access_token, new.obtained_at - older, new.expires_at - older), None
        )


class CheckedLogin(FakeLogin):
    """Tokens without an end, which are checked once a day."""

    name = "checked"

    def due_at(self, tokens: Tokens) -> datetime | None:
        return tokens.obtained_at + timedelta(days=1)

    def refresh(self, client: httpx.Client, tokens: Tokens) -> Refreshed:
        self.check(client.post(self.url, data={"refresh_token": FIRST}))
        return Refreshed(Tokens(tokens.access_token, datetime.now(UTC)))


LOGINS: Final = (FakeLogin, RotatingLogin, SlowLogin, CheckedLogin)


def logins(url: str) -> dict[str, Login]:
    """All of them, by name."""
    return {kind.name: kind(url) for kind in LOGINS}
