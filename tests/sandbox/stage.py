"""A stage for the sandbox: servers in threads, a receiver of webhooks, a client of its API."""

import contextlib
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from sandbox.__main__ import Server
from sandbox.app import build
from sandbox.settings import Settings

SECRET = "test-secret"
INSTAGRAM_SECRET = "instagram-secret"
VERIFY_TOKEN = "let-me-in"
PAGE = "1234567890"
OTHER_PAGE = "2222222222"
PSID = "7000000000000001"
FINAL = ("delivered", "refused", "lost", "dropped", "merged")

Json = dict[str, object]


def configured(app: ASGIApp, port: int = 0) -> uvicorn.Config:
    """How the servers of these tests listen: quietly, on loopback; port 0 is a free one."""
    return uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error", ws="none")


@contextlib.contextmanager
def serving(server: uvicorn.Server) -> Iterator[str]:
    """Run a server in a thread; yields its address, and fails if it does not stop when told to."""
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until(lambda: server.started)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()


def wait_until(condition: Callable[[], bool], within_s: float = 10.0) -> None:
    """Return when the condition holds; fail when it does not in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


@dataclass(frozen=True)
class Received:
    """One request that reached the webhook."""

    headers: dict[str, str]
    body: bytes

    @property
    def signed(self) -> bool:
        """Whether the signature is that of the app secret over these very bytes."""
        return self.signed_with(SECRET)

    def signed_with(self, secret: str) -> bool:
        """Whether the signature is that of `secret` over these very bytes."""
        expected = hmac.new(secret.encode(), self.body, hashlib.sha256).hexdigest()
        return self.headers.get("x-hub-signature-256") == f"sha256={expected}"

    @property
    def entries(self) -> list[Json]:
        """The entries of the delivery."""
        entries: list[Json] = json.loads(self.body)["entry"]
        return entries

    @property
    def items(self) -> list[Json]:
        """The items of all entries, whatever the channel."""
        channels = ("messaging", "standby", "changes")
        return [
            item for entry in self.entries for name in channels for item in _list(entry.get(name))
        ]

    @property
    def texts(self) -> list[str]:
        """The texts of the messages, in order."""
        return [str(_dict(item.get("message")).get("text")) for item in self.items]


def _list(value: object) -> list[Json]:
    return value if isinstance(value, list) else []


def _dict(value: object) -> Json:
    return value if isinstance(value, dict) else {}


@dataclass
class Receiver:
    """A webhook that does the handshake, checks signatures, and can be told to answer badly."""

    received: list[Received] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    token: str = VERIFY_TOKEN
    told: list[tuple[str, Received]] = field(default_factory=list)

    def server(self, port: int = 0) -> uvicorn.Server:
        """The receiver as a server."""
        routes = [
            Route("/webhooks/meta", self.webhook, methods=["GET", "POST"]),
            Route("/{path:path}", self.callback, methods=["POST"]),
        ]
        return uvicorn.Server(configured(Starlette(routes=routes), port))

    async def callback(self, request: Request) -> Response:
        """Take what is told beside webhooks; a deletion is confirmed."""
        self.told.append((request.url.path, Received(dict(request.headers), await request.body())))
        status = 202 if request.url.path == "/webhooks/google-risc" else 200
        return JSONResponse({"url": "https://example.com/?c=1", "confirmation_code": "1"}, status)

    async def webhook(self, request: Request) -> Response:
        """Answer the handshake, or take a delivery: 200, 401, or what `answers` says next."""
        if request.method == "GET":
            known = request.query_params["hub.verify_token"] == self.token
            challenge = request.query_params["hub.challenge"]
            return PlainTextResponse(challenge) if known else PlainTextResponse("no", 403)
        post = Received(dict(request.headers), await request.body())
        self.received.append(post)
        if not (post.signed or post.signed_with(INSTAGRAM_SECRET)):
            return PlainTextResponse("bad signature", 401)
        status = self.answers.pop(0) if self.answers else 200
        return PlainTextResponse("EVENT_RECEIVED") if status == 200 else Response(None, status)

    def wait_for(self, count: int) -> list[Received]:
        """Return what was received, as soon as it is at least `count` requests."""
        wait_until(lambda: len(self.received) >= count)
        return self.received


def sandbox_server(settings: Settings, retry_pauses_s: Sequence[float]) -> uvicorn.Server:
    """A sandbox as `python -m sandbox serve` runs it."""
    built = build(settings, retry_pauses_s)
    return Server(configured(built.app), built)


class Phone:
    """A client of the sandbox's API, as one person of one Page."""

    def __init__(self, address: str, page: str = PAGE, psid: str = PSID) -> None:
        self.address = address
        self.path = f"/api/pages/{page}/contacts/{psid}"
        self.http = httpx.Client(base_url=address, timeout=20, trust_env=False)

    def post(self, path: str, **fields: object) -> Json:
        """POST JSON and return the answer; fail on an error."""
        answer = self.http.post(path, json=fields)
        assert answer.is_success, answer.text
        result: Json = answer.json()
        return result

    def write(self, text: str, **fields: object) -> Json:
        """Write a message."""
        return self.post(f"{self.path}/messages", text=text, **fields)

    def happen(self, kind: str, **fields: object) -> Json:
        """Let an event of any kind happen."""
        return self.post(f"{self.path}/events", kind=kind, **fields)

    def misbehave(self, kind: str, count: int = 1) -> Json:
        """Arm, or send again."""
        return self.post("/api/misbehave", kind=kind, count=count)

    def bubbles(self) -> list[Json]:
        """The conversation as the phone shows it."""
        bubbles: list[Json] = self.http.get(f"{self.path}/conversation").json()["bubbles"]
        return bubbles

    def delivery(self, number: object) -> Json:
        """One line of the wire log."""
        record: Json = self.http.get(f"/api/deliveries/{number}").json()
        return record

    def settled(self, number: object) -> Json:
        """One line of the wire log, once nothing more happens to it."""
        wait_until(lambda: self.delivery(number)["status"] in FINAL)
        return self.delivery(number)


def dig(value: object, *path: str | int) -> object:
    """Return what lies at `path` in nested JSON objects and lists; fail if nothing does."""
    for step in path:
        assert isinstance(value, dict if isinstance(step, str) else list), (step, value)
        value = value[step]  # type: ignore[index]  # the line above has said it
    return value


def statuses(record: Json) -> list[object]:
    """The statuses that the attempts of a delivery met."""
    return [attempt["status"] for attempt in _list(record["attempts"])]
