"""The Messenger room: people write to Pages, and the gateway hears of it by webhook."""

import time
from collections.abc import Callable, Mapping

from sandbox.delivery import Postman
from sandbox.entries import Entry, entry_of
from sandbox.fields import BadField, Fields, JsonObject
from sandbox.payloads import Scene
from sandbox.people import Contact, Page, page_with_people, psid_for
from sandbox.wirelog import Post

MOST_DIGITS = 20
PAGES_KEPT = 1_000


class UnknownPage(LookupError):
    """There is no such Page in the sandbox."""


def milliseconds() -> int:
    """Return the time as Meta's Messenger counts it."""
    return time.time_ns() // 1_000_000


class Messenger:
    """Pages, their people, and the events between them."""

    def __init__(
        self,
        pages: Mapping[str, str],
        postman: Postman,
        clock_ms: Callable[[], int] = milliseconds,
    ) -> None:
        self.pages = {page_id: page_with_people(page_id, name) for page_id, name in pages.items()}
        self._postman = postman
        self._clock_ms = clock_ms

    def page(self, page_id: str) -> Page:
        """Return a Page, or raise UnknownPage."""
        if page_id not in self.pages:
            raise UnknownPage(f"there is no Page {page_id}")
        return self.pages[page_id]

    def contact(self, page_id: str, psid: str) -> Contact:
        """Return a contact of a Page; an unknown PSID becomes one."""
        page = self.page(page_id)
        return page.contact(_digits(psid, "psid"))

    def add_page(self, page_id: str, name: str) -> Page:
        """Add a Page with the usual people, or rename one that is there."""
        if page_id in self.pages:
            self.pages[page_id].name = name
        elif len(self.pages) >= PAGES_KEPT:
            raise BadField(f"the sandbox keeps at most {PAGES_KEPT} Pages")
        else:
            self.pages[page_id] = page_with_people(_digits(page_id, "id"), name)
        return self.pages[page_id]

    def add_contact(self, page_id: str, name: str, psid: str | None) -> Contact:
        """Add a person to a Page; without a PSID they get a stable one."""
        page = self.page(page_id)
        contact = Contact(_digits(psid or psid_for(page_id, name), "psid"), name)
        if contact.psid in page.contacts:
            page.contacts[contact.psid].name = name
            return page.contacts[contact.psid]
        page.add(contact)
        return contact

    async def happen(
        self, page_id: str, psid: str, kind: str, given: JsonObject, media_url: str
    ) -> tuple[Entry, Post]:
        """Let an event of `kind` happen: send its webhook and show it in the conversation."""
        conversation = self.contact(page_id, psid).conversation
        scene = Scene(page_id, psid, self._clock_ms(), media_url, conversation)
        entry = entry_of(kind, scene, Fields(given))
        post = await self._postman.submit(entry)
        conversation.apply(entry.item, post.id, entry.time)
        return entry, post

    async def burst(
        self, page_id: str, psid: str, text: str, count: int, media_url: str
    ) -> list[str]:
        """Write `count` messages at once, numbered; return their ids in the order written."""
        mids = []
        for number in range(1, count + 1):
            given: JsonObject = {"text": f"{text} {number}"}
            entry, _ = await self.happen(page_id, psid, "message", given, media_url)
            mids.append(mid_of(entry) or "")
        return mids


def mid_of(entry: Entry) -> str | None:
    """Return the message id that an entry is about, if it is about one."""
    for content in entry.item.values():
        if isinstance(content, dict) and isinstance(content.get("mid"), str):
            return str(content["mid"])
    return None


def _digits(value: str, name: str) -> str:
    if not (value.isascii() and value.isdecimal() and len(value) <= MOST_DIGITS):
        raise BadField(f"{name} must be 1 to {MOST_DIGITS} digits")
    return value
