"""A client of the sandbox's WhatsApp: the business by its token, and the people with phones."""

import json
from typing import Any

import httpx

from tests.sandbox.logins import Json, Login, boxes
from tests.sandbox.stage import Receiver, wait_until

WABA, NUMBER, DISPLAY = "102290129340398", "106540352242922", "15550100001"
ANNA = "491701234567"
HOST = "graph.facebook.com"


class Business:
    """Calls the Cloud API as the app does; `told` is what its webhook received."""

    def __init__(self, login: Login, told: Receiver) -> None:
        self.login, self.told = login, told
        self.token: str = login.control("whatsapp/tokens", wabas=[WABA])["access_token"]

    def call(
        self, method: str, path: str, body: Json | None = None, **given: Any
    ) -> httpx.Response:
        """Call graph.facebook.com with the token."""
        more = given if body is None else {"json": body, **given}
        return self.login.call(method, HOST, f"/v24.0/{path}", self.token, **more)

    def good(self, method: str, path: str, body: Json | None = None) -> Json:
        """The same, and the answer of a call that succeeds."""
        answer = self.call(method, path, body)
        assert answer.status_code == 200, answer.text
        document: Json = answer.json()
        return document

    def set_up(self) -> "Business":
        """Register the number and subscribe to its WABA."""
        self.good("POST", f"{NUMBER}/register", {"messaging_product": "whatsapp", "pin": "123456"})
        self.good("POST", f"{WABA}/subscribed_apps")
        return self

    def send(self, **message: Any) -> httpx.Response:
        """Send Anna a text, or what `message` says; None leaves a field out."""
        usual = {"messaging_product": "whatsapp", "to": ANNA, "type": "text"}
        text = {} if "type" in message else {"text": {"body": "Hi"}}
        said = (usual | text | message).items()
        sent = {name: value for name, value in said if value is not None}
        return self.call("POST", f"{NUMBER}/messages", sent)

    def refused(self, **message: Any) -> int:
        """The code of the error that a message meets."""
        answer = self.send(**message)
        assert answer.status_code >= 400, answer.text
        code: int = answer.json()["error"]["code"]
        return code

    def happen(self, kind: str, person: str = ANNA, **fields: Any) -> Json:
        """Let a person do something."""
        path = f"whatsapp/{NUMBER}/contacts/{person}/events"
        return self.login.control(path, kind=kind, **fields)

    def values(self, count: int) -> list[Json]:
        """The values of so many changes, once they came in."""
        wait_until(lambda: len(self.changes) >= count)
        return [change["value"] for change in self.changes]

    def statuses(self, count: int) -> list[Json]:
        """So many statuses, once they came in."""
        wait_until(lambda: len(self._statuses) >= count)
        return self._statuses

    def bubbles(self, person: str = ANNA) -> list[Json]:
        """What the phone shows."""
        path = f"/api/whatsapp/{NUMBER}/contacts/{person}/conversation"
        bubbles: list[Json] = self.login.http.get(path).json()["bubbles"]
        return bubbles

    @property
    def changes(self) -> list[Json]:
        bodies = [json.loads(post.body) for post in self.told.received]
        return [c for body in bodies for entry in body["entry"] for c in entry["changes"]]

    @property
    def _statuses(self) -> list[Json]:
        return [s for change in self.changes for s in change["value"].get("statuses", ())]


def signed_up(login: Login, person: str, **changed: str) -> httpx.Response:
    """Go through Embedded Signup's dialog with what is ticked to begin with."""
    path, query = "/v24.0/dialog/whatsapp", signup(login, person)
    offered = boxes(login.http.get(path, params=query))
    data = {"decision": "continue", "number": offered["number"][:1], **changed}
    return login.http.post(path, params=query, data=data)


def signup(login: Login, person: str | None, **changed: str) -> Json:
    """The query of Embedded Signup's dialog."""
    query = {
        "client_id": "1001",
        "config_id": "7",
        "response_type": "code",
        "override_default_response_type": "true",
        "extras": "{}",
        "origin": login.gateway,
        "sandbox_person": person,
    }
    return {name: value for name, value in (query | changed).items() if value is not None}
