"""What becomes of sends: the table of outcomes, order, and who comes first of echo and answer."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from connectors.kit.transport.transport import Limits
from contracts.errors import (
    OutcomeUnknown,
    Permanent,
    PermissionMissing,
    ProviderError,
    Reauthorize,
    Retryable,
    Throttled,
    WindowClosed,
)
from contracts.sending import Outgoing, Sent
from gateway.send_shapes import AddressBody
from storage.connections import Connections
from storage.database import now_ms
from storage.drain import DrainStore
from storage.due import LANE_TIMES, DueRows
from storage.erasing import Erasing
from storage.grants import RECONCILE
from storage.outbox import SEND, SETTLE
from storage.pausing import Pauses
from storage.schema import due
from storage.sending_schema import sends
from storage.settling import settle, tell_later
from storage.turns import Settled, Turn, Written
from tests.workers.granted import come_due
from tests.workers.letterbox import CONTACT, Stage, mid
from token_vault import contact_hash
from workers.provider_calls import call_limits
from workers.sending import LINES_OF_ONE


@pytest.fixture
def stage(database_url: str, tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(database_url, tmp_path / "var")
    yield stage
    stage.close()


def _kinds(stage: Stage) -> set[str]:
    with stage.rig.database.read() as connection:
        return set(connection.scalars(sa.select(due.c.kind).where(due.c.due_at_ms.is_not(None))))


FAR_MS = now_ms() + 10**9


def _look_later(stage: Stage) -> None:
    with stage.rig.database.write() as connection:
        later = sa.update(due).where(due.c.kind == RECONCILE)
        connection.execute(later.values(due_at_ms=FAR_MS, ticket=None))


def _next_look(stage: Stage) -> int | None:
    """When the connection is looked at next: another time once it was ordered, or done."""
    with stage.rig.database.read() as connection:
        return connection.scalar(sa.select(due.c.due_at_ms).where(due.c.kind == RECONCILE))


def test_what_was_sent_is_said_once_in_the_words_of_its_echo(stage: Stage) -> None:
    send = stage.post("Hello")
    stage.work()
    assert stage.state(send) == ("sent", "")
    (said,) = stage.said()
    assert (said.data.send_id, said.data.via, said.data.text) == (send.id, "gateway", "Hello")
    assert said.data.message_id == f"m_{send.id}"
    assert said.subject == stage.rig.messages()[0].subject
    stage.echo(send)
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    stage.echo(send, at=tomorrow)  # by a clock past midnight
    assert stage.said() == [said]
    assert SEND not in _kinds(stage)


def test_an_echo_that_comes_before_the_answer_is_the_message(stage: Stage) -> None:
    send = stage.post("Hello")

    def quick(outgoing: Outgoing) -> Sent:
        stage.echo(send)
        return Sent(mid(outgoing))

    stage.box.answers = [quick]
    stage.work()
    assert stage.state(send) == ("sent", "")
    (said,) = stage.said()
    assert (said.data.send_id, said.data.text) == (send.id, "as the provider has it")


REFUSALS: list[tuple[ProviderError, str, bool]] = [
    (Permanent("no such person", code="100/2018001"), "permanent", False),
    (WindowClosed("too late", code="10/2018278"), "window-closed", False),
    (Reauthorize("the password was changed", code="190/460"), "reauthorize", True),
    (PermissionMissing("a permission is missing", code="10"), "permission-missing", True),
]
"""What the provider says, our word for it, and whether the connection is looked at."""


def test_what_is_refused_has_failed_and_says_why(stage: Stage) -> None:
    for error, reason, looks in REFUSALS:
        _look_later(stage)
        send = stage.post("Hello")
        stage.box.answers = [error]
        stage.work()
        assert stage.state(send) == ("failed", reason)
        said = stage.said()[-1]
        assert (said.data.send_id, said.data.error.code) == (send.id, error.code)
        assert said.data.error.detail == str(error)
        assert (_next_look(stage) != FAR_MS) == looks


def test_an_unknown_outcome_is_never_sent_again_and_its_echo_settles_it(stage: Stage) -> None:
    send = stage.post("Hello")
    stage.box.answers = [OutcomeUnknown("the answer is lost")]
    stage.work()
    come_due(stage.rig)
    assert stage.outbox.get(send.id).state == "unknown"
    stage.echo(send)
    stage.work()
    assert stage.state(send) == ("sent", "")
    assert len(stage.box.taken) == 1
    (said,) = stage.said("sent")
    assert said.data.send_id == send.id
    assert stage.said("failed") == []


def test_an_unknown_outcome_that_nothing_settles_is_said_to_be_one(stage: Stage) -> None:
    send = stage.post("Hello")
    stage.box.answers = [OutcomeUnknown("the answer is lost")]
    stage.work()
    assert stage.said() == []
    for _ in range(2):
        come_due(stage.rig)
        stage.work()
    assert stage.state(send) == ("unknown", "outcome-unknown")
    (said,) = stage.said()
    assert (said.data.send_id, said.data.error.code) == (send.id, "outcome-unknown")
    stage.echo(send)
    stage.work()
    assert stage.state(send) == ("sent", "")
    assert [message.type.rpartition(".")[2] for message in stage.said()] == ["failed", "sent"]
    assert len(stage.box.taken) == 1


def test_what_a_dead_worker_was_at_is_unknown_and_the_next_one_goes(stage: Stage) -> None:
    first, second = stage.post("one"), stage.post("two")
    (row,) = DueRows(stage.rig.database, seconds=0).take([SEND], 5)
    stage.outbox.begin(row, first, 0)
    stage.work()
    assert stage.state(first) == ("unknown", "outcome-unknown")
    assert stage.state(second) == ("sent", "")
    assert stage.box.texts == ["two"]


def test_what_was_surely_not_sent_is_tried_again_in_order(stage: Stage) -> None:
    first, second = stage.post("one"), stage.post("two")
    stage.box.answers = [Retryable("away"), Throttled("limit", scope="app", after_s=9)]
    stage.work()
    third = stage.post("three")
    stage.work()  # a new one does not hurry what waits
    assert [stage.state(one)[0] for one in (first, second, third)] == ["queued"] * 3
    assert stage.box.texts == ["one"]
    for _ in range(2):
        come_due(stage.rig)
        stage.work()
    assert stage.box.texts == ["one", "one", "one", "two", "three"]
    assert [message.data.text for message in stage.said()] == ["one", "two", "three"]


def test_what_cannot_be_sent_in_time_has_failed(stage: Stage) -> None:
    late, next_ = stage.post("late"), stage.post("next")
    with stage.rig.database.write() as connection:
        over = sa.update(sends).where(sends.c.id == late.id)
        connection.execute(over.values(until_ms=now_ms() + 60_000))
    stage.box.answers = [Throttled("limit", scope="app", after_s=3_600)]
    stage.work()
    assert stage.state(late) == ("failed", "throttled")
    assert stage.state(next_) == ("sent", "")


def test_one_connection_does_not_take_all_threads(stage: Stage) -> None:
    """Each line is begun while those before it are at work."""
    whom = [AddressBody(contact=f"8{n}") for n in range(LINES_OF_ONE + 1)]
    sends = [stage.post("Hello", to=one) for one in whom]
    sender, rows = stage.rig.parts.sender, stage.rig.parts.rows.take([SEND], 100)

    def crowded(outgoing: Outgoing) -> Sent:
        if rows:
            sender.run(rows.pop())
        return Sent(mid(outgoing), outgoing.to)

    stage.box.answers = [crowded] * len(sends)
    sender.run(rows.pop())
    states = sorted(stage.state(send)[0] for send in sends)
    assert states == ["queued"] + ["sent"] * LINES_OF_ONE
    come_due(stage.rig)
    stage.work()
    assert {stage.state(send)[0] for send in sends} == {"sent"}


def test_what_its_echo_settled_keeps_nobody_waiting(stage: Stage) -> None:
    """Though the call says that it was surely not sent."""
    send, next_ = stage.post("Hello"), stage.post("next")

    def contradicted(outgoing: Outgoing) -> Sent:
        stage.echo(send)
        raise Retryable("away")

    stage.box.answers = [contradicted]
    stage.work()
    assert [stage.state(one)[0] for one in (send, next_)] == ["sent", "sent"]
    assert stage.box.texts == ["Hello", "next"]


def test_what_a_provider_that_is_off_was_to_send_expires(stage: Stage) -> None:
    send = stage.post("Hello")
    with stage.rig.database.write() as connection:
        connection.execute(sa.update(sends).values(until_ms=now_ms() - 1))
    stage.rig.parts.sender._telling._connectors.clear()
    stage.work()
    assert stage.state(send) == ("failed", "expired")
    (said,) = stage.said("failed")
    assert said.data.send_id == send.id


class _Overtaken(DrainStore):
    """Somebody tells of the send as soon as its end is written."""

    send = ""

    def write(self, turn: Turn) -> Written:
        written = super().write(turn)
        told = [Settled(self.send, "sent", said=False)]
        with self._database.write() as connection:
            tell_later(connection, told)
            settle(connection, told)
        return written


def test_an_outcome_that_comes_while_another_is_told_is_told_too(stage: Stage) -> None:
    send = stage.post("Hello")
    stage.box.answers = [OutcomeUnknown("the answer is lost")]
    stage.work()
    come_due(stage.rig)
    store, settler = _Overtaken(stage.rig.database), stage.rig.parts.settler
    settler._store, store.send = store, send.id
    (row,) = stage.rig.parts.rows.take([SETTLE], 5)
    settler.run(row)
    assert stage.rig.parts.rows.standing(SETTLE, send.id) is not None
    assert stage.state(send) == ("sent", "")


def test_a_paused_connection_sends_when_it_goes_on_and_a_revoked_one_never(stage: Stage) -> None:
    send = stage.post("Hello")
    Connections(stage.rig.database).set_status(stage.page.id, "paused", "")
    stage.work()
    assert stage.state(send) == ("queued", "")
    Connections(stage.rig.database).set_status(stage.page.id, "revoked", "")
    come_due(stage.rig)
    stage.work()
    assert stage.state(send) == ("failed", "not-connected")
    assert stage.box.taken == []


def test_what_was_under_way_when_it_was_paused_is_said(stage: Stage) -> None:
    """It is no item that comes in: whoever sent it learns what became of it."""
    send = stage.post("Hello")

    def slow(outgoing: Outgoing) -> Sent:
        Connections(stage.rig.database).set_status(stage.page.id, "paused", "")
        return Sent(mid(outgoing))

    stage.box.answers = [slow]
    stage.work()
    assert stage.state(send) == ("sent", "")
    (said,) = stage.said()
    assert said.data.send_id == send.id


def test_receipts_name_our_sends(stage: Stage) -> None:
    send = stage.post("Hello")
    stage.work()
    stage.tell({"delivery": {"mids": [f"m_{send.id}", "m_other"], "watermark": now_ms()}})
    (delivered,) = stage.said("delivered")
    assert delivered.data.send_ids == (send.id,)
    assert delivered.data.message_ids == (f"m_{send.id}", "m_other")


def test_receipts_in_the_same_batch_as_the_echo_name_them_too(stage: Stage) -> None:
    send = stage.post("Hello")
    stage.box.answers = [OutcomeUnknown("the answer is lost")]
    stage.work()
    drain, lanes = stage.rig.drain, list[int]()
    stage.rig.drain = lanes.extend  # type: ignore[method-assign, assignment]
    stage.echo(send)
    stage.tell({"delivery": {"mids": [f"m_{send.id}"], "watermark": now_ms()}})
    drain(lanes)
    (delivered,) = stage.said("delivered")
    assert delivered.data.send_ids == (send.id,)


def test_an_echo_that_waited_out_a_pause_settles_its_send(stage: Stage) -> None:
    send = stage.post("Hello")
    stage.box.answers = [OutcomeUnknown("the answer is lost")]
    stage.work()
    pauses = Pauses(stage.rig.database)
    pauses.order(stage.page.id, reason="", by="test")
    stage.echo(send)
    assert stage.said("sent") == []
    pauses.resume(stage.page.id)
    stage.work()
    assert stage.state(send) == ("sent", "")
    (said,) = stage.said("sent")
    assert said.data.send_id == send.id


def test_another_tenants_echo_is_not_ours(stage: Stage) -> None:
    stage.connect("beta")
    send = stage.post("Hello")
    stage.work()
    stage.echo(send)
    of_beta = [message for message in stage.said() if message.tenant == "beta"]
    assert len(of_beta) == 1
    assert not of_beta[0].data.send_id


def _erase(stage: Stage) -> None:
    hashed = contact_hash(stage.rig.vault.tenant("acme"), "facebook", CONTACT)
    assert hashed is not None
    Erasing(stage.rig.database).contact("acme", hashed, now_ms())


def test_what_is_erased_during_its_call_is_not_told_nor_kept(stage: Stage) -> None:
    send = stage.post("Hello")

    def erased(outgoing: Outgoing) -> Sent:
        _erase(stage)
        return Sent(mid(outgoing), CONTACT)

    stage.box.answers = [erased]
    stage.work()
    assert stage.state(send) == ("sent", "")
    assert stage.outbox.get(send.id).sealed == b""
    assert stage.said() == []
    stage.echo(send, at=datetime.now(UTC) - timedelta(minutes=1))
    assert stage.outbox.get(send.id).sealed == b""


@pytest.mark.parametrize("told_by", ["answer", "echo"])
@pytest.mark.parametrize("when", ["during", "after"])
def test_a_private_reply_is_erased_with_whom_it_went_to(
    stage: Stage, told_by: str, when: str
) -> None:
    """Whom, the provider alone tells."""
    send = stage.post("Thanks", to=AddressBody(comment="1_9"), reply="private")

    def answer(outgoing: Outgoing) -> Sent:
        if when == "during":
            _erase(stage)
        if told_by == "answer":
            return Sent(mid(outgoing), CONTACT)
        stage.echo(send)
        raise OutcomeUnknown("the answer is lost")

    stage.box.answers = [answer]
    stage.work()
    assert stage.state(send) == ("sent", "")
    if when == "after":
        assert stage.outbox.get(send.id).sealed
        _erase(stage)
    assert stage.outbox.get(send.id).sealed == b""


def test_to_an_erased_contact_nothing_goes(stage: Stage) -> None:
    send = stage.post("Hello")
    _erase(stage)
    stage.work()
    assert stage.state(send) == ("failed", "key-destroyed")
    assert stage.box.taken == []
    assert stage.said() == []


@pytest.mark.parametrize(("reply", "contact"), [("private", CONTACT), ("public", None)])
def test_a_comments_answer_says_where_it_went(
    stage: Stage, reply: str, contact: str | None
) -> None:
    send = stage.post("Thanks", to=AddressBody(comment="1_9"), reply=reply)
    stage.box.answers = [lambda outgoing: Sent(mid(outgoing), contact)]
    stage.work()
    assert stage.box.taken[0].to == "1_9"
    (said,) = stage.said()
    assert said.data.send_id == send.id
    assert said.data.conversation.kind == ("direct" if contact else "comments")
    direct = stage.rig.messages()[0].subject
    assert (said.subject == direct) == (contact is not None)


def test_what_is_old_is_forgotten(stage: Stage) -> None:
    done, waiting = stage.post("done"), stage.post("waiting", to=AddressBody(contact="8"))
    with stage.rig.database.write() as connection:
        connection.execute(sa.update(sends).where(sends.c.id == done.id).values(state="sent"))
    assert stage.outbox.prune(now_ms() + 1) == 1
    assert stage.outbox.get(waiting.id).state == "queued"
    assert SETTLE not in _kinds(stage)


def test_a_send_is_of_whom_the_answer_names(stage: Stage) -> None:
    stage.box.answers.append(lambda one: Sent(mid(one), "another id"))
    send = stage.post("hello", to=AddressBody(contact="77"))
    stage.work()
    keys = stage.rig.vault.tenant("acme")
    assert stage.outbox.get(send.id).contact == contact_hash(keys, "facebook", "another id")
    Erasing(stage.rig.database).contact(
        "acme", contact_hash(keys, "facebook", "another id") or b"", now_ms()
    )
    assert stage.outbox.get(send.id).sealed == b""


@pytest.mark.parametrize("lanes_s", [1, 10, 600])
def test_a_call_ends_before_its_row_is_anothers(lanes_s: float) -> None:
    """And leaves time for storing what became of it."""
    lease_s = lanes_s * LANE_TIMES
    assert call_limits(lease_s).total_s + lease_s / 4 < lease_s
    assert call_limits(lease_s).total_s <= Limits().total_s
