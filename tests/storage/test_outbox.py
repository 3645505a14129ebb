"""The outbox: one send for one key, whoever calls at once; a line is taken in its order."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from contracts.errors import KeyReused, LeaseLost
from storage.database import Database
from storage.due import DueRows
from storage.erasing import Erasing
from storage.outbox import SEND, Forestalled, Outbox, change
from storage.sending_schema import State
from storage.settling import settle
from storage.turns import Settled
from tests.storage.rows import digest, new_send


def test_calls_at_once_with_one_key_store_one_send(database: Database) -> None:
    outbox = Outbox(database)
    new = [new_send(f"snd_{n}", "same", line=f"cnv_{n % 3}") for n in range(12)]
    with ThreadPoolExecutor(12) as pool:
        made = list(pool.map(outbox.accept, new))
    assert len({send.id for send in made}) == 1
    assert outbox.known([], [send.id for send in new]) == made[:1]


def test_a_key_with_another_request_is_refused(database: Database) -> None:
    outbox = Outbox(database)
    outbox.accept(new_send("snd_1", "same"))
    with pytest.raises(KeyReused):
        outbox.accept(new_send("snd_2", "same", request="another"))
    assert outbox.accept(new_send("snd_3", "same")).id == "snd_1"


def test_what_is_accepted_at_once_has_an_order_without_gaps(database: Database) -> None:
    outbox = Outbox(database)
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(outbox.accept, [new_send(f"snd_{n}") for n in range(24)]))
    assert sorted(send.number for send in made) == list(range(1, 25))
    first = outbox.next("cnv_1")
    assert first is not None
    assert first.number == 1


def test_only_who_holds_the_line_begins_and_only_once(database: Database) -> None:
    outbox, rows = Outbox(database), DueRows(database, seconds=0)
    send = outbox.accept(new_send("snd_1"))
    (late,) = rows.take([SEND], 1)
    (row,) = rows.take([SEND], 1)
    with pytest.raises(LeaseLost):
        outbox.begin(late, send, 60)
    outbox.begin(row, send, 60)
    with pytest.raises(LeaseLost):
        outbox.begin(row, send, 60)


def test_who_comes_second_is_overtaken(database: Database) -> None:
    send = Outbox(database).accept(new_send("snd_1"))
    with database.write() as connection:
        change(connection, send, {"state": "sent"})
    with pytest.raises(Forestalled), database.write() as connection:
        change(connection, send, {"state": "failed"})


@pytest.mark.parametrize(
    ("words", "state"),
    [
        (["unknown", "sent"], "sent"),
        (["sent", "failed"], "failed"),
        (["failed", "sent"], "failed"),
    ],
)
def test_a_late_word_counts_whatever_was_written_meanwhile(
    database: Database, words: list[State], state: str
) -> None:
    """The send was `sending` when the word came in."""
    send = Outbox(database).accept(new_send("snd_1"))
    with database.write() as connection:
        for word in words:
            if word == "unknown":  # the worker's
                change(connection, send, {"state": word, "reason": "outcome-unknown"})
            else:
                settle(connection, [Settled("snd_1", word, said=True)])
    assert Outbox(database).get("snd_1").state == state


def test_a_contact_that_is_erased_while_something_is_drafted_stays_erased(
    database: Database,
) -> None:
    send = new_send("snd_1")._replace(contact=digest("contact", "7"))
    other = new_send("snd_2")._replace(contact=digest("contact", "8"))
    assert send.contact is not None
    Erasing(database).contact("acme", send.contact, send.created_at_ms)
    for one in (send, other):
        Outbox(database).accept(one)
    assert [Outbox(database).get(one.id).sealed for one in (send, other)] == [b"", b"x"]


def test_an_empty_line_leaves_no_row_but_what_comes_meanwhile_is_seen(database: Database) -> None:
    outbox, rows = Outbox(database), DueRows(database)
    outbox.accept(new_send("snd_1"))
    (row,) = rows.take([SEND], 1)
    outbox.accept(new_send("snd_2"))
    outbox.rest(row)
    (row,) = rows.take([SEND], 1)
    outbox.rest(row)
    assert rows.standing(SEND, "cnv_1") is None
