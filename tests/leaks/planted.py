"""What the run plants: each secret and each word of a person's once, with a name to find it by."""

import json
import time
from collections.abc import Iterable
from typing import Any

from tests.leaks.places import Blobs
from tests.leaks.search import Finder, Leak, mark, number


class Planted:
    """The markers of one run, by name."""

    def __init__(self) -> None:
        self.markers: dict[str, str] = {}

    def secret(self, name: str, prefix: str = "", suffix: str = "") -> str:
        """A new secret between `prefix` and `suffix`; the middle alone is searched for, so that it
        is found when it was cut.
        """
        if name not in self.markers:
            self.markers[name] = mark()
        return f"{prefix}{self.markers[name]}{suffix}"

    def number(self, name: str) -> str:
        """The same for what consists of digits: ids of accounts and people, telephone numbers."""
        if name not in self.markers:
            self.markers[name] = number()
        return self.markers[name]

    def given(self, name: str, secret: str) -> str:
        """A secret that the gateway made itself."""
        self.markers[name] = secret
        return secret

    def leaks(self, places: Blobs, allowed: Iterable[str] = ()) -> list[Leak]:
        """All markers but `allowed` in `places`."""
        return list(Finder(self.markers).leaks(places, allowed))


class Contact:
    """Somebody who writes to a Page, with everything that a delivery can say of a person."""

    def __init__(self, planted: Planted, page: str) -> None:
        self._planted, self._page = planted, page
        self._number = 0
        self.id = planted.number("contact")

    def writes(self, text: str) -> bytes:
        """A text with an attachment whose URL is a secret."""
        url = f"https://cdn.example.com/{self._planted.secret('attachment', suffix='?sig=x')}"
        attachment = {"type": "image", "payload": {"url": url}}
        message = {
            "mid": self._mid(),
            "text": self._planted.secret(text),
            "attachments": [attachment],
        }
        return self._delivery({"message": message})

    def is_new_to_us(self) -> bytes:
        """A kind of update that no table has, named and filled with what a person is."""
        planted = self._planted
        told = {
            "name": planted.secret("name", "Zoë "),
            "address": planted.secret("street", "Street "),
            "e-mail": planted.secret("e-mail", suffix="@example.com"),
            "phone": planted.number("phone"),
        }
        return self._delivery({planted.secret("kind", "kind_"): told})

    def cannot_be_read(self) -> bytes:
        """A message that says nothing a message says."""
        text = self._planted.secret("parked text")
        wrong = {"mid": [text], "text": {"x": text}}
        return self._delivery({"message": wrong})

    def _mid(self) -> str:
        self._number += 1
        return f"m_{self._planted.secret('message id')}_{self._number}"

    def _delivery(self, update: dict[str, Any]) -> bytes:
        at_ms = int(time.time() * 1000)
        sender = {"id": self.id, "name": self._planted.secret("name")}
        event = {"sender": sender, "recipient": {"id": self._page}, "timestamp": at_ms, **update}
        entry = {"id": self._page, "time": at_ms, "messaging": [event]}
        return json.dumps({"object": "page", "entry": [entry]}).encode()
