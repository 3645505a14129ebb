"""WhatsApp's way to the feed: by number, by account, and of the past."""

import json
import time
from typing import Any

import pytest
import sqlalchemy as sa

from gateway.connecting import Connecting, ManualAccount
from storage.connections import Connections
from storage.grants import RECONCILE
from storage.schema import due
from tests.rig import Rig

WABA, ANNA = "102290129340398", "491701234567"
NOW = int(time.time())


def connect(rig: Rig, tenant: str, number: str) -> None:
    connecting = Connecting(Connections(rig.database), rig.vault, ("whatsapp",))
    connecting.add(ManualAccount(tenant, "whatsapp", number, parent=WABA), None)


def of_number(number: str, field: str = "messages", **lists: Any) -> dict[str, Any]:
    metadata = {"display_phone_number": "15550783881", "phone_number_id": number}
    return {"field": field, "value": {"metadata": metadata, **lists}}


def text(wamid: str, body: str, at: int = NOW, **fields: Any) -> dict[str, Any]:
    said = {"type": "text", "text": {"body": body}, "id": wamid, "timestamp": str(at)}
    return {"from": ANNA, **said, **fields}


def delivery(*changes: dict[str, Any], **entry: Any) -> bytes:
    told = {"id": WABA, **entry, "changes": list(changes)}
    return json.dumps({"object": "whatsapp_business_account", "entry": [told]}).encode()


def texts(rig: Rig) -> list[tuple[str, str]]:
    return sorted((message.tenant, message.data.text) for message in rig.messages())


def test_each_tenant_gets_what_its_own_number_was_told_once(rig: Rig) -> None:
    connect(rig, "acme", "1001")
    connect(rig, "zeta", "2002")
    to_acme = of_number("1001", messages=[text("wamid.1", "to acme")])
    to_zeta = of_number("2002", messages=[text("wamid.1", "to zeta")])
    rig.drain(rig.put(delivery(to_acme, to_zeta)))
    rig.drain(rig.put(delivery(to_zeta), delivery(to_acme, to_acme)))
    assert texts(rig) == [("acme", "to acme"), ("zeta", "to zeta")]
    for message in rig.messages():
        assert message.source in ("/whatsapp/1001", "/whatsapp/2002")
        assert message.data.sender.address == f"+{ANNA}"


def test_what_concerns_the_whole_account_is_said_to_each_of_its_numbers(rig: Rig) -> None:
    connect(rig, "acme", "1001")
    connect(rig, "zeta", "2002")
    told = delivery({"field": "account_update", "value": {"event": "ACCOUNT_DELETED"}}, time=NOW)
    rig.drain(rig.put(told, told))
    assert sorted((m.tenant, m.data.notice) for m in rig.messages()) == [
        ("acme", "account_deleted"),
        ("zeta", "account_deleted"),
    ]


@pytest.mark.parametrize(("word", "looks"), [("PARTNER_REMOVED", 2), ("VERIFIED_ACCOUNT", 0)])
def test_what_says_that_consent_was_withdrawn_has_it_looked_at(
    rig: Rig, word: str, looks: int
) -> None:
    connect(rig, "acme", "1001")
    connect(rig, "zeta", "2002")
    told = delivery({"field": "account_update", "value": {"event": word}}, time=NOW)
    rig.drain(rig.put(told))
    assert len(rig.messages()) == 2
    with rig.database.read() as connection:
        rows = sa.select(due.c.key).where(due.c.kind == RECONCILE)
        assert len(set(connection.scalars(rows))) == looks


def test_the_past_is_marked_and_said_once_with_what_came_since(rig: Rig) -> None:
    connect(rig, "acme", "1001")
    half_a_year_ago = NOW - 170 * 86_400
    threads = [
        {
            "id": ANNA,
            "messages": [text("wamid.old", "long ago", half_a_year_ago), text("wamid.1", "today")],
        }
    ]
    rig.drain(rig.put(delivery(of_number("1001", messages=[text("wamid.1", "today")]))))
    past = delivery(of_number("1001", "history", history=[{"threads": threads}]))
    rig.drain(rig.put(past, past))
    told = [(message.data.text, message.data.past) for message in rig.messages()]
    assert [(said, past is True) for said, past in told] == [("today", False), ("long ago", True)]
