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
        accounts: Mapping[str, str],
        postman: Postman,
        why_silent: Callable[[Entry], str | None],
        clock_ms: Callable[[], int] = milliseconds,
    ) -> None:
        """`pages`, and Instagram `accounts`, as id → name; `why_silent` tells why nobody hears."""
        self._at_first = (pages, accounts)
        self._postman, self._why_silent, self._clock_ms = postman, why_silent, clock_ms
        self.reset()

    def reset(self) -> None:
        """Forget every conversation, and what was added since the start."""
        pages, accounts = self._at_first
        self.pages = {page_id: page_with_people(page_id, name) for page_id, name in pages.items()}
        for account_id, name in accounts.items():
            self.add_account(account_id, name)

    def page(self, page_id: str) -> Page:
        """Return a Page, or raise UnknownPage."""
        if page_id not in self.pages:
            raise UnknownPage(f"there is no Page {page_id}")
        return self.pages[page_id]

    def contact(self, page_id: str, psid: str) -> Contact:
        """Return a contact of a Page; an unknown PSID becomes one."""
        page = self.page(page_id)
        return page.contact(digits(psid, "psid"))

    def contact_name(self, page_id: str, psid: str) -> str | None:
        """Return the name of a contact who is there."""
        page = self.pages.get(page_id)
        contact = None if page is None else page.contacts.get(psid)
        return None if contact is None else contact.name

    def add_page(self, page_id: str, name: str) -> Page:
        """Add a Page with the usual people, or rename one that is there."""
        if page_id in self.pages:
            self.pages[page_id].name = name
        elif len(self.pages) >= PAGES_KEPT:
            raise BadField(f"the sandbox keeps at most {PAGES_KEPT} Pages")
        else:
            self.pages[page_id] = page_with_people(digits(page_id, "id"), name)
        return self.pages[page_id]

    def add_account(self, account_id: str, name: str) -> None:
        """Add an Instagram account with the usual people."""
        self.pages[account_id] = page_with_people(account_id, name, kind="instagram")

    def add_contact(self, page_id: str, name: str, psid: str | None) -> Contact:
        """Add a person to a Page; without a PSID they get a stable one."""
        page = self.page(page_id)
        contact = Contact(digits(psid or psid_for(page_id, name), "psid"), name)
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
        kind_of_page = self.page(page_id).object
        scene = Scene(page_id, psid, self._clock_ms(), media_url, conversation, kind_of_page)
        entry = entry_of(kind, scene, Fields(given))
        post = await self._postman.submit(entry, self._why_silent(entry))
        at_ms = entry.item.get("timestamp", entry.time)
        conversation.apply(entry.item, post.id, at_ms if isinstance(at_ms, int) else entry.time)
        return entry, post

    async def opened(self, page_id: str, psid: str) -> int:
        """The person looks at the conversation: what is new there was delivered, and is read.
        Return how many messages were new.
        """
        page, conversation = self.page(page_id), self.contact(page_id, psid).conversation
        new = [it for it in conversation.bubbles if it.author == "page" and not it.seen and it.mid]
        for bubble in new:
            bubble.seen = True
        mids = [bubble.mid for bubble in new if bubble.mid]
        if mids and page.object == "instagram":
            await self._receipt(page_id, psid, "read", {"mid": mids[-1]})
        elif mids:
            await self._receipt(page_id, psid, "delivery", {"mids": mids})
            await self._receipt(page_id, psid, "read", {})
        return len(mids)

    async def _receipt(self, page_id: str, psid: str, kind: str, given: JsonObject) -> None:
        """Tell of it without a note in the conversation: nobody did anything there."""
        conversation = self.contact(page_id, psid).conversation
        scene = Scene(page_id, psid, self._clock_ms(), "", conversation, self.page(page_id).object)
        entry = entry_of(kind, scene, Fields(given))
        await self._postman.submit(entry, self._why_silent(entry))

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


def digits(value: str, name: str) -> str:
    """Return `value` if it is an id as Meta's are. Raises `BadField` naming the field."""
    if not (value.isascii() and value.isdecimal() and len(value) <= MOST_DIGITS):
        raise BadField(f"{name} must be 1 to {MOST_DIGITS} digits")
    return value
