"""Whose an entry of Instagram is, when it is named after somebody else."""

import json
from typing import Any

import pytest

from connectors.kit.instagram.whose import account_of

ACCOUNT, CONTACT = "17841400000000001", "8765432109876543"


def entry(**update: Any) -> bytes:
    parties = {"sender": {"id": CONTACT}, "recipient": {"id": ACCOUNT}}
    return json.dumps({"id": CONTACT, "messaging": [{**parties, **update}]}).encode()


@pytest.mark.parametrize("kind", ["postback", "referral"])
def test_what_contacts_alone_do_is_the_recipients(kind: str) -> None:
    assert account_of(entry(**{kind: {"ref": "x"}})) == ACCOUNT


def test_who_presses_its_own_button_is_the_sender() -> None:
    own = {"sender": {"id": ACCOUNT}, "recipient": {"id": CONTACT}, "is_self": True}
    assert account_of(entry(postback={"payload": "x"}, **own)) == ACCOUNT


@pytest.mark.parametrize(
    "raw",
    [
        entry(message={"mid": "m", "is_echo": True}),
        entry(message={"mid": "m", "text": '"postback"'}),
        entry(message={"mid": "m", "referral": {"ref": "x"}}),
        entry(postback=None),
        entry(postback={}, recipient=None),
        entry(postback={}, recipient={}),
        entry(postback={}, recipient="text"),
        b'{"id":"1","messaging":{"postback":{}}}',
        b'{"id":"1","messaging":[{"postback":',
        b'"postback"',
    ],
)
def test_otherwise_the_entrys_id_holds(raw: bytes) -> None:
    assert account_of(raw) is None
