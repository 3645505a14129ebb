"""The providers that the sandbox plays, with people and accounts that no other test uses."""

from typing import Any, Self

import httpx

from tests.e2e.stack import Json
from tests.sandbox.stage import Phone, wait_until

WITHIN_S = 30.0
GONE = (False, 0)
"""A consent of which nothing is left."""
_IDS = ("user_id", "sub", "id")


class Provider:
    """Adds people and accounts, plays them, and says what is left of them."""

    def __init__(self, address: str, number: int) -> None:
        """`number`: ids begin there; it has 16 digits, and the next tests' begin thereafter."""
        self._address, self._next = address, number * 1_000
        self._http = httpx.Client(base_url=address, timeout=30, trust_env=False)
        self._phones: list[Phone] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()
        for phone in self._phones:
            phone.http.close()

    def facebook_person(self, name: str) -> str:
        """Somebody at Facebook; returns the id."""
        id_ = self._id()
        self.act("facebook/people", id=id_, name=name, email=f"{id_}@example.com")
        return id_

    def page(self, *managers: str) -> str:
        """A Page of theirs, from which nothing comes without a subscription; returns the id."""
        id_ = self._id()
        self.act("pages", id=id_, name=f"Page {id_}", managers=list(managers), dormant=True)
        return id_

    def instagram_account(self, name: str) -> str:
        """An account at Instagram; returns the id that webhooks name."""
        id_ = self._id()
        self.act("instagram/accounts", user_id=id_, id=self._id(), username=f"u{id_}", name=name)
        return id_

    def whatsapp_number(self, name: str) -> tuple[str, str, str]:
        """A number of a business account of its own, which is registered already; returns both
        ids, and the token of a system user.
        """
        waba, number = self._id(), self._id()
        self.act("whatsapp/wabas", id=waba, name=name)
        self.act("whatsapp/numbers", id=number, waba=waba, display="+1 5", name=name, on_app=True)
        token: str = self.act("whatsapp/tokens", wabas=[waba])["access_token"]
        return waba, number, token

    def google_person(self, name: str) -> str:
        """Somebody at Google with the usual calendars; returns the `sub`."""
        sub = self._id()
        self.act("google/people", sub=sub, email=f"{sub}@example.com", name=name)
        return sub

    def phone(self, account: str) -> Phone:
        """The phone of a person who writes to the account for the first time."""
        self._phones.append(Phone(self._address, account, self._id()))
        return self._phones[-1]

    def whatsapp_phone(self, number: str) -> Phone:
        """The phone of a person who writes to the number for the first time."""
        phone = self.phone(number)
        phone.path = phone.path.replace(f"pages/{number}", f"whatsapp/{number}")
        return phone

    def hears(self, waba: str) -> bool:
        """Whether the app is subscribed to the business account."""
        every = self.got("state")["whatsapp"]["wabas"]
        return any(one["subscribed"] for one in every if one["id"] == waba)

    def got(self, path: str, **query: int) -> Json:
        """GET from the sandbox's own API."""
        document: Json = self._http.get(f"/api/{path}", params=query).raise_for_status().json()
        return document

    def act(self, path: str, /, **fields: object) -> Json:
        """POST to the sandbox's own API."""
        answer = self._http.post(f"/api/{path}", json=fields)
        assert answer.is_success, answer.text
        document: Json = answer.json()
        return document

    def subscribed(self, login: str, account: str) -> list[str]:
        """For what the app is subscribed to the account."""
        fields: list[str] = self._state(login)["subscriptions"].get(account, [])
        return fields

    def consent(self, login: str, person: str) -> tuple[bool, int]:
        """Whether the person's consent stands, and how many of its tokens live."""
        state = self._state(login)
        everybody = state["accounts"] if login == "instagram" else state["people"]
        [one] = [one for one in everybody if person in (one.get(name) for name in _IDS)]
        return one["connected"], sum(n for name, n in one.items() if name.startswith("live_"))

    def newest_call(self) -> int:
        """The id of the latest call that the APIs received."""
        return max((call["id"] for call in self._calls(0)), default=0)

    def answered(self, after: int, path: str) -> int:
        """The status of the first call to a path that ends so, after the call with that id."""

        def found() -> list[int]:
            calls = self._calls(after)
            return [c["status"] for c in calls if c["status"] and c["path"].endswith(path)]

        wait_until(lambda: bool(found()), WITHIN_S)
        return found()[0]

    def _calls(self, after: int) -> list[Json]:
        answer = self._http.get("/api/calls", params={"after": after})
        calls: list[Json] = answer.raise_for_status().json()["calls"]
        return calls

    def _state(self, login: str) -> dict[str, Any]:
        state: Json = self._http.get("/api/state").json()[login]
        return state

    def _id(self) -> str:
        self._next += 1
        return str(self._next)
