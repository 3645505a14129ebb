"""The way that goes well: link, consent, dialog, picking, success."""

import pytest

from storage.connections import Connections
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
