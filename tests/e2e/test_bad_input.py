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
from tests.e2e.stack import Feed, Run, texts
from tests.e2e.wire import Meta, entry, envelope, exchange, now_ms, text_entry, update
from tests.sandbox.stage import PAGE
from token_vault import open_vault
from workers.opening import ItemOpener

FIVE_MB = b"x" * (5 << 20)
DEEP = 100_000


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


BODIES: dict[str, bytes] = {
    "empty": b"",
    "blank": b" \r\n\t ",
    "null": b"null",
    "a list": b"[]",
    "an empty object": b"{}",
    "a string": b'"page"',
    "a huge number": b"1e99999",
    "many digits": b"9" * 100_000,
    "NUL bytes": b"\x00" * 100,
    "no JSON": b"<xml/>",
    "UTF-16": '{"object":"page","entry":[]}'.encode("utf-16"),
    "not UTF-8": b"\xff\xfe\xfd",
    "deep lists": b"[" * DEEP + b"]" * DEEP,
    "deep lists, never closed": b"[" * DEEP,
    "deep objects": b'{"entry":' * DEEP + b"1" + b"}" * DEEP,
    "closing brackets": b"]}" * DEEP,
    "quotes": b'"' * (DEEP + 1),
    "backslashes": b'{"object":"page","entry":["' + b"\\" * DEEP,
    "a megabyte of commas": b'{"object":"page","entry":[' + b"," * (1 << 20) + b"]}",
    "no entry": b'{"object":"page"}',
    "no object": b'{"entry":[]}',
    "entry is null": b'{"object":"page","entry":null}',
    "entry is an object": b'{"object":"page","entry":{"id":"1"}}',
    "entry is text": b'{"object":"page","entry":"1"}',
    "entry is a number": b'{"object":"page","entry":1}',
    "entry holds no objects": b'{"object":"page","entry":[null,1,true,"x",[],{},1.5]}',
    "object is a number": b'{"object":1,"entry":[]}',
    "object is null": b'{"object":null,"entry":[{"id":"1"}]}',
    "object is a list": b'{"object":["page"],"entry":[{"id":"1"}]}',
    "an object of another product": b'{"object":"planet","entry":[{"id":"1","time":1}]}',
    "an object with a strange name": b'{"object":"\\ud800/../\\u0000","entry":[{"id":"1"}]}',
    "two documents": b'{"object":"page","entry":[]}{"object":"page","entry":[]}',
    "entries of nobody": b'{"object":"page","entry":[{"id":"0"},{"id":""},{"id":" "}]}',
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_signed_body_of_any_kind_is_kept(meta: Meta, body: bytes) -> None:
    assert meta.deliver(body) == 200


def an(**fields: object) -> bytes:
    """An entry of the demo Page whose fields are replaced; `Ellipsis` leaves one out."""
    whole = {"id": PAGE, "time": now_ms(), "messaging": [update("1", {"mid": "m", "text": "?"})]}
    return json.dumps({k: v for k, v in {**whole, **fields}.items() if v is not ...}).encode()


def one(**fields: object) -> bytes:
    """An entry with one message whose update's fields are replaced."""
    whole = update("1", {"mid": "m_one", "text": "?"})
    return entry([{k: v for k, v in {**whole, **fields}.items() if v is not ...}])


def said(**fields: object) -> bytes:
    """An entry with one message whose own fields are replaced."""
    return one(message={"mid": "m_said", "text": "?", **fields})


ENTRIES: dict[str, bytes] = {
    "null": b"null",
    "a number": b"-1.5e3",
    "text": b'"entry"',
    "a list": b'[{"id":"1"}]',
    "no id": an(id=...),
    "id is null": an(id=None),
    "id is a number": an(id=int(PAGE)),
    "id is a fraction": an(id=1.5),
    "id is huge": b'{"id":1e400,"messaging":[]}',
    "id has many digits": b'{"id":%b,"messaging":[]}' % (b"9" * 5000),
    "id is true": an(id=True),
    "id is a list": an(id=[PAGE]),
    "id is an object": an(id={"id": PAGE}),
    "id is empty": an(id=""),
    "id is long": an(id="1" * 100_000),
    "id is half a character": an(id="\ud800"),
    "id with NUL": an(id="\x00"),
    "id is another Page's": an(id="404"),
    "id twice": b'{"id":"404","id":"%b","messaging":[]}' % PAGE.encode(),
    "no time": an(time=...),
    "time is text": an(time="yesterday"),
    "time is huge": b'{"id":"%b","time":%b,"messaging":[{"x":1}]}' % (PAGE.encode(), b"9" * 5000),
    "no messaging": an(messaging=...),
    "messaging is null": an(messaging=None),
    "messaging is a number": an(messaging=7),
    "messaging is text": an(messaging="hello"),
    "messaging is an object": an(messaging=update("1", {"mid": "m", "text": "?"})),
    "messaging holds no objects": an(messaging=[None, 1, True, "x", [], {}]),
    "changes of a Page": an(messaging=..., changes=[{"field": "feed", "value": {"item": "x"}}]),
    "changes is a number": an(changes=1),
    "no sender": one(sender=...),
    "sender is text": one(sender="1"),
    "sender's id is a list": one(sender={"id": ["1"]}),
    "recipient is a number": one(recipient=1),
    "no timestamp": one(timestamp=...),
    "timestamp is true": one(timestamp=True),
    "timestamp is text": one(timestamp="soon"),
    "timestamp is before Christ": one(timestamp=-99_999_999_999_999),
    "timestamp is huge": one(timestamp=10**30),
    "timestamp is endless": entry([]).replace(b"[]", b'[{"timestamp":1e999,"message":{}}]'),
    "message is a list": one(message=[1]),
    "message is text": one(message="hello"),
    "message is null": one(message=None),
    "no mid": one(message={"text": "?"}),
    "mid is a list": said(mid=["m"]),
    "mid is empty": said(mid=""),
    "mid is half a character": said(mid="\udfff"),
    "text is a number": said(text=1),
    "text is an object": said(text={"a": 1}),
    "attachments is text": said(attachments="photo"),
    "attachments holds numbers": said(attachments=[1, None, "x", []]),
    "reply_to is a list": said(reply_to=[1]),
    "a kind with a wrong value": one(message=..., reaction={"action": 5}),
    "a kind that is new": one(message=..., hologram={"depth": [[[1]]]}),
    "two kinds at once": one(read={"watermark": now_ms()}),
    "deep object": b'{"id":"%b","x":%b1%b}' % (PAGE.encode(), b'{"a":' * DEEP, b"}" * DEEP),
    "deep messaging": entry("@").replace(b'"@"', b"[" * DEEP + b"]" * DEEP),
    "deep text": said(text="@").replace(b'"@"', b"[" * DEEP + b"]" * DEEP),
    "text is not UTF-8": said(text="@").replace(b"@", b"\xff\xc3\x28\xed\xa0\x80"),
    "a key is not UTF-8": said(text="x").replace(b'"text"', b'"te\xffxt"'),
    "control characters": said(text="@").replace(b"@", b"\x01\x02\n\t\x1f"),
    "a wrong escape": said(text="@").replace(b"@", b"\\x41\\u12"),
    "not JSON": b"{'id': undefined, NaN, +1}",
    "a number that is none": said(text="@").replace(b'"@"', b"-.e+"),
    "a text of two megabytes": said(text="x" * (2 << 20)),
    "ten thousand fields": said(**{f"f{n}": n for n in range(10_000)}),
}


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
