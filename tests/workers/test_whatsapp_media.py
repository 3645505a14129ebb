"""Media of WhatsApp, from the sandbox's phone to our object store: in two steps, with the token."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.tokens import Secret
from gateway.connecting import Connecting, ManualAccount
from sandbox.settings import Settings
from storage.connections import Connections
from tests.rig import ENVIRON, Rig
from tests.sandbox.logins import Login
from tests.sandbox.stage import Receiver, sandbox_server, serving, wait_until
from tests.sandbox.whatsapp import NUMBER, WABA, Business
from tests.workers.pictures import Gallery

APP, VERIFY = ENVIRON["META_APP_SECRET"], ENVIRON["META_VERIFY_TOKEN"]


@pytest.fixture
def business() -> Iterator[Business]:
    receiver = Receiver()
    with serving(receiver.server()) as told:
        settings = Settings(f"{told}/webhooks/meta", APP, VERIFY)
        with serving(sandbox_server(settings, ())) as address:
            login = Login(address, told)
            yield Business(login, receiver).set_up()
            login.http.close()


def test_a_picture_and_one_of_the_past_are_stored(
    sqlite_url: str, tmp_path: Path, business: Business
) -> None:
    rig = Rig(sqlite_url, tmp_path, sandbox_url=business.login.address)
    connecting = Connecting(Connections(rig.database), rig.vault, ("whatsapp",))
    connecting.add(ManualAccount("acme", "whatsapp", NUMBER, parent=WABA), Secret(business.token))
    business.happen("message", attachments=[{"type": "image"}], text="Look")
    wait_until(lambda: len(business.told.received) == 1)
    body = json.loads(business.told.received[0].body)
    rig.drain(rig.put(json.dumps(body).encode()))
    (change,) = body["entry"][0]["changes"]
    change["field"] = "history"
    change["value"]["messages"][0]["id"] = "wamid.past"
    rig.drain(rig.put(json.dumps(body).encode()))
    here = Gallery(rig, business.login)  # type: ignore[arg-type]  # its server is not asked
    here.work()
    stored = [m.data for m in here.updates() if m.data.attachment.stored]
    assert sorted(said.message_id == "wamid.past" for said in stored) == [False, True]
    assert {said.attachment.mime_type for said in stored} == {"image/jpeg"}
    assert all(here.opened(row).startswith(b"\xff\xd8") for row in here.all())
    rig.close()
