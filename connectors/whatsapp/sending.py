"""A number writes: what WhatsApp takes from us, as data; how it is asked for, and what it answers.

Source: https://developers.facebook.com/docs/whatsapp/cloud-api/reference/messages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Final

import msgspec

from connectors.kit.meta.hosts import GRAPH_HOST
from connectors.kit.meta.paths import path_of
from connectors.kit.meta.settings import MetaSettings
from connectors.kit.shape import Id
from connectors.whatsapp.occasion import address_of
from contracts.content import Participant, contact
from contracts.sending import Outgoing, Rules, Sends, Sent, What

if TYPE_CHECKING:
    import httpx

WINDOW: Final = timedelta(hours=24)
"""After what the contact did last; templates go at any time."""
MOST_BUTTONS: Final = 3
"""Prepared answers that stand below a message; more become a list."""
MOST_ROWS: Final = 10
LONGEST_BESIDE: Final = 1_024
"""Text beside an attachment, or above prepared answers."""
_TITLES: Final = {"button": 20, "list": 24}
_PAYLOADS: Final = {"button": 256, "list": 200}
_LIST: Final = "\u2630"
"""What opens a list. It needs a text, and a sign needs no language."""

_TYPES: Final = {"file": "document"}
"""Ours → WhatsApp's, where it has another word."""
_CAPTIONED: Final = frozenset({"image", "video", "file"})
_NUMBER: Final = re.compile(r"\+?[0-9]{5,15}")
_BETWEEN: Final = re.compile(r"[\s().\-]+")
"""What people write between the digits of a phone number."""


class _Fits(Rules):
    """Beside the usual: what depends on what goes together."""

    __slots__ = ()

    def faults(self, outgoing: Outgoing) -> list[str]:
        return [*super().faults(outgoing), *_faults(outgoing)]


SENDING: Final[Mapping[What, Rules]] = {
    "message": _Fits(
        feature="messages",
        text=4_096,
        kinds=frozenset({"image", "video", "audio", "file", "sticker"}),
        attachments=1,
        beside_text=True,
        quick_replies=MOST_ROWS,
        reply_to=True,
        template=True,
        template_any_time=True,
        interactive=True,
        window=WINDOW,
    )
}


class _Taken(msgspec.Struct):
    id: Id


class _Whom(msgspec.Struct):
    user_id: Id | None = None
    wa_id: Id | None = None


class _Answer(msgspec.Struct):
    messages: list[_Taken]
    contacts: list[_Whom] = []


class NumberSends(Sends):
    """200 says that Meta took it, and no more: what became of it is told by statuses, which bring
    the send's id back.
    """

    sending: ClassVar[Mapping[What, Rules]] = SENDING
    settings: MetaSettings

    def send(self, client: httpx.Client, outgoing: Outgoing) -> Sent:
        """See `Sends.send`. JSON, which facebook-sdk cannot."""
        from connectors.kit.meta.errors import error_of, refusal
        from connectors.kit.transport.failures import read
        from connectors.kit.transport.refusals import unclear

        path = path_of(outgoing.account, "messages")
        place = f"https://{GRAPH_HOST}/{self.settings.graph_version}/{path}"
        response = client.post(place, json=request(outgoing))
        if response.status_code != 200 or error_of(response.content):
            raise refusal(read(response), outgoing.account)
        try:
            answer = msgspec.json.decode(response.content, type=_Answer)
            return _sent(answer, outgoing)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, IndexError):
            text = "Meta answered without an id of what it took"
            raise unclear(text, repeatable=False) from None

    def contact_id(self, text: str) -> str:
        """See `Sends.contact_id`: a phone number is its digits, as the feed has it."""
        digits = _BETWEEN.sub("", text).removeprefix("+")
        return digits if _NUMBER.fullmatch(digits) else text

    def address(self, contact_id: str) -> Participant:
        """See `Sends.address`: a phone number is its own address."""
        return contact(contact_id, address=address_of(contact_id))


def request(it: Outgoing) -> dict[str, Any]:
    """The body of `POST /{number}/messages`. Whom it goes to is a phone number, or an id of the
    business's portfolio (BSUID).
    """
    whom = {"to": it.to} if _NUMBER.fullmatch(it.to) else {"recipient": it.to}
    body: dict[str, Any] = {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        **whom,
        **_said(it),
        "biz_opaque_callback_data": it.id,
    }
    if it.reply_to is not None:
        body["context"] = {"message_id": it.reply_to}
    return body


def _said(it: Outgoing) -> dict[str, Any]:
    """The message itself, under its type."""
    if it.template is not None:
        return {"type": "template", "template": it.template}
    if it.interactive is not None:
        return {"type": "interactive", "interactive": it.interactive}
    if it.quick_replies:
        return {"type": "interactive", "interactive": _prepared(it)}
    if it.attachments:
        return _attached(it)
    return {"type": "text", "text": {"body": it.text}}


def _attached(it: Outgoing) -> dict[str, Any]:
    """By its public address, from which WhatsApp fetches it."""
    (one,) = it.attachments
    kind = _TYPES.get(one.kind, one.kind)
    medium: dict[str, Any] = {"link": one.url}
    if it.text and one.kind in _CAPTIONED:
        medium["caption"] = it.text
    if one.name and one.kind == "file":
        medium["filename"] = one.name
    return {"type": kind, kind: medium}


def _prepared(it: Outgoing) -> dict[str, Any]:
    """Prepared answers: up to three as buttons, more as a list."""
    said: dict[str, Any] = {"type": _form(it), "body": {"text": it.text}}
    if said["type"] == "list":
        rows = [{"id": one.payload, "title": one.title} for one in it.quick_replies]
        return {**said, "action": {"button": _LIST, "sections": [{"rows": rows}]}}
    if it.attachments:
        said["header"] = _attached(_without_text(it))
    replies = [{"id": one.payload, "title": one.title} for one in it.quick_replies]
    buttons = [{"type": "reply", "reply": reply} for reply in replies]
    return {**said, "action": {"buttons": buttons}}


def _form(it: Outgoing) -> str:
    return "button" if len(it.quick_replies) <= MOST_BUTTONS else "list"


def _without_text(it: Outgoing) -> Outgoing:
    return msgspec.structs.replace(it, text=None)


def _sent(answer: _Answer, outgoing: Outgoing) -> Sent:
    """With the contact's BSUID where it is told: a number may have been written to. Otherwise a
    number is the one by which WhatsApp knows it, which may be another than was written to.
    """
    told = answer.contacts[0] if answer.contacts else _Whom()
    whom = told.user_id or (told.wa_id if _NUMBER.fullmatch(outgoing.to) else None)
    return Sent(str(answer.messages[0].id), str(whom) if whom else None)


def _faults(it: Outgoing) -> Iterator[str]:
    beside = it.text or it.attachments or it.quick_replies
    if it.template is not None:
        if it.quick_replies:
            yield "quick_replies are a part of the template"
    elif it.interactive is not None and beside:
        yield "interactive goes alone"
    if it.text and it.attachments and it.attachments[0].kind not in _CAPTIONED:
        yield f"{it.attachments[0].kind} has no text: send one after the other"
    if it.text and (it.attachments or it.quick_replies) and len(it.text) > LONGEST_BESIDE:
        yield f"text has {len(it.text)} characters, and may have {LONGEST_BESIDE} here"
    if it.quick_replies:
        yield from _faults_of_answers(it)


def _faults_of_answers(it: Outgoing) -> Iterator[str]:
    form = _form(it)
    if not (it.text and it.text.strip()):
        yield "quick_replies need a text"
    if form == "list" and it.attachments:
        yield f"quick_replies: {MOST_BUTTONS} at most beside an attachment"
    for limit, texts, what in (
        (_TITLES[form], [one.title for one in it.quick_replies], "title"),
        (_PAYLOADS[form], [one.payload for one in it.quick_replies], "payload"),
    ):
        if any(not 0 < len(text) <= limit for text in texts):
            yield f"quick_replies: a {what} has 1 to {limit} characters"
        if len(set(texts)) < len(texts):
            yield f"quick_replies: no {what} twice"
