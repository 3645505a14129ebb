"""The people and Pages of the sandbox, and what they have written to each other."""

import hashlib
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, cast

from sandbox.fields import JsonObject

CONTACT_NAMES = ("Anna Schmidt", "Олена Коваленко", "Zoë 🌻 Martin", "Marco Rossi", "Amara Okafor")
BUBBLES_KEPT = 500
CONTACTS_KEPT = 10_000

Author = Literal["contact", "page", "note"]
Object = Literal["page", "instagram", "whatsapp_business_account"]
"""To what one writes, as webhooks name it."""


@dataclass
class Bubble:
    """One thing seen in the conversation; `delivery` is the wire log's number of its webhook."""

    mid: str | None
    author: Author
    text: str | None
    at_ms: int
    delivery: int
    attachments: list[JsonObject] = field(default_factory=list)
    reply_to: str | None = None
    reaction: str | None = None
    edits: int = 0
    seen: bool = False
    """Of the business's: the person has opened the conversation since."""
    ticks: str | None = None
    """How far a message of the business has come, where its provider tells: `sent`, `delivered`,
    `read`, `failed`."""


@dataclass
class Conversation:
    """What one contact and one Page have written, the newest `BUBBLES_KEPT` bubbles of it."""

    bubbles: deque[Bubble] = field(default_factory=lambda: deque(maxlen=BUBBLES_KEPT))

    def find(self, mid: str) -> Bubble | None:
        """Return the bubble of a message id, if it is still kept."""
        return next((bubble for bubble in self.bubbles if bubble.mid == mid), None)

    def apply(self, item: Mapping[str, object], delivery: int, at_ms: int) -> None:
        """Show what an item of a webhook did to the conversation."""
        message = cast(JsonObject | None, item.get("message"))
        if message is not None and message.get("is_deleted"):
            self._unsend(message)
        elif message is not None:
            self.bubbles.append(_bubble(message, delivery, at_ms))
        elif "message_edit" in item:
            self._edit(cast(JsonObject, item["message_edit"]))
        elif "reaction" in item:
            self._react(cast(JsonObject, item["reaction"]))
        else:
            self.bubbles.append(Bubble(None, "note", note_on(item), at_ms, delivery))

    def _unsend(self, message: JsonObject) -> None:
        bubble = self.find(str(message["mid"]))
        if bubble is not None:
            bubble.text, bubble.attachments = "Message unsent", []

    def _edit(self, edit: JsonObject) -> None:
        bubble = self.find(str(edit["mid"]))
        if bubble is not None:
            bubble.text, bubble.edits = str(edit["text"]), int(str(edit["num_edit"]))

    def _react(self, reaction: JsonObject) -> None:
        bubble = self.find(str(reaction["mid"]))
        if bubble is not None:
            bubble.reaction = str(reaction["emoji"]) if reaction["action"] == "react" else None


def _bubble(message: JsonObject, delivery: int, at_ms: int) -> Bubble:
    reply_to = cast(JsonObject, message.get("reply_to") or {}).get("mid")
    return Bubble(
        mid=str(message["mid"]),
        author="page" if message.get("is_echo") else "contact",
        text=cast(str | None, message.get("text")),
        at_ms=at_ms,
        delivery=delivery,
        attachments=cast(list[JsonObject], message.get("attachments") or []),
        reply_to=None if reply_to is None else str(reply_to),
    )


def note_on(item: Mapping[str, object]) -> str:
    """Return a line for an event that is no message, such as `postback: Get started`."""
    parts = [key for key in item if key not in ("sender", "recipient", "timestamp")]
    kind = parts[0] if parts else "event"
    content = item.get(kind)
    if isinstance(content, dict):
        for name in ("title", "status", "action", "feedback", "ref"):
            if isinstance(content.get(name), str):
                return f"{kind}: {content[name]}"
    return kind


@dataclass
class Contact:
    """A person as one Page knows them: the id is scoped to the Page (a PSID)."""

    psid: str
    name: str
    conversation: Conversation = field(default_factory=Conversation)


@dataclass
class Page:
    """A Facebook Page, or an Instagram account, and the people who write to it."""

    id: str
    name: str
    contacts: dict[str, Contact] = field(default_factory=dict)
    object: Object = "page"

    def contact(self, psid: str) -> Contact:
        """Return the contact; someone not seen before becomes one, as on the real platform."""
        if psid not in self.contacts:
            self.add(Contact(psid, f"Person {psid[-4:]}"))
        return self.contacts[psid]

    def add(self, contact: Contact) -> None:
        """Add a contact, forgetting the oldest beyond `CONTACTS_KEPT`."""
        if len(self.contacts) >= CONTACTS_KEPT:
            del self.contacts[next(iter(self.contacts))]
        self.contacts[contact.psid] = contact


def psid_for(page_id: str, name: str) -> str:
    """Return a stable 16-digit PSID: the same person has another one at every Page."""
    digest = hashlib.sha256(f"{page_id}/{name}".encode("utf-8", "surrogatepass")).digest()
    return str(10**15 + int.from_bytes(digest[:8], "big") % (9 * 10**15))


def page_with_people(
    page_id: str, name: str, people: Iterable[str] = CONTACT_NAMES, kind: Object = "page"
) -> Page:
    """Return a Page, or an Instagram account, to which the given people can write."""
    page = Page(page_id, name, object=kind)
    for person in people:
        page.add(Contact(psid_for(page_id, person), person))
    return page
