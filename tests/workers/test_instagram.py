"""Instagram's way to the feed, and that its account is another than a Page of the same id."""

import json
from datetime import UTC, datetime
from typing import Any

from gateway.connecting import Connecting, ManualAccount
from storage.connections import Connections
from tests.rig import Rig

ACCOUNT, CONTACT = "17841400000000001", "8765432109876543"


def connect(rig: Rig) -> None:
    connecting = Connecting(Connections(rig.database), rig.vault, ("instagram",))
    connecting.add(ManualAccount("acme", "instagram", ACCOUNT), None)


def update(**kind: Any) -> dict[str, Any]:
    at_ms = int(datetime.now(UTC).timestamp() * 1000)
    return {
        "sender": {"id": CONTACT},
        "recipient": {"id": ACCOUNT},
        "timestamp": at_ms,
        **kind,
    }


def delivery(entry_id: str, **told: Any) -> bytes:
    entry = {"id": entry_id, "time": int(datetime.now(UTC).timestamp()), **told}
    return json.dumps({"object": "instagram", "entry": [entry]}).encode()


def test_a_message_is_there_once_and_so_is_that_it_was_unsent(rig: Rig) -> None:
    connect(rig)
    rig.connect("acme", ACCOUNT)  # a Page
    said = delivery(ACCOUNT, messaging=[update(message={"mid": "aWdf_1", "text": "oops"})])
    unsent = delivery(ACCOUNT, messaging=[update(message={"mid": "aWdf_1", "is_deleted": True})])
    rig.drain(rig.put(said, said, unsent))
    rig.drain(rig.put(said, unsent))
    first, second = rig.messages()
    assert (first.type, first.data.text) == ("cleverbox.message.received", "oops")
    assert second.type == "cleverbox.message.deleted"
    assert first.data.message_id == second.data.message_id
    assert first.subject == second.subject
    for message in (first, second):
        assert (message.provider, message.channel) == ("instagram", "instagram")
        assert message.source == f"/instagram/{ACCOUNT}"


def test_an_entry_that_is_named_after_the_contact_finds_its_account(rig: Rig) -> None:
    connect(rig)
    pressed = update(postback={"mid": "aWdf_2", "title": "Menu", "payload": "MENU"})
    rig.drain(rig.put(delivery(CONTACT, messaging=[pressed])))
    (message,) = rig.messages()
    assert message.data.payload == "MENU"
    assert message.data.sender.id == CONTACT


def test_comments_of_a_post_are_a_conversation_of_their_own(rig: Rig) -> None:
    connect(rig)
    by = {"id": CONTACT, "username": "ada.l"}
    comments = [
        {"field": "comments", "value": {"id": identifier, "from": by, "media": {"id": post}}}
        for identifier, post in (("C1", "M1"), ("C2", "M1"), ("C3", "M2"), ("C4", CONTACT))
    ]
    rig.drain(rig.put(delivery(ACCOUNT, changes=comments)))
    rig.drain(rig.put(delivery(ACCOUNT, messaging=[update(message={"mid": "m", "text": "Hi"})])))
    found = rig.messages()
    assert [m.data.conversation.kind for m in found] == ["comments"] * 4 + ["direct"]
    first, second, *others = [m.subject for m in found]
    assert first == second
    assert len({first, *others}) == 4
