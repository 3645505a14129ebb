"""The WhatsApp room: people write to numbers, businesses answer, and the gateway hears of it."""

from collections import deque
from collections.abc import Sequence

import httpx

from sandbox.delivery import Postman
from sandbox.fields import BadField, Fields, JsonObject
from sandbox.whatsapp import changes
from sandbox.whatsapp.bubbles import Sent, is_further, show
from sandbox.whatsapp.changes import Change
from sandbox.whatsapp.errors import TITLES, in_status
from sandbox.whatsapp.payloads import (
    EXAMPLES,
    KINDS,
    WITHOUT_CONTACTS,
    Scene,
    contact_of,
    head,
    message,
    new_wamid,
)
from sandbox.whatsapp.state import WhatsApp
from sandbox.whatsapp.world import Number, Person
from sandbox.wirelog import Post

STATUSES = ("sent", "delivered", "read", "played", "failed")
MOST_ARMED = 1_000
SENT_KEPT = 10_000


class Room:
    """Events between people and numbers, and what becomes of what a business sends."""

    def __init__(self, whatsapp: WhatsApp, postman: Postman, client: httpx.AsyncClient) -> None:
        self._whatsapp, self._postman, self._client = whatsapp, postman, client
        self.reset()

    def reset(self) -> None:
        """Nothing is armed, nothing was sent."""
        self.refusals: deque[int] = deque()
        self.failures: deque[int] = deque()
        self.backwards = 0
        self._opaque: dict[str, str | None] = {}

    # -- what people do -----------------------------------------------------------------------

    async def happen(
        self, number: Number, key: str, kind: str, given: JsonObject
    ) -> tuple[str | None, Post]:
        """Let an event of `kind` happen: its message id, and its webhook."""
        fields, person = Fields(given), number.person(key)
        scene = Scene(number, person, self._whatsapp.clock.now(), self._whatsapp.media)
        if kind == "read":
            return None, await self._read(scene, fields)
        if kind == "status":
            return await self._status(scene, fields)
        if kind == "echo":
            return await self._echo(scene, fields)
        if kind == "change":
            return None, await self._change(scene, fields)
        return await self._said(scene, kind, fields)

    async def burst(self, number: Number, key: str, text: str, count: int) -> list[str]:
        """Write `count` messages at once, numbered; return their ids in the order written."""
        mids = []
        for nth in range(1, count + 1):
            mid, _ = await self.happen(number, key, "message", {"text": f"{text} {nth}"})
            mids.append(mid or "")
        return mids

    async def _said(self, scene: Scene, kind: str, fields: Fields) -> tuple[str, Post]:
        if kind not in KINDS:
            raise BadField(f"kind must be one of {', '.join(EXAMPLES)}")
        wamid = fields.text("wamid", new_wamid())
        at = fields.integer("timestamp", scene.now)
        said = KINDS[kind](scene, fields)
        fields.finish()
        told: JsonObject = {"messages": [{**head(scene, wamid, at), **said}]}
        if kind not in WITHOUT_CONTACTS:
            told = {"contacts": [contact_of(scene.person)], **told}
        change = changes.of_number(scene.number, scene.person, kind, scene.now, told)
        post = await self._submit(change)
        scene.person.heard_at = scene.now
        show(scene, wamid, said, post, "contact")
        return wamid, post

    async def _echo(self, scene: Scene, fields: Fields) -> tuple[str, Post]:
        """Somebody at the business wrote in the WhatsApp Business app."""
        wamid, said = fields.text("wamid", new_wamid()), message(scene, fields)
        fields.finish()
        sent: JsonObject = {"id": wamid, "timestamp": str(scene.now), **said}
        change = changes.echo(scene.number, scene.person, scene.now, sent)
        post = await self._submit(change)
        show(scene, wamid, said, post, "page")
        return wamid, post

    async def _read(self, scene: Scene, fields: Fields) -> Post:
        """Everything that the business sent is read, one status for each message."""
        fields.finish()
        bubbles = scene.person.conversation.bubbles
        unread = [one for one in bubbles if one.ticks in ("sent", "delivered") and one.mid]
        if not unread:
            raise BadField("there is nothing of the business to be read")
        posts = [
            await self.tell(scene.number, scene.person, one.mid or "", "read") for one in unread
        ]
        return posts[-1]

    async def _status(self, scene: Scene, fields: Fields) -> tuple[str, Post]:
        wamid, name = fields.text("mid"), fields.choice("status", STATUSES)
        code = fields.optional_integer("code")
        fields.finish()
        errors = [in_status(code)] if code is not None else []
        return wamid, await self.tell(scene.number, scene.person, wamid, name, errors)

    async def _change(self, scene: Scene, fields: Fields) -> Post:
        name, value = fields.text("field"), fields.optional_object("value") or {}
        fields.finish()
        return await self._submit(changes.of_waba(scene.number.waba, name, scene.now, value))

    # -- what the business sends --------------------------------------------------------------

    async def sent(self, number: Number, person: Person, sent: Sent) -> None:
        """Show a message that the Cloud API took, and tell what becomes of it.

        It is delivered unless it fails: what is armed, somebody who is not there, a closed window,
        a file that cannot be fetched.
        """
        self._remember(sent.wamid, sent.opaque)
        failure = await self._failure(number, person, sent)
        sent.show(person, self._whatsapp.clock.now())
        if failure is not None:
            await self.tell(number, person, sent.wamid, "failed", [in_status(failure)])
            return
        names = ["sent", "delivered"]
        if self.backwards:
            self.backwards -= 1
            names = ["delivered", "read", "sent"]
        for name in names:
            await self.tell(number, person, sent.wamid, name)

    async def _failure(self, number: Number, person: Person, sent: Sent) -> int | None:
        if self.failures:
            return self.failures.popleft()
        if person.psid not in number.people:
            return 131026
        if not sent.is_template and not person.is_open(self._whatsapp.clock.now()):
            return 131047
        if sent.link is None:
            return None
        medium = await self._whatsapp.media.fetch(self._client, number, sent.link)
        if medium is None:
            return 131053
        sent.fetched(medium.id)
        return None

    async def tell(
        self,
        number: Number,
        person: Person,
        wamid: str,
        name: str,
        errors: Sequence[JsonObject] = (),
    ) -> Post:
        """Tell what became of a message of the business; its ticks never go back."""
        at = self._whatsapp.clock.now()
        told = changes.status(wamid, name, person, at, self._opaque.get(wamid), errors)
        bubble = person.conversation.find(wamid)
        if bubble is not None and is_further(name, bubble.ticks):
            bubble.ticks = name
        return await self._submit(changes.of_number(number, person, "status", at, told))

    def arm(self, what: str, code: int, count: int) -> None:
        """Let the next `count` sends be refused or fail with `code`, or be told of backwards."""
        if what == "backwards":
            self.backwards = count
            return
        if code not in TITLES:
            raise BadField(f"code must be one of {', '.join(map(str, sorted(TITLES)))}")
        into = self.refusals if what == "refuse" else self.failures
        if len(into) + count > MOST_ARMED:
            raise BadField(f"at most {MOST_ARMED} at a time")
        into.extend([code] * count)

    def _remember(self, wamid: str, opaque: str | None) -> None:
        if len(self._opaque) >= SENT_KEPT:
            del self._opaque[next(iter(self._opaque))]
        self._opaque[wamid] = opaque

    async def _submit(self, change: Change) -> Post:
        waba = self._whatsapp.wabas[change.entry_id or ""]
        return await self._postman.submit(change, waba.why_silent())
