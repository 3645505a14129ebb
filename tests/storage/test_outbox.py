"""The outbox: one send for one key, whoever calls at once; a line is taken in its order."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from contracts.errors import KeyReused, LeaseLost
from storage.database import Database, now_ms
from storage.due import DueRows
from storage.outbox import SEND, Outbox, Overtaken, Send, change
from tests.storage.rows import digest


def _send(id_: str, key: str = "", line: str = "cnv_1", request: str = "") -> Send:
    at_ms = now_ms()
    return Send(
        id=id_,
        tenant="acme",
        connection="con_a",
        line=line,
        number=0,
        conversation=line,
        contact=None,
        scope="acme",
        key=digest("key", key or id_),
        request=digest("request", request),
        state="queued",
        attempts=0,
        reason="",
        code="",
        detail="",
        message=None,
        said=False,
        until_ms=at_ms + 1_000,
        created_at_ms=at_ms,
        changed_at_ms=at_ms,
        sealed=b"x",
    )


def test_calls_at_once_with_one_key_store_one_send(database: Database) -> None:
    outbox = Outbox(database)
    new = [_send(f"snd_{n}", "same", line=f"cnv_{n % 3}") for n in range(12)]
    with ThreadPoolExecutor(12) as pool:
        made = list(pool.map(outbox.accept, new))
    assert len({send.id for send in made}) == 1
    assert outbox.known([], [send.id for send in new]) == made[:1]


def test_a_key_with_another_request_is_refused(database: Database) -> None:
    outbox = Outbox(database)
    outbox.accept(_send("snd_1", "same"))
    with pytest.raises(KeyReused):
        outbox.accept(_send("snd_2", "same", request="another"))
    assert outbox.accept(_send("snd_3", "same")).id == "snd_1"


def test_what_is_accepted_at_once_has_an_order_without_gaps(database: Database) -> None:
    outbox = Outbox(database)
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(outbox.accept, [_send(f"snd_{n}") for n in range(24)]))
    assert sorted(send.number for send in made) == list(range(1, 25))
    first = outbox.next("cnv_1")
    assert first is not None
    assert first.number == 1


def test_only_who_holds_the_line_begins_and_only_once(database: Database) -> None:
    outbox, rows = Outbox(database), DueRows(database, seconds=0)
    send = outbox.accept(_send("snd_1"))
    (late,) = rows.take([SEND], 1)
    (row,) = rows.take([SEND], 1)
    with pytest.raises(LeaseLost):
        outbox.begin(late, send, 60)
    outbox.begin(row, send, 60)
    with pytest.raises(LeaseLost):
        outbox.begin(row, send, 60)


def test_who_comes_second_is_overtaken(database: Database) -> None:
    send = Outbox(database).accept(_send("snd_1"))
    with database.write() as connection:
        change(connection, send, {"state": "sent"})
    with pytest.raises(Overtaken), database.write() as connection:
        change(connection, send, {"state": "failed"})


def test_an_empty_line_leaves_no_row_but_what_comes_meanwhile_is_seen(database: Database) -> None:
    outbox, rows = Outbox(database), DueRows(database)
    outbox.accept(_send("snd_1"))
    (row,) = rows.take([SEND], 1)
    outbox.accept(_send("snd_2"))
    outbox.rest(row)
    (row,) = rows.take([SEND], 1)
    outbox.rest(row)
    assert rows.standing(SEND, "cnv_1") is None
