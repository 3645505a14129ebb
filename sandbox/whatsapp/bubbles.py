"""What a phone shows of WhatsApp: bubbles, and what later messages did to earlier ones."""

from typing import cast

from sandbox.fields import JsonObject
from sandbox.people import Author, Bubble
from sandbox.whatsapp.payloads import Scene
from sandbox.whatsapp.world import Person
from sandbox.wirelog import Post

PAGE = "/media/whatsapp"
"""Where the sandbox's page shows files."""


class Sent:
    """A message of the business as the Cloud API took it; `said` has its `type`."""

    def __init__(self, wamid: str, said: JsonObject, opaque: str | None) -> None:
        self.wamid, self.opaque, self._said = wamid, opaque, said

    @property
    def is_template(self) -> bool:
        """Whether it may be sent whenever."""
        return self._said["type"] == "template"

    @property
    def link(self) -> str | None:
        """Where its file is, if that is to be fetched."""
        link = self._body.get("link")
        return str(link) if self._kind in _FILES and link is not None else None

    def fetched(self, media_id: str) -> None:
        """Its file is at WhatsApp now."""
        self._said[self._kind] = {**self._body, "id": media_id}

    @property
    def _kind(self) -> str:
        return str(self._said["type"])

    @property
    def _body(self) -> JsonObject:
        return cast(JsonObject, self._said.get(self._kind) or {})

    def show(self, person: Person, now: int) -> None:
        """Put it into the conversation; a reaction goes to the message it is about."""
        kind, body, conversation = self._kind, self._body, person.conversation
        if kind == "reaction":
            answered = conversation.find(str(body.get("message_id")))
            if answered is not None:
                answered.reaction = str(body.get("emoji") or "") or None
            return
        context = cast(JsonObject, self._said.get("context") or {}).get("message_id")
        files = [_attached(kind, body)] if kind in _FILES else []
        conversation.bubbles.append(
            Bubble(
                self.wamid,
                "page",
                _words(kind, body),
                now * 1000,
                0,
                files,
                None if context is None else str(context),
                ticks="accepted",
            )
        )


_FILES = ("image", "audio", "video", "document", "sticker")
_AS_ATTACHMENT = {"document": "file"}
_ORDER = ("accepted", "sent", "delivered", "read", "played")


def is_further(name: str, ticks: str | None) -> bool:
    """Whether a status says more than what the ticks show."""
    if name == "failed" or ticks in (None, "failed"):
        return ticks not in ("read", "played")
    return _ORDER.index(name) > _ORDER.index(ticks or "accepted")


def _words(kind: str, body: JsonObject) -> str | None:
    """What a bubble says of a message."""
    if kind == "text":
        return str(body.get("body"))
    if kind == "template":
        return f"Template {body.get('name')}"
    if kind == "interactive":
        return str(cast(JsonObject, body.get("body") or {}).get("text") or "Interactive message")
    if kind in _FILES:
        caption = body.get("caption")
        return None if caption is None else str(caption)
    return str(body.get("name") or kind)


def _attached(kind: str, body: JsonObject) -> JsonObject:
    """A file as the phone shows it: uploaded, or at an address."""
    url = f"{PAGE}/{body['id']}" if "id" in body else str(body.get("link"))
    name = body.get("filename")
    return {"type": _AS_ATTACHMENT.get(kind, kind), "title": name, "payload": {"url": url}}


def show(scene: Scene, wamid: str, said: JsonObject, post: Post, author: Author) -> None:
    """Show what was said, or what it did to an earlier message."""
    kind = str(said["type"])
    body = cast(JsonObject, said.get(kind) or {}) if isinstance(said.get(kind), dict) else {}
    conversation = scene.person.conversation
    if kind in ("edit", "revoke", "reaction"):
        about = conversation.find(str(body.get("original_message_id") or body.get("message_id")))
        if about is not None:
            _change_bubble(about, kind, body)
        return
    context = cast(JsonObject, said.get("context") or {}).get("id")
    files = [_attached(kind, body)] if kind in _FILES else []
    conversation.bubbles.append(
        Bubble(
            wamid,
            author,
            _words(kind, body),
            scene.now * 1000,
            post.id,
            files,
            None if context is None else str(context),
        )
    )


def _change_bubble(bubble: Bubble, kind: str, body: JsonObject) -> None:
    if kind == "reaction":
        bubble.reaction = str(body.get("emoji") or "") or None
    elif kind == "revoke":
        bubble.text, bubble.attachments = "Message deleted", []
    else:
        new = cast(JsonObject, cast(JsonObject, body["message"])["text"])
        bubble.text, bubble.edits = str(new["body"]), bubble.edits + 1
