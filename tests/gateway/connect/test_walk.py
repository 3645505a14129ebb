"""The way that goes well: link, consent, dialog, picking, success."""

import subprocess
import sys

import pytest

from gateway.shapes import time_of
from storage.activity import Activity, ActivityStore
from storage.connections import Connections
from storage.database import now_ms
from storage.grants import Grants
from tests.gateway.connect.conftest import Stage

pytestmark = pytest.mark.anyio


async def test_from_the_link_to_a_pending_connection(stage: Stage) -> None:
    person = stage.person()
    await person.open(await stage.link(business="Bakery & Sons <Ltd>"))
    assert person.heading == "Connect Facebook Pages and Messenger to Bakery & Sons <Ltd>"
    assert "<Ltd>" not in person.page.text
    await person.press("/ask")
    (consent,) = stage.login.consents
    assert consent.scopes == {"messaging", "comments"}
    assert consent.redirect_uri == "http://localhost:8080/oauth/meta/callback"
    await person.open(stage.provider.consent(person.dialog))
    assert person.heading == "What shall be connected?"
    await person.press("/pick")
    assert person.heading == "Connected"
    assert "Bakery" in person.page.text
    (connection,) = Connections(stage.rig.database).list(tenant="acme")
    assert (connection.status, connection.features) == ("pending", ["comments", "messages"])
    (grant_id,) = Grants(stage.rig.database).carrying(connection.id)
    grant = Grants(stage.rig.database).get(grant_id)
    assert (grant.login, sorted(grant.scopes)) == ("meta", ["comments", "messaging"])


async def test_the_language_that_was_chosen_stays(stage: Stage) -> None:
    person = stage.person("de, en;q=0.5")
    link = await stage.link()
    await person.open(link)
    assert '<html lang="en">' in person.page.text
    await person.open(f"{link}?lang=uk")
    await person.press("/ask")
    assert stage.login.consents[-1].language == "uk"
    await person.open(stage.provider.consent(person.dialog))
    assert person.heading == "Що підключити?"
    await person.open(f"{link}?lang=en")
    assert person.heading == "What shall be connected?"
    await person.press("/pick")
    assert person.heading == "Connected"


async def test_the_crms_language_comes_before_the_browsers(stage: Stage) -> None:
    person = stage.person("en")
    await person.open(await stage.link(language="uk"))
    assert person.page.headers["content-language"] == "uk"


async def test_the_first_message_is_told_by_its_time_alone(stage: Stage) -> None:
    person = stage.person()
    (id_,) = await stage.connected(person)
    path = person.page.url.path
    assert "No message yet" in person.page.text
    heard = now_ms()
    ActivityStore(stage.rig.database).put([Activity(id_, heard, {})])
    status = (await person.http.get(f"{path}/status")).json()
    assert status == {
        "connections": [{"id": id_, "state": "setting_up", "arrived_at": time_of(heard)}]
    }
    Connections(stage.rig.database).set_status(id_, "active", "")
    await person.open(path)
    assert f"A message has arrived, at {time_of(heard)[11:16]} UTC." in person.page.text
    assert "Ready: it receives." in person.page.text


async def test_what_came_before_is_no_first_message(stage: Stage) -> None:
    (id_,) = await stage.connected(stage.person())
    ActivityStore(stage.rig.database).put([Activity(id_, now_ms() - 1, {})])
    person = stage.person()
    await stage.connected(person)
    assert "No message yet" in person.page.text


def test_the_edge_starts_without_what_pages_and_calls_need() -> None:
    code = "import sys, gateway.serve; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert {"httpx", "jinja2"}.isdisjoint(done.stdout.decode().split())
