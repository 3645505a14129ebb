"""A number of the sandbox's that is connected by a token: what its phone does, and what we send."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from connectors.registry import build
from connectors.whatsapp import WhatsApp
from contracts.errors import OutcomeUnknown
from contracts.messages import Message
from contracts.sending import Outgoing, Sent
from contracts.tokens import Secret
from gateway.connecting import Connecting, ManualAccount
from gateway.drafting import Drafting
from gateway.enclosing import Enclosing
from gateway.send_shapes import SendBody
from sandbox.settings import Settings
from storage.connections import Connections, new_id
from storage.media import MediaRows
from storage.outbox import Outbox, Send
from tests.rig import ENVIRON, Rig
from tests.sandbox.logins import Login
from tests.sandbox.stage import Receiver, sandbox_server, serving, wait_until
from tests.sandbox.whatsapp import ANNA, NUMBER, WABA, Business
from tests.workers.granted import run_due


class Forgetful(WhatsApp):
    """Sends, and loses as many answers as it is told to."""

    lost = 0

    def send(self, client: httpx.Client, outgoing: Outgoing) -> Sent:
        sent = super().send(client, outgoing)
        if self.lost:
            self.lost -= 1
            raise OutcomeUnknown("the answer is lost")
        return sent


class Line:
    """The connected number: `business` is the sandbox's side of it, `rig` ours."""

    def __init__(self, database_url: str, folder: Path, business: Business) -> None:
        known = build(ENVIRON).connectors["whatsapp"]
        self.connector = Forgetful(known.settings)
        connectors = {"whatsapp": self.connector}
        address = business.login.address
        self.rig = Rig(database_url, folder, sandbox_url=address, connectors=connectors)
        self.business, self._seen = business, 0
        self.outbox = Outbox(self.rig.database)
        self.connecting = Connecting(Connections(self.rig.database), self.rig.vault, ("whatsapp",))
        account = ManualAccount("acme", "whatsapp", NUMBER, parent=WABA)
        self.id = self.connecting.add(account, Secret(business.token)).connection.id

    def post(self, text: str, **fields: Any) -> Send:
        """As `POST /v1/messages` does: into the conversation that there is, or to whom is named."""
        if "to" not in fields:
            fields["conversation"] = self.rig.messages()[0].subject
        vault = self.rig.vault
        drafting = Drafting(
            self.outbox,
            self.connecting,
            vault,
            {"whatsapp": self.connector},
            Enclosing(MediaRows(self.rig.database)),
        )
        body = SendBody(connection=self.id, text=text, **fields)
        new = drafting.draft(new_id("snd"), Connections(self.rig.database).get(self.id), body)
        key = vault.deployment().hash("key", new.id)
        return self.outbox.accept(new._replace(key=key, request=key))

    def work(self) -> None:
        """All that is due, as a worker does."""
        run_due(self.rig)

    def hear(self, count: int, *, only: str = "") -> None:
        """Take in the next `count` deliveries, or those of them that say `only`."""
        until = self._seen + count
        wait_until(lambda: len(self.business.told.received) >= until)
        bodies = [post.body for post in self.business.told.received[self._seen : until]]
        self._seen = until
        self.rig.drain(self.rig.put(*(body for body in bodies if only.encode() in body)))

    def tell(self, send: Send, status: str, **whom: str) -> None:
        """Meta's status of a send, as it names whom it went to."""
        told = {"id": f"wamid.{send.id}", "status": status, "timestamp": str(int(time.time()))}
        value = {
            "metadata": {"display_phone_number": "15550783881", "phone_number_id": NUMBER},
            "statuses": [{**told, **whom, "biz_opaque_callback_data": send.id}],
        }
        entry = {"id": WABA, "changes": [{"field": "messages", "value": value}]}
        body = {"object": "whatsapp_business_account", "entry": [entry]}
        self.rig.drain(self.rig.put(json.dumps(body).encode()))

    def write(self, text: str = "Bread?") -> None:
        """Anna writes, and we hear it."""
        self.business.happen("message", ANNA, text=text)
        self.hear(1)

    def said(self, *kinds: str) -> list[Message[Any]]:
        wanted = [f"cleverbox.message.{kind}" for kind in kinds]
        return [message for message in self.rig.messages() if message.type in wanted]

    def state(self, send: Send) -> tuple[str, str]:
        now = self.outbox.get(send.id)
        return now.state, now.code


@contextmanager
def line(database_url: str, folder: Path) -> Iterator[Line]:
    receiver = Receiver()
    with serving(receiver.server()) as told:
        secret, verify = ENVIRON["META_APP_SECRET"], ENVIRON["META_VERIFY_TOKEN"]
        settings = Settings(f"{told}/webhooks/meta", secret, verify)
        with serving(sandbox_server(settings, ())) as address:
            login = Login(address, told)
            connected = Line(database_url, folder, Business(login, receiver).set_up())
            yield connected
            connected.rig.parts.scheduler.stop()
            connected.rig.parts.send_scheduler.stop()
            connected.rig.close()
            login.http.close()
