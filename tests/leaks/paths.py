"""The paths that content and secrets take: in by webhooks, out by calls, around by commands."""

import hashlib
import hmac
import json
import socket
from typing import Any, Final

import httpx

from tests.leaks.grants import TENANT
from tests.leaks.planted import Contact
from tests.leaks.stage import EDGE, PATIENCE_S, WORKER, Stage
from tests.processes import eventually

Json = dict[str, Any]
HOOK: Final = "/webhooks/meta"


class Play:
    """A stage that is set: two Pages connected, keys made, everything running."""

    def __init__(self, stage: Stage) -> None:
        self.stage, self.planted = stage, stage.planted
        self.page, self.other = self.planted.number("page"), self.planted.number("other page")
        self.contact = Contact(self.planted, self.page)
        self.texts: list[str] = []
        self.cookie = ("", "")

    def set_up(self) -> None:
        """From nothing, by commands."""
        command, planted = self.stage.command, self.planted
        command("db", "upgrade")
        keys = ("crm", "operator")
        made = [command("keys", "create", "--role", role, "--name", "x") for role in keys]
        self.crm, self.operator = (
            planted.given(f"{role} key", key.strip()) for role, key in zip(keys, made, strict=True)
        )
        add = ("connections", "add", "--provider", "facebook", "--json")
        named = ("--name", planted.secret("account name", "Zoë's "))
        token = planted.secret("page token", "EAAG")
        at = ("--tenant", TENANT, "--account")
        said = command(*add, *named, *at, self.page, "--token-stdin", stdin=token + "\n")
        self.connection = json.loads(said)["id"]
        self.carried = json.loads(command(*add, *at, self.other))["id"]
        self.stage.start(EDGE, WORKER)
        self.stage.begin("schedule")

    # -- webhooks ----------------------------------------------------------------------------------

    def deliver(self, body: bytes, secret: str = "app secret", expect: int = 200) -> None:
        """Post it, signed with a planted secret; as providers do, again while we are busy."""
        status = self._posted(body, secret)
        if status == 503 != expect:
            eventually(lambda: self._posted(body, secret) == expect, PATIENCE_S, 0.5)
        else:
            assert status == expect

    def _posted(self, body: bytes, secret: str) -> int:
        digest = hmac.new(self.planted.secret(secret).encode(), body, hashlib.sha256).hexdigest()
        with self.stage.client("") as client:
            headers = {"x-hub-signature-256": f"sha256={digest}"}
            return client.post(HOOK, content=body, headers=headers).status_code

    def webhooks(self) -> None:
        """Good ones, and those that are refused, cannot be split, or find nobody."""
        self.deliver(self.contact.writes("text"))
        self.deliver(self.contact.is_new_to_us(), "previous app secret")
        self.deliver(self.contact.cannot_be_read())
        self.deliver(self.contact.writes("forged text"), "wrong secret", expect=401)
        self.deliver(self.contact.writes("endless text") + b" " * (4 << 20), expect=413)
        self.deliver(b'{"object": "page", "entry": [' + self.contact.writes("malformed text"))
        self.deliver(b"\xff" + self.contact.writes("broken text"))
        self.deliver(
            Contact(self.planted, self.planted.number("nobody's page")).writes("lost text")
        )
        self._handshakes()
        self._no_http()
        self.arrives("text")

    def _handshakes(self) -> None:
        with self.stage.client("") as client:
            for token, status in (("verify token", 200), ("wrong verify token", 403)):
                asked = {
                    "hub.mode": "subscribe",
                    "hub.verify_token": self.planted.secret(token),
                    "hub.challenge": "7",
                }
                assert client.get(HOOK, params=asked).status_code == status

    def _no_http(self) -> None:
        host, port = self.stage.url.removeprefix("http://").split(":")
        for line in ("GET /{} HTTP/9.9\r\n\r\n", "{}\r\n\r\n", "GET / HTTP/1.1\r\n{}\r\n\r\n"):
            with socket.create_connection((host, int(port)), timeout=10) as stream:
                stream.sendall(line.format(self.planted.secret("no http")).encode())
                stream.recv(65_536)

    # -- the API -----------------------------------------------------------------------------------

    def pull(self, **asked: str | int) -> list[Json]:
        """The feed, or what of it is asked for."""
        with self.stage.client(self.crm) as client:
            page = client.get("/v1/messages", params={"limit": 1000, **asked})
            found: list[Json] = page.raise_for_status().json()["messages"]
            return found

    def arrives(self, *names: str) -> None:
        """Wait until texts are in the feed: they really went all the way."""
        texts = {self.planted.markers[name] for name in names}
        eventually(lambda: texts <= self._texts_pulled(), PATIENCE_S, 0.2)
        self.texts += names

    def _texts_pulled(self) -> set[str | None]:
        """None of them while we are busy."""
        with self.stage.client(self.crm) as client:
            answer = client.get("/v1/messages", params={"limit": 1000})
        if answer.status_code == 503:
            return set()
        return {x["data"].get("text") for x in answer.raise_for_status().json()["messages"]}

    def _upload(self, client: httpx.Client) -> None:
        """A file to send, and what is stored of it."""
        body = self.planted.secret("file text", "dear ").encode() * 3
        named = {"tenant": TENANT, "name": self.planted.secret("name", suffix=".txt")}
        kind = {"content-type": "text/plain"}
        made = client.post("/v1/attachments", params=named, content=body, headers=kind)
        assert made.status_code == 201
        assert client.get(f"/v1/attachments/{made.json()['id']}").content == body

    def calls(self) -> None:
        """Everything that a reader asks."""
        found = self.pull(wait=1)
        one = found[0]["id"]
        self.pull(tenant=TENANT, connection=self.connection, type="message.received")
        with self.stage.client(self.crm) as client:
            assert client.get(f"/v1/messages/{one}").status_code == 200
            for name in ("crm", "filtered"):
                types = ["message.received"] if name == "filtered" else []
                client.put(f"/v1/consumers/{name}", json={"start": "beginning", "types": types})
                _read_up(client, name)
            assert client.get("/v1/connections").json()["connections"]
            self._upload(client)
        with self.stage.client(self.operator) as client:
            for status in ("parked", "unrouted", "waiting"):
                listed = client.get("/v1/deliveries", params={"status": status}).json()
                for delivery in listed["deliveries"]:
                    client.get(f"/v1/deliveries/{delivery['id']}")
                    client.post(f"/v1/deliveries/{delivery['id']}/replay")
            client.post("/v1/replays", json={"status": "unrouted"})

    def wrong_calls(self) -> None:
        """Secrets and people where they do not belong: in queries, paths, bodies and headers."""
        word, phone = self.planted.secret("misplaced"), self.planted.number("phone in an id")
        with self.stage.client(self.crm) as client:
            for path in (f"/v1/{word}", f"/{word}", f"/v1/messages/{word}", f"/webhooks/{word}"):
                _refused(client.get(path, params={"access_token": word}))
            for name in ("after", "limit", "wait", "tenant", "type", "connection", word, "q"):
                _refused(client.get("/v1/messages", params={name: f"{word}\x00"}))
                _refused(client.get("/v1/messages", params={name: [word, word], "limit": word}))
            for name in ("messages/msg_", "consumers/", "deliveries/prk_", "connections/con_"):
                _refused(client.get(f"/v1/{name}{phone}"))
            for body in (word, {word: 1}, {"start": word}, {"start": {"x": word}}, [word]):
                _refused(client.put("/v1/consumers/x", json=body))
            _refused(client.put("/v1/consumers/x", content=f'{{"start": "{word}'))
            _refused(client.put("/v1/consumers/x", content=word * (1 << 16)))
            _refused(client.request(word[:8].upper(), "/v1/messages"))
        for key in (word, self.planted.secret("wrong key", "cbg_")):
            with self.stage.client(key) as client:
                _refused(client.get("/v1/messages", headers={"cookie": word}))
        with self.stage.client(self.operator) as client:
            _refused(client.get(f"/v1/messages?{word}"))
            _refused(client.post("/v1/replays", json={"status": word}))

    # -- commands ----------------------------------------------------------------------------------

    def commands(self) -> None:
        """Everything that an operator looks at."""
        command = self.stage.command
        for json_too in ([], ["--json"]):
            command("connections", "list", *json_too)
            command("connections", "show", self.connection, *json_too)
            command("deliveries", "list", *json_too)
        command("connections", "openings", self.carried)
        command("connections", "revoke", self.carried, "--dry-run")
        parked = json.loads(command("deliveries", "list", "--status", "parked", "--json"))
        command("deliveries", "show", parked[0]["id"])
        command("deliveries", "replay", "--status", "parked")
        command("keys", "list")
        command("vault", "rotate", "--tenant", TENANT)
        command("vault", "rotate", "--kek")
        command("vault", "status")
        command("check", "--json")
        self.stage.tail("message.received")

    def wrong_commands(self) -> None:
        """Secrets on standard input and in arguments that cannot be used."""
        command, word = self.stage.command, self.planted.secret("misplaced")
        id_ = self.planted.number("phone in an id")
        add = ("connections", "add", "--tenant", TENANT, "--provider", "facebook", "--account")
        command(*add, "1", "--token-stdin", stdin=f"a\x01{word}", expect=2)
        command(*add, self.page, "--token-stdin", stdin=word, expect=1)
        command("connections", "list", "--status", word, expect=2)
        command("connections", "show", f"con_{id_}", expect=1)
        command("deliveries", "show", f"prk_{id_}", expect=1)
        command("keys", "revoke", word, expect=1)


def _read_up(client: httpx.Client, consumer: str) -> None:
    """To the end, and commit: what became of media may come meanwhile."""
    lag = 1
    for _ in range(20):
        pulled = client.get(f"/v1/consumers/{consumer}/messages", params={"wait": 1}).json()
        cursor = {"cursor": pulled["next"]}
        assert client.post(f"/v1/consumers/{consumer}/commit", json=cursor).status_code == 200
        lag = client.get(f"/v1/consumers/{consumer}").json()["lag"]
        if lag == 0:
            return
    raise AssertionError(f"lag {lag}")


def _refused(answer: httpx.Response) -> None:
    assert 400 <= answer.status_code < 500, (answer.request.method, answer.status_code)
