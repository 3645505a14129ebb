"""Whom a conversation is with: kept once, with about when they last acted, gone with them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from contracts import content
from contracts.connector import Event
from contracts.content import Conversation
from contracts.sending import STEP_MS
from storage.database import now_ms
from storage.erasing import Erasing
from storage.sending_schema import threads
from storage.turns import Thread
from tests.rig import Rig, text
from token_vault import contact_hash, open_contact
from workers.acquainting import Acquainting

NOW = datetime.now(UTC)


def _threads(rig: Rig) -> list[sa.RowMapping]:
    with rig.database.read() as connection:
        return list(connection.execute(sa.select(threads)).mappings())


def _write(rig: Rig, *, minutes_ago: int, contact: str = "7") -> None:
    at = NOW - timedelta(minutes=minutes_ago)
    rig.drain(rig.put(text("10", contact, "hi", at=at)))


def test_a_conversation_is_known_by_whom_it_is_with(rig: Rig) -> None:
    made = rig.connect("acme", "10")
    _write(rig, minutes_ago=60)
    (row,) = _threads(rig)
    assert row["id"] == rig.messages()[0].subject
    assert (row["tenant"], row["connection"]) == ("acme", made.id)
    assert open_contact(rig.vault.tenant("acme"), row["id"], row["sealed"]) == "7"


def test_the_last_action_is_kept_in_steps_and_never_goes_back(rig: Rig) -> None:
    rig.connect("acme", "10")
    seen = []
    for minutes_ago in (60, 58, 50, 55):
        _write(rig, minutes_ago=minutes_ago)
        seen.append(_threads(rig)[0]["acted_at_ms"])
    first = int((NOW - timedelta(minutes=60)).timestamp() * 1000)
    assert seen == [first, first, first + 600_000, first + 600_000]
    assert STEP_MS == 300_000


def test_each_tenant_of_a_page_has_its_own(rig: Rig) -> None:
    rig.connect("acme", "10")
    rig.connect("other", "10")
    _write(rig, minutes_ago=1)
    assert sorted(row["tenant"] for row in _threads(rig)) == ["acme", "other"]


def test_it_is_erased_with_the_contact_and_comes_back_when_they_write_again(rig: Rig) -> None:
    rig.connect("acme", "10")
    _write(rig, minutes_ago=60)
    _write(rig, minutes_ago=60, contact="8")
    contact = contact_hash(rig.vault.tenant("acme"), "facebook", "7")
    assert contact is not None
    Erasing(rig.database).contact("acme", contact, now_ms() - 30 * 60_000)
    assert [row["contact"] == contact for row in _threads(rig)] == [False]
    _write(rig, minutes_ago=40)  # from before the erasure: refused
    assert len(_threads(rig)) == 1
    _write(rig, minutes_ago=10)
    assert len(_threads(rig)) == 2


def test_what_was_refused_is_not_taken_for_kept(rig: Rig) -> None:
    rig.connect("acme", "10")
    contact = contact_hash(rig.vault.tenant("acme"), "facebook", "7")
    assert contact is not None
    half_an_hour_ago_ms = int((NOW - timedelta(minutes=30)).timestamp() * 1000)
    Erasing(rig.database).contact("acme", contact, half_an_hour_ago_ms)
    _write(rig, minutes_ago=32)
    assert _threads(rig) == []
    _write(rig, minutes_ago=29)
    assert len(_threads(rig)) == 1


@pytest.mark.parametrize(("known_s", "writes"), [(60.0, False), (0.0, True)])
def test_what_was_kept_is_kept_again_after_a_while(rig: Rig, known_s: float, writes: bool) -> None:
    """It may have been erased by another process."""
    rig.vault.create_tenant("acme")
    acquainting, event = (
        Acquainting(known_s=known_s),
        _said(content.MessageReceived, message_id="m_1"),
    )
    first = _met(rig, acquainting, event)
    assert first is not None
    acquainting.wrote([first])
    assert (_met(rig, acquainting, event) is not None) == writes


def test_a_preference_opens_no_window(rig: Rig) -> None:
    rig.vault.create_tenant("acme")
    agreed, stopped = (
        _said(content.OptinChanged, kind="marketing_messages", status=status)
        for status in ("accept", "stop")
    )
    met = [_met(rig, Acquainting(), event) for event in (agreed, stopped)]
    assert [one.acted_at_ms > 0 for one in met if one] == [True, False]


def _said(said: type[content.Content], **fields: Any) -> Event:
    talk = {"conversation": Conversation("cnv_1"), "sender": content.contact("7"), "to": ()}
    return Event(said(**talk, **fields), "key", NOW, "7")


def _met(rig: Rig, acquainting: Acquainting, event: Event) -> Thread | None:
    keys = rig.vault.tenant("acme")
    return acquainting.met(event, now_ms(), "con_1", "facebook", "10", keys)


def test_it_is_gone_with_the_tenant(rig: Rig) -> None:
    rig.connect("acme", "10")
    _write(rig, minutes_ago=1)
    Erasing(rig.database).tenant("acme")
    assert _threads(rig) == []
