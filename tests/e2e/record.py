"""What happened, by the sandbox's own record, in the words in which the feed tells it.

Nothing of the gateway's reads it: the bodies of the wire log are Meta's, and translated here anew.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from tests.e2e.stack import Json, contact_of

ON_THE_WAY: Final = ("queued", "sending", "waiting", "held")


class Thread(NamedTuple):
    """Whom somebody talks with. `contact`: the person's id at the provider."""

    provider: str
    account: str
    contact: str


class Happening(NamedTuple):
    """`about`: ids of messages; `says`: what else has to be right."""

    kind: str
    about: tuple[str, ...]
    says: tuple[object, ...] = ()


Told = tuple[Thread, Happening]
Talks = dict[Thread, list[Happening]]


def talks(told: Iterator[Told]) -> Talks:
    """By thread, in order."""
    found: Talks = {}
    for thread, happening in told:
        found.setdefault(thread, []).append(happening)
    return found


# -- what was posted -----------------------------------------------------------------------------


def posted(posts: list[Json], written: Mapping[str, Json]) -> Iterator[Told]:
    """What the gateway took, in the order in which it took it, once. `written`: what the business
    sent where no webhook brings it back (WhatsApp): message id → the bubble on the phone.
    """
    seen: set[str] = set()
    taken = sorted((at, one["id"], one) for one in posts if (at := _taken_at(one)))
    for body in (json.loads(one["body"]) for _, _, one in taken):
        for entry in body["entry"]:
            for update in _updates(entry):
                happening = json.dumps([entry["id"], update], sort_keys=True)
                if happening not in seen:
                    seen.add(happening)
                    yield from _read(body["object"], entry["id"], update, written, seen)


def _taken_at(post: Json) -> str | None:
    """When the attempt began that was answered 200."""
    tries = [one for one in post["attempts"] if one["status"] == 200]
    return tries[0]["at"] if tries and post["signature"] == "valid" else None


def _updates(entry: Json) -> list[Json]:
    found: list[Json] = [*entry.get("messaging", ()), *entry.get("changes", ())]
    return found


def _read(
    kind: str, account: str, update: Json, written: Mapping[str, Json], seen: set[str]
) -> Iterator[Told]:
    if kind == "whatsapp_business_account":
        yield from _of_whatsapp(update["value"], written, seen)
        return
    ends = {update["sender"]["id"], update["recipient"]["id"]} - {account}
    provider = "facebook" if kind == "page" else "instagram"
    name = next(name for name in _UPDATES if name in update)
    yield Thread(provider, account, ends.pop()), _UPDATES[name](update[name])


def _message(it: Json) -> Happening:
    if it.get("is_deleted"):
        return Happening("message.deleted", (it["mid"],))
    kind = "message.sent" if it.get("is_echo") else "message.received"
    files = tuple(one["type"] for one in it.get("attachments", ()))
    return Happening(kind, (it["mid"],), (it.get("text"), files, it.get("reply_to", {}).get("mid")))


def _edit(it: Json) -> Happening:
    return Happening("message.edited", (it["mid"],), (it["text"],))


def _reaction(it: Json) -> Happening:
    action = {"react": "added", "unreact": "removed"}[it["action"]]
    return Happening("message.reaction", (it["mid"],), (action, it["emoji"]))


def _delivery(it: Json) -> Happening:
    return Happening("message.delivered", tuple(it.get("mids", ())), (it["watermark"],))


def _seen(it: Json) -> Happening:
    about = (it["mid"],) if "mid" in it else ()
    return Happening("message.read", about, (it.get("watermark"),))


def _postback(it: Json) -> Happening:
    return Happening("postback.received", (it["mid"],), (it["title"], it["payload"]))


_UPDATES: Final = {
    "message": _message,
    "message_edit": _edit,
    "reaction": _reaction,
    "delivery": _delivery,
    "read": _seen,
    "postback": _postback,
}


def _of_whatsapp(value: Json, written: Mapping[str, Json], seen: set[str]) -> Iterator[Told]:
    number = value["metadata"]["phone_number_id"]
    for it in value.get("messages", ()):
        yield Thread("whatsapp", number, it["from_user_id"]), _whatsapp_message(it)
    for it in value.get("statuses", ()):
        thread = Thread("whatsapp", number, it["recipient_user_id"])
        if it["id"] not in seen:  # the first word of it: nothing else brings it back
            seen.add(it["id"])
            yield thread, _sent(written[it["id"]])
        if it["status"] != "sent":
            yield thread, Happening(f"message.{it['status']}", (it["id"],), (None,))


def _whatsapp_message(it: Json) -> Happening:
    kind, body = it["type"], it[it["type"]]
    if kind == "revoke":
        return Happening("message.deleted", (body["original_message_id"],))
    if kind == "edit":
        text = body["message"]["text"]["body"]
        return Happening("message.edited", (body["original_message_id"],), (text,))
    if kind == "reaction":
        emoji = body["emoji"] or None
        action = "added" if emoji else "removed"
        return Happening("message.reaction", (body["message_id"],), (action, emoji))
    answered = it.get("context", {}).get("id")
    if kind == "text":
        return Happening("message.received", (it["id"],), (body["body"], (), answered))
    return Happening("message.received", (it["id"],), (body.get("caption"), (kind,), answered))


def _sent(bubble: Json) -> Happening:
    files = tuple(one["type"] for one in bubble["attachments"])
    return Happening("message.sent", (bubble["mid"],), (bubble["text"], files, bubble["reply_to"]))


# -- what the feed says --------------------------------------------------------------------------


def told(message: Json) -> Told | None:
    """A message of the feed, if it is of somebody's talk."""
    kind, data = message["type"].removeprefix("cleverbox."), message["data"]
    if kind not in _SAYS:
        return None
    _, provider, account = message["source"].split("/")
    about = data["message_ids"] if "message_ids" in data else [data["message_id"]]
    happening = Happening(kind, tuple(about), _SAYS[kind](data))
    return Thread(provider, account, str(contact_of(message))), happening


def _words(data: Json) -> tuple[object, ...]:
    files = tuple(one["kind"] for one in data["attachments"])
    return data["text"], files, (data["reply_to"] or {}).get("message_id")


def _until(data: Json) -> tuple[object, ...]:
    if "watermark" not in data:
        return (None,)
    return (round(datetime.fromisoformat(data["watermark"]).timestamp() * 1000),)


_SAYS: Final[Mapping[str, Any]] = {
    "message.received": _words,
    "message.sent": _words,
    "message.edited": lambda data: (data["text"],),
    "message.deleted": lambda data: (),
    "message.reaction": lambda data: (data["action"], data["emoji"]),
    "message.delivered": _until,
    "message.read": _until,
    "message.failed": _until,
    "postback.received": lambda data: (data["title"], data["payload"]),
}


# -- both ----------------------------------------------------------------------------------------


def difference(happened: Talks, fed: Talks) -> list[str]:
    """What is missing in the feed, too much in it, or out of order; empty: they are the same."""
    lines: list[str] = []
    for thread in sorted({*happened, *fed}):
        was, said = happened.get(thread, []), fed.get(thread, [])
        wrong = [f"missing: {one}" for one in was if said.count(one) < was.count(one)]
        wrong += [f"too much: {one}" for one in said if said.count(one) > was.count(one)]
        if not wrong and was != said:
            first = next(
                n for n, pair in enumerate(zip(was, said, strict=True)) if pair[0] != pair[1]
            )
            wrong = [f"out of order: {said[first : first + 3]}, happened: {was[first : first + 3]}"]
        lines += [f"{'/'.join(thread)}: {line}" for line in wrong]
    return lines
