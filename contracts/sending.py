"""What a connector can do for messages that go out: what fits is data, and one call sends it."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, NamedTuple

import msgspec

from contracts.content import Participant, contact

if TYPE_CHECKING:
    import httpx

_SEND_ID: Final = re.compile(r"snd_[a-z2-7]{20}")

What = Literal["message", "private_reply", "public_reply"]
"""A message of a conversation; an answer to a comment, in private or below it."""
Kind = Literal["image", "video", "audio", "file", "sticker"]
Unit = Literal["characters", "bytes"]


class Attached(msgspec.Struct, frozen=True):
    """What is attached. `url` is public: the provider fetches it from there. `id`: of media that we
    keep; their `url` is a link that ends, made for the call alone, and empty until then.
    """

    kind: Kind
    url: str
    mime_type: str | None = None
    name: str | None = None
    id: str | None = None


class SuggestedReply(msgspec.Struct, frozen=True):
    """A prepared answer below a message; `payload` comes back when it is tapped."""

    title: str
    payload: str


class Outgoing(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One message to send: of a conversation, or an answer to a comment.

    `id` is the send's (`snd_…`): it goes along where the provider brings it back, so that an echo
    or a status is known as ours. `account`: who sends, and `to`: the contact, or for replies the
    comment; both by the provider's ids. `reply_to`: the provider's id of the message that is
    answered. `template`, `interactive`: in the provider's own shape. `human_agent`: a person wrote
    it, so that the provider's longer window counts, where it has one.
    """

    id: str
    account: str
    what: What
    to: str
    text: str | None = None
    attachments: tuple[Attached, ...] = ()
    reply_to: str | None = None
    quick_replies: tuple[SuggestedReply, ...] = ()
    template: dict[str, Any] | None = None
    interactive: dict[str, Any] | None = None
    human_agent: bool = False


class Sent(msgspec.Struct, frozen=True):
    """What the provider says of a message that it took: its id for it, as echoes and receipts have
    it, and the contact's id where the answer alone tells it (a private reply names a comment).
    """

    message_id: str
    contact: str | None = None


class Rules(NamedTuple):
    """What the provider takes of one `What`, as far as it can be told before the call.

    `feature` of the connector is needed. `text`: the longest, in `unit` (bytes of UTF-8).
    `attachments`: how many at once, `beside_text`: whether text may go with them. `window`: how
    long after the contact's last action; `agent_window`: the longer one, for a person's answer.
    None: there is none. `template_any_time`: templates go outside of it too.
    """

    feature: str
    text: int
    unit: Unit = "characters"
    kinds: frozenset[str] = frozenset()
    attachments: int = 0
    beside_text: bool = False
    quick_replies: int = 0
    reply_to: bool = False
    template: bool = False
    template_any_time: bool = False
    interactive: bool = False
    window: timedelta | None = None
    agent_window: timedelta | None = None

    def open_for(self, outgoing: Outgoing) -> timedelta | None:
        """The window that counts for it; None: it may go at any time."""
        if outgoing.template is not None and self.template_any_time:
            return None
        return self.agent_window if outgoing.human_agent and self.agent_window else self.window

    def faults(self, outgoing: Outgoing) -> list[str]:
        """Why the provider would not take it, in words without content; empty when it may."""
        return [words for words in self._faults(outgoing) if words]

    def _faults(self, it: Outgoing) -> list[str]:
        return [
            "" if _says_something(it) else "there is nothing to send",
            self._too_long(it.text or ""),
            self._not_attached(it),
            _at_most(self.quick_replies, len(it.quick_replies), "quick_replies"),
            "" if it.reply_to is None or self.reply_to else "reply_to cannot be used here",
            "" if it.template is None or self.template else "templates cannot be used here",
            "a template goes alone" if it.template is not None and _says_more(it) else "",
            "" if it.interactive is None or self.interactive else "interactive cannot be used here",
            "" if not it.human_agent or self.agent_window else "human_agent cannot be used here",
        ]

    def _too_long(self, text: str) -> str:
        length = len(text.encode()) if self.unit == "bytes" else len(text)
        unit = "bytes of UTF-8" if self.unit == "bytes" else "characters"
        return "" if length <= self.text else f"text has {length} {unit}, and may have {self.text}"

    def _not_attached(self, it: Outgoing) -> str:
        if not it.attachments:
            return ""
        if strange := sorted({one.kind for one in it.attachments} - self.kinds):
            return f"attachments: {strange[0]} cannot be sent here"
        if it.text and not self.beside_text:
            return "text and attachments are two messages here: send one after the other"
        return _at_most(self.attachments, len(it.attachments), "attachments")


class Sends(ABC):
    """A connector whose accounts can write."""

    sending: ClassVar[Mapping[What, Rules]]
    """What can be sent, and what the provider takes of it."""

    @abstractmethod
    def send(self, client: httpx.Client, outgoing: Outgoing) -> Sent:
        """Send it, in one call that changes something. `client` carries the account's token.

        Raises `Retryable` and `Throttled` when it surely was not sent, `Reauthorize`,
        `PermissionMissing`, `WindowClosed` and `Permanent` when it never will be, `OutcomeUnknown`
        when nobody can tell: it is then never sent again.
        """

    def sent_key(self, message_id: str) -> str:
        """The deduplication key of the echo of a message, so that echo and outcome are one."""
        return f"message:{message_id}"

    def contact_id(self, text: str) -> str:
        """The id that the feed has for the contact whom a caller names by `text`: where people may
        write it in several ways, that of them all.
        """
        return text

    def address(self, contact_id: str) -> Participant:
        """How the feed names the contact with an id."""
        return contact(contact_id)


VIA: Final = "gateway"
"""By what a message was written that is our own send, as the feed says it."""
STEP_MS: Final = 300_000
"""What is kept of a contact's last action may be so much older than it."""


class Correspondent(msgspec.Struct, frozen=True):
    """What is kept of whom a conversation is with, sealed under its id."""

    id: str


def encode_correspondent(contact_id: str) -> bytes:
    """JSON, to be sealed."""
    return msgspec.json.encode(Correspondent(contact_id))


def decode_correspondent(plain: bytes) -> str:
    """The contact's id at the provider. Raises `msgspec.ValidationError`."""
    return msgspec.json.decode(plain, type=Correspondent).id


def send_id(text: str | None) -> str | None:
    """`text` if it looks like a send's id: what is brought back may be another app's."""
    return text if text is not None and _SEND_ID.fullmatch(text) else None


class Letter(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is kept of a send, sealed: what is to go out, and what the provider said of it."""

    outgoing: Outgoing
    sent: Sent | None = None


def encode_letter(letter: Letter) -> bytes:
    """JSON, to be sealed under the send's id."""
    return msgspec.json.encode(letter)


def decode_letter(plain: bytes) -> Letter:
    """The inverse of `encode_letter`. Raises `msgspec.ValidationError`."""
    return msgspec.json.decode(plain, type=Letter)


def _says_something(it: Outgoing) -> bool:
    said = it.text and it.text.strip()
    return bool(said or it.attachments or it.template is not None or it.interactive is not None)


def _says_more(it: Outgoing) -> bool:
    """Than its template."""
    return bool(it.text or it.attachments or it.interactive is not None)


def _at_most(most: int, count: int, what: str) -> str:
    if count <= most:
        return ""
    return f"{what} cannot be used here" if most == 0 else f"{what}: {most} at most"
