"""The table of outcomes for WhatsApp, from real calls to the sandbox's Cloud API."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.send_shapes import AddressBody
from storage.pausing import Pauses
from tests.sandbox.whatsapp import ANNA
from tests.workers.whatsapp import Line, line
from token_vault import contact_hash


@pytest.fixture
def number(database_url: str, tmp_path: Path) -> Iterator[Line]:
    with line(database_url, tmp_path / "var") as connected:
        connected.write()
        yield connected


def test_what_is_taken_is_said_once_and_its_receipts_name_the_send(number: Line) -> None:
    send = number.post("Yes, until six")
    number.work()
    number.hear(2)  # sent, delivered
    number.business.happen("read", ANNA)
    number.hear(1)
    assert number.state(send) == ("sent", "")
    sent, delivered, read = number.said("sent", "delivered", "read")
    assert (sent.data.text, sent.data.send_id, sent.data.via) == (
        "Yes, until six",
        send.id,
        "gateway",
    )
    for receipt in (delivered, read):
        assert receipt.data.message_ids == (sent.data.message_id,)
        assert receipt.data.send_ids == (send.id,)
        assert receipt.subject == sent.subject == number.rig.messages()[0].subject


@pytest.mark.parametrize("status", ["sent", "delivered"])
def test_a_lost_answer_is_settled_by_any_status_and_never_sent_again(
    number: Line, status: str
) -> None:
    number.connector.lost = 1
    send = number.post("Yes, until six")
    number.work()
    assert number.outbox.get(send.id).state == "unknown"
    number.hear(2, only=f'"status":"{status}"')
    told = [one.type.rpartition(".")[2] for one in number.said("sent", "delivered")]
    assert told == ["sent", "delivered"][: 1 + (status == "delivered")]  # at once, and first
    number.work()
    assert number.state(send) == ("sent", "")
    (sent,) = number.said("sent")
    assert (sent.data.text, sent.data.send_id) == ("Yes, until six", send.id)
    assert len(number.business.bubbles()) == 2
    assert number.said("failed") == []


def test_what_meta_took_and_could_not_deliver_has_failed(number: Line) -> None:
    number.business.login.control("whatsapp/sends", kind="fail", code=131026)
    send = number.post("Hello?")
    number.work()
    number.hear(1)
    assert number.state(send) == ("failed", "131026")
    (failed,) = number.said("failed")
    assert (failed.data.send_id, failed.data.error.code) == (send.id, "131026")
    stored = number.outbox.get(send.id).detail  # in clear
    assert stored
    assert stored not in (failed.data.error.detail, failed.data.error.title)


def _pause(number: Line) -> None:
    Pauses(number.rig.database).order(number.id, reason="moving", by="test")
    number.work()


def _resume(number: Line) -> None:
    Pauses(number.rig.database).resume(number.id)
    for _ in range(2):  # what waited, then what that tells
        number.work()


def test_statuses_that_waited_out_a_pause_settle_their_send(number: Line) -> None:
    number.connector.lost = 1
    send = number.post("Yes, until six")
    number.work()
    _pause(number)
    number.hear(2)  # sent, delivered
    assert number.outbox.get(send.id).state == "unknown"
    _resume(number)
    assert number.state(send) == ("sent", "")
    (sent,) = number.said("sent")
    assert (sent.data.text, sent.data.send_id) == ("Yes, until six", send.id)
    (delivered,) = number.said("delivered")
    assert delivered.data.send_ids == (send.id,)
    assert number.said("failed") == []


def test_a_failure_that_waited_out_a_pause_is_its_sends(number: Line) -> None:
    number.business.login.control("whatsapp/sends", kind="fail", code=131026)
    send = number.post("Hello?")
    number.work()
    _pause(number)
    number.hear(1)
    assert number.state(send) == ("sent", "")
    _resume(number)
    assert number.state(send) == ("failed", "131026")
    (failed,) = number.said("failed")
    assert failed.data.send_id == send.id


def test_what_meta_refuses_has_failed_at_once(number: Line) -> None:
    number.business.login.control("whatsapp/sends", kind="refuse", code=131047)
    send = number.post("Hello?")
    number.work()
    assert number.state(send) == ("failed", "131047")
    assert number.outbox.get(send.id).reason == "window-closed"


def test_a_number_may_be_written_to_however_it_is_written(number: Line) -> None:
    spaced = f"+{ANNA[:2]} {ANNA[2:5]}-{ANNA[5:]}"
    sends = [
        number.post("Hello", to=AddressBody(contact=text)) for text in (spaced, f"+{ANNA}", ANNA)
    ]
    number.work()
    number.hear(6)
    assert {number.state(send) for send in sends} == {("sent", "")}
    assert len({(send.line, send.conversation, send.contact) for send in sends}) == 1
    for sent in number.said("sent"):
        assert sent.data.to[0].address == f"+{ANNA}"


BSUID = "DE.13491208655302741918"


@pytest.mark.parametrize("status", ["sent", "delivered"])
def test_a_lost_answer_is_settled_with_the_id_that_its_status_tells(
    number: Line, status: str
) -> None:
    number.connector.lost = 1
    send = number.post("Hello", to=AddressBody(contact=ANNA))
    number.work()
    number.tell(send, status, recipient_id=ANNA, recipient_user_id=BSUID)
    number.work()
    (sent,) = number.said("sent")
    assert sent.data.to[0].id == BSUID
    keys = number.rig.vault.tenant("acme")
    assert number.outbox.get(send.id).contact == contact_hash(keys, "whatsapp", BSUID)
    assert sent.data.text == "Hello"


@pytest.mark.parametrize("status", ["delivered", "failed"])
def test_a_status_that_names_a_number_alone_is_of_the_sends_conversation(
    number: Line, status: str
) -> None:
    number.connector.lost = 1
    send = number.post("Hello", to=AddressBody(contact=BSUID))
    number.tell(send, status, recipient_id=ANNA)
    number.work()
    (told,) = number.said(status)
    assert told.subject == send.conversation
