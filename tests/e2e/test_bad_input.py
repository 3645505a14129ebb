"""Bad deliveries over real HTTP: never a 5xx, and never a lost neighbour in the same delivery."""

import json
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from contracts.connector import Item
from contracts.settings import Settings
from storage.database import Database
from storage.drain import DrainStore
from storage.schema import inbox
from storage.turns import StoredItem
from tests.e2e.malformed import BODIES, ENTRIES, an, said
from tests.e2e.stack import Feed, Run, texts
from tests.e2e.wire import Meta, entry, envelope, exchange, text_entry, update
from tests.sandbox.stage import PAGE
from token_vault import open_vault
from workers.opening import ItemOpener

FIVE_MB = b"x" * (5 << 20)


@pytest.fixture
def meta(run: Run) -> Iterator[Meta]:
    """Signs and delivers to the running gateway."""
    sender = Meta(run)
    yield sender
    sender.close()


def test_only_what_is_signed_is_taken(meta: Meta, feed: Feed, psid: str) -> None:
    body = envelope(text_entry(psid, "forged"))
    strange = ["sha256=" + "0" * 64, "sha256=", "sha256=zz", "sha1=" + "0" * 40, "", "=", None]
    assert [meta.post(body, one) for one in strange] == [401] * len(strange)
    assert meta.post(body, b"sha256=\xff\xfe\xe9") == 401
    assert meta.post(body + b" ", meta.signature(body)) == 401
    assert meta.post(b"", meta.signature(body)) == 401
    assert meta.deliver(envelope(text_entry(psid, "signed"))) == 200
    assert feed.texts_until("signed", of=psid) == ["signed"]


def test_a_body_that_is_too_large_is_413(meta: Meta) -> None:
    signature = meta.signature(FIVE_MB)
    assert meta.post(FIVE_MB, signature) == 413
    assert meta.post(iter([FIVE_MB[: 1 << 20]] * 5), signature) == 413
    assert meta.raw(b"", "Content-Length: 5000000000", "Expect: 100-continue") in (
        [413],
        [100, 413],
    )
    assert meta.raw(b"", f"Content-Length: {10**30}") in ([], [400], [413])


def test_a_body_of_unknown_length_is_taken(meta: Meta, feed: Feed, psid: str) -> None:
    body = envelope(text_entry(psid, "chunked"))
    assert meta.post(iter([body[:10], body[10:11], body[11:]]), meta.signature(body)) == 200
    assert feed.texts_until("chunked", of=psid) == ["chunked"]


def test_a_slow_body_is_waited_for_and_holds_up_nobody(meta: Meta, feed: Feed, psid: str) -> None:
    slow = envelope(text_entry(psid, "slow"))
    length = f"Content-Length: {len(slow)}"
    pieces = [slow[at : at + 10] for at in range(0, len(slow), 10)]
    answers: list[list[int]] = []

    def drip() -> None:
        answers.append(meta.raw(slow, length, "Connection: close", pieces=pieces, pause_s=0.05))

    thread = threading.Thread(target=drip)
    thread.start()
    assert meta.deliver(envelope(text_entry(psid, "quick"))) == 200
    assert feed.texts_until("quick", of=psid) == ["quick"]
    thread.join(20)
    assert answers == [[200]]
    assert feed.texts_until("slow", of=psid) == ["slow"]


def test_a_body_that_breaks_off_is_not_taken(meta: Meta, feed: Feed, psid: str) -> None:
    body = envelope(text_entry(psid, "broken off"))
    assert meta.raw(body, f"Content-Length: {len(body) + 1}") in ([], [400])
    half = b"%x\r\n%b\r\n" % (len(body), body)  # the last chunk never comes
    assert meta.raw(body, "Transfer-Encoding: chunked", pieces=[half]) in ([], [400])
    assert meta.deliver(envelope(text_entry(psid, "whole"))) == 200
    assert feed.texts_until("whole", of=psid) == ["whole"]


@pytest.mark.parametrize(
    "headers",
    [
        ["Content-Length: 10"],
        ["Content-Length: -1"],
        ["Content-Length: 0x10"],
        ["Content-Length: 5", "Content-Length: 6"],
        ["Content-Length: 5", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding: chunked, gzip"],
        ["Content-Length: \N{FULLWIDTH DIGIT NINE}"],
        [],
    ],
    ids=" ".join,
)
def test_a_length_that_lies_is_refused(
    meta: Meta, feed: Feed, psid: str, headers: list[str]
) -> None:
    body = envelope(text_entry(psid, "smuggled"))
    encoded = [one.encode().decode("latin-1") for one in headers]
    statuses = meta.raw(body, *encoded, "Connection: close")
    assert set(statuses) <= {400, 401}
    assert meta.deliver(envelope(text_entry(psid, "honest"))) == 200
    assert feed.texts_until("honest", of=psid) == ["honest"]


def test_what_is_not_http_ends_the_connection_alone(run: Run, meta: Meta) -> None:
    for junk in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\x00" * 999, b"GET\r\n\r\n"):
        assert set(exchange(run.port, [junk])) <= {400}
    long_header = b"POST /webhooks/meta HTTP/1.1\r\nx: " + b"y" * 200_000 + b"\r\n\r\n"
    assert set(exchange(run.port, [long_header])) <= {400, 401, 431}
    assert meta.deliver(envelope()) == 200


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_signed_body_of_any_kind_is_kept(meta: Meta, body: bytes) -> None:
    assert meta.deliver(body) == 200


@pytest.mark.parametrize("bad", ENTRIES.values(), ids=ENTRIES)
def test_a_bad_entry_hides_no_neighbour(meta: Meta, feed: Feed, psid: str, bad: bytes) -> None:
    body = envelope(text_entry(psid, "before"), bad, text_entry(psid, "after"))
    assert meta.deliver(body) == 200
    assert feed.until(lambda found: set(texts(found)) >= {"before", "after"}, of=psid)


def test_neighbours_within_one_entry_are_kept(meta: Meta, feed: Feed, psid: str) -> None:
    strange: list[object] = [None, 7, "x", [], {}, {"message": 1}, {"message": {"mid": []}}]
    updates: list[object] = [update(psid, {"mid": f"{psid}_{n}", "text": f"{n}"}) for n in range(8)]
    mixed = [one for pair in zip(updates, [*strange, None], strict=True) for one in pair]
    assert meta.deliver(envelope(entry(mixed))) == 200
    found = feed.until(lambda found: len(texts(found)) >= 8, of=psid)
    assert texts(found) == [f"{n}" for n in range(8)]


def test_what_came_before_a_cut_is_kept(meta: Meta, feed: Feed, psid: str) -> None:
    body = envelope(text_entry(psid, "before"), text_entry(psid, "cut off"))
    assert meta.deliver(body[: body.index(b"cut off") + 3]) == 200
    assert "before" in texts(feed.until(lambda found: "before" in texts(found), of=psid))


def test_both_of_two_keys_of_one_name_count(meta: Meta, feed: Feed, psid: str) -> None:
    first, second = text_entry(psid, "entry 1"), text_entry(psid, "entry 2")
    assert meta.deliver(b'{"entry":[%b],"object":"page","entry":[%b]}' % (first, second)) == 200
    lists = [json.dumps([update(psid, {"mid": f"{psid}{n}", "text": n})]).encode() for n in "ab"]
    twice = b'{"id":"%b","time":1,"messaging":%b,"messaging":%b}' % (PAGE.encode(), *lists)
    assert meta.deliver(envelope(twice)) == 200
    found = feed.until(lambda found: len(texts(found)) >= 4, of=psid)
    assert sorted(texts(found)) == ["a", "b", "entry 1", "entry 2"]


@pytest.mark.parametrize(
    "bad",
    [b"\xff", b'{"id":[]}', said(mid=[]), said(text="@").replace(b"@", b"\xff"), an(id="404")],
    ids=["no JSON", "no id", "unreadable", "not UTF-8", "of another Page"],
)
def test_one_bad_among_a_thousand(meta: Meta, feed: Feed, psid: str, bad: bytes) -> None:
    entries = [text_entry(psid, f"{n}") for n in range(1000)]
    entries[500] = bad
    assert meta.deliver(envelope(*entries)) == 200
    found = texts(feed.until(lambda found: len(texts(found)) >= 999, of=psid, within_s=30))
    assert sorted(map(int, found)) == [n for n in range(1000) if n != 500]
    assert found == sorted(found, key=int)


def test_halves_of_characters_and_nul_stay_in_the_raw_item_alone(
    run: Run, meta: Meta, feed: Feed, psid: str
) -> None:
    message = {"mid": f"m_{psid}", "text": "a\ud83db\x00c\udfffd 🙂"}
    body = envelope(entry([update(psid, message)]))
    assert b"a\\ud83db\\u0000c\\udfffd \\ud83d\\ude42" in body
    assert meta.deliver(body) == 200
    [received] = feed.until(len, of=psid)
    assert received["data"]["text"] == "a\ufffdb\ufffdc\ufffdd 🙂"
    [raw] = [item.raw for item in stored_items(run) if f"m_{psid}".encode() in item.raw]
    assert raw in body


def stored_items(run: Run) -> Iterator[Item]:
    """Every raw item that the edge stored, opened with the vault's keys."""
    settings = Settings(data_dir=run.data_dir)
    database, vault = Database(settings.database), open_vault(settings)
    opener = ItemOpener(DrainStore(database), vault)
    columns: list[Any] = [inbox.c[name] for name in StoredItem._fields]
    with database.read() as connection:
        rows = [StoredItem(*row) for row in connection.execute(sa.select(*columns))]
    try:
        yield from map(opener.open, rows)
    finally:
        vault.close()
        database.close()


def test_none_of_this_was_a_fault(run: Run) -> None:
    """The last of this file: what the edge and the worker say of all the above."""
    output = run.process.output()
    for event in (
        "Traceback",
        "webhook.verify_failed",
        "webhook.split_failed",
        "normalize.failed",
        "[error",
    ):
        assert event not in output
    metrics = httpx.get(f"{run.url}/metrics", trust_env=False).text
    assert 'gateway_ingest_deliveries_total{endpoint="meta",result="refused"} 0.0' in metrics
