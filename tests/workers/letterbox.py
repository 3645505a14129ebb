"""A Page that writes, at a provider in this process that does as it is told."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from contracts.messages import Message
from contracts.sending import Outgoing, Sent
from gateway.connecting import Connecting
from gateway.drafting import Drafting
from gateway.enclosing import Enclosing
from gateway.send_shapes import SendBody
from storage.connections import Connection, Connections, new_id
from storage.media import MediaRows
from storage.outbox import Outbox, Send
from tests.rig import Rig, text
from tests.workers.granted import consent, run_due, tokens
from tests.workers.pages import Pages, PagesConnector, PagesLogin, meta_settings

PAGE, CONTACT = "10", "7"
Answer = Callable[[Outgoing], Sent] | Exception


class Letterbox(PagesConnector):
    """Takes what is sent, and answers `answers` in turn, then that it was sent."""

    def __init__(self) -> None:
        super().__init__(meta_settings(), Pages())
        self.taken: list[Outgoing] = []
        self.answers: list[Answer] = []

    def send(self, client: httpx.Client, outgoing: Outgoing) -> Sent:
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Exception):
            self.taken.append(outgoing)
            raise answer
        self.taken.append(outgoing)
        return answer(outgoing) if answer else Sent(mid(outgoing), outgoing.to)

    @property
    def texts(self) -> list[str | None]:
        return [one.text for one in self.taken]


def mid(outgoing: Outgoing) -> str:
    """What the provider calls it."""
    return f"m_{outgoing.id}"


class Stage:
    """A tenant's Page with a conversation, and the worker that sends."""

    def __init__(self, database_url: str, folder: Path) -> None:
        self.box = Letterbox()
        pages = {"facebook": self.box}
        logins = {"meta": PagesLogin(Pages())}
        self.rig = Rig(database_url, folder, logins, connectors=pages)
        self.outbox = Outbox(self.rig.database)
        self.page = self.connect("acme")
        self.hear("hello")
        self.work()  # its token is checked, and then the connection looked at
        self.work()

    def connect(self, tenant: str) -> Connection:
        made = self.rig.connect(tenant, PAGE)
        if tenant == "acme":
            consent(self.rig, tokens(None), [made], login="meta")
        return made

    def hear(self, words: str, contact: str = CONTACT) -> None:
        self.rig.drain(self.rig.put(text(PAGE, contact, words)))

    def post(self, words: str, key: str = "", to: Any = None, **fields: Any) -> Send:
        """As `POST /v1/messages` does, to the one who wrote."""
        connections = Connections(self.rig.database)
        connecting = Connecting(connections, self.rig.vault, ["facebook"])
        drafting = Drafting(
            self.outbox,
            connecting,
            self.rig.vault,
            {"facebook": self.box},
            Enclosing(MediaRows(self.rig.database)),
        )
        if to is None:
            fields["conversation"] = self.rig.messages()[0].subject
        body = SendBody(connection=self.page.id, text=words, to=to, **fields)
        new = drafting.draft(new_id("snd"), connections.get(self.page.id), body)
        hashed = self.rig.vault.deployment().hash("key", key or new.id)
        return self.outbox.accept(new._replace(key=hashed, request=hashed))

    def work(self) -> None:
        """All that is due, as a worker does."""
        run_due(self.rig)

    def state(self, send: Send) -> tuple[str, str]:
        now = self.outbox.get(send.id)
        return now.state, now.reason

    def said(self, *kinds: str) -> list[Message[Any]]:
        """What the feed says of what we wrote."""
        wanted = [f"cleverbox.message.{kind}" for kind in kinds or ("sent", "failed")]
        return [message for message in self.rig.messages() if message.type in wanted]

    def echo(self, send: Send, *, at: datetime | None = None) -> None:
        """The provider's echo of a send."""
        message = {
            "mid": f"m_{send.id}",
            "is_echo": True,
            "app_id": 1,
            "metadata": send.id,
            "text": "as the provider has it",
        }
        self.tell({"message": message}, from_page=True, at=at)

    def tell(
        self, what: Mapping[str, Any], *, from_page: bool = False, at: datetime | None = None
    ) -> None:
        """An update of the conversation, delivered and drained."""
        at_ms = int((at or datetime.now(UTC)).timestamp() * 1000)
        ends = [{"id": PAGE}, {"id": CONTACT}]
        sender, recipient = ends if from_page else reversed(ends)
        update = {"sender": sender, "recipient": recipient, "timestamp": at_ms, **what}
        entry = {"id": PAGE, "time": at_ms, "messaging": [update]}
        body = json.dumps({"object": "page", "entry": [entry]}).encode()
        self.rig.drain(self.rig.put(body))

    def close(self) -> None:
        self.rig.parts.scheduler.stop()
        self.rig.parts.send_scheduler.stop()
        self.rig.close()
