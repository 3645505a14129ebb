"""What Meta should never send: nothing raises, and no neighbour is lost."""

import json

import pytest

from contracts.connector import Event, Unreadable
from contracts.content import MessageReceived, ProviderUnrecognized
from tests.connectors.facebook.deliveries import (
    BENCH,
    FIRST,
    LAST,
    TIME,
    check,
    entry,
    message,
    mids,
    normalize,
    update,
)

DEEP = b"[" * 5000 + b"]" * 5000

SPOILED = [
    pytest.param(rb'{"sender":{"id":"7"},"message":{"mid":"m","text":"\ud800"}}', id="surrogate"),
    pytest.param(b'{"sender":{"id":"7"},"message":{"mid":"m","text":"\xff"}}', id="no utf-8"),
    pytest.param(rb'{"sender":{"id":"7"},"message":{"mid":"m","text":"\u0000"}}', id="nul"),
    pytest.param(b'{"sender":{"id":"7"},"message":{"mid":"m","text":"\x00"}}', id="raw nul"),
    pytest.param(b'{"sender":{"id":"7"},"message":{"mid":"m","n":' + DEEP + b"}}", id="deep"),
    pytest.param(b'{"sender":{"id":"7"},"new":' + DEEP + b"}", id="deep and new"),
    pytest.param(b'{"sender":{"id":"7"},"message":{"mid":"m","x":NaN}}', id="nan"),
    pytest.param(b'{"sender":{"id":"7"},"message":{"mid":1e999}}', id="infinite id"),
    pytest.param(b'{"sender":{"id":"7"},"message":{"mid":""}}', id="empty mid"),
    pytest.param(b'{"sender":{"id":"7"},"message":{"mid":' + b"9" * 6000 + b"}}", id="huge id"),
    pytest.param(b'{"sender":{"id":"7"},"message":"hello"}', id="message is text"),
    pytest.param(b'{"sender":"7","message":{"mid":"m"}}', id="sender is text"),
    pytest.param(b'{"sender":{"id":"7"},"message":{"mid":"m","attachments":[5]}}', id="attachment"),
    pytest.param(b'{"sender":{"id":"7"},"timestamp":9e99,"message":{"mid":"m"}}', id="time"),
    pytest.param(
        b'{"sender":{"id":"7"},"timestamp":true,"message":{"mid":"m"}}', id="time is true"
    ),
    pytest.param(b'{"message":null}', id="null"),
    pytest.param(b"{}", id="empty"),
    pytest.param(b"5", id="number"),
    pytest.param(b"null", id="null update"),
    pytest.param(b'"text"', id="text"),
    pytest.param(b"[[]]", id="array"),
]


@pytest.mark.parametrize("spoiled", SPOILED)
@pytest.mark.parametrize("key", [b"messaging", b"standby"])
def test_neighbours_in_the_entry_live(spoiled: bytes, key: bytes) -> None:
    results = normalize(entry(FIRST, spoiled, LAST, key=key))
    check(results)
    assert [mid for mid in mids(results) if mid != "m"] == ["m_first", "m_last"]
    assert len(results) == 3


@pytest.mark.parametrize("spoiled", SPOILED)
def test_neighbours_in_the_delivery_live(spoiled: bytes) -> None:
    entries = entry(FIRST), entry(spoiled, page=b'"2"'), entry(LAST, page=b"3")
    body = b'{"object":"page","entry":[' + b",".join(entries) + b"]}"
    results = [result for _, some in BENCH.results(body) for result in some]
    check(results)
    assert [mid for mid in mids(results) if mid != "m"] == ["m_first", "m_last"]
    assert len(results) == 3


def test_text_is_cleaned_and_otherwise_as_it_was() -> None:
    raw = rb'{"sender":{"id":"7"},"message":{"mid":"m","text":"a\u0000\ud83d\ude00\udc00 \\u0000"}}'
    (event,) = normalize(entry(raw))
    assert isinstance(event, Event)
    assert isinstance(event.content, MessageReceived)
    assert event.content.text == "a\ufffd\U0001f600\ufffd \\u0000"


def test_what_is_no_json_is_kept_as_text_with_its_escapes() -> None:
    (event,) = normalize(entry(rb'["\u0000",NaN]'))
    check([event])
    assert isinstance(event, Event)
    assert BENCH.as_json(event)["data"]["item"] == r'["\u0000",NaN]'


def test_an_id_with_nul_is_cleaned_everywhere() -> None:
    (event,) = normalize(entry(rb'{"sender":{"id":"7\u0000"},"message":{"mid":"m\u0000"}}'))
    assert isinstance(event, Event)
    assert (event.key, event.contact) == ("message:m\ufffd", "7\ufffd")


def test_errors_name_the_place_and_hold_no_content() -> None:
    (result,) = normalize(entry(message("m", text={"secret": "content"})))
    assert result == Unreadable(
        kind="message", error="Expected `str | null`, got `object` - at `$.message.text`"
    )
    (result,) = normalize(
        entry(b'{"sender":{"id":"7"},"timestamp":"secret","read":{"watermark":1}}')
    )
    assert result == Unreadable(kind="read", error="timestamp is not a number")


def test_a_key_twice_in_an_entry_loses_neither_list() -> None:
    raw = b'{"id":"1","time":1795338000,"messaging":[%b],"messaging":[%b]}' % (FIRST, LAST)
    assert mids(normalize(raw)) == ["m_first", "m_last"]


def test_a_key_twice_in_an_update_means_the_last() -> None:
    raw = FIRST[:-1] + b',"message":{"mid":"m_other"}}'
    assert mids(normalize(entry(raw))) == ["m_other"]


def test_an_update_may_say_two_things() -> None:
    raw = json.dumps(update(message={"mid": "m_1"}, read={"watermark": TIME})).encode()
    keys = [result.key for result in normalize(entry(raw)) if isinstance(result, Event)]
    assert keys == ["message:m_1", f"read:9988:{TIME}"]


def test_an_update_alone_counts_as_a_list_of_one() -> None:
    raw = b'{"id":"1","time":1795338000,"messaging":%b}' % FIRST
    assert mids(normalize(raw)) == ["m_first"]


def test_a_truncated_entry_gives_what_was_complete() -> None:
    results = normalize(entry(FIRST, LAST)[:-20])
    assert mids(results) == ["m_first"]
    assert isinstance(results[-1], Unreadable)


def test_lists_that_are_new_are_kept_whole() -> None:
    raw = entry(FIRST)[:-1] + b',"whispers":[{"mid":"w"}],"hop_context":[{"app_id":1}]}'
    first, other = normalize(raw)
    assert mids([first]) == ["m_first"]
    assert isinstance(other, Event)
    assert isinstance(other.content, ProviderUnrecognized)
    assert BENCH.as_json(other)["data"] == {
        "kind": "whispers",
        "item": {"whispers": [{"mid": "w"}]},
    }


def test_a_strange_update_in_another_delivery_is_the_same() -> None:
    strange = json.dumps(update(telepathy={"thought": "hi"})).encode()
    later = entry(strange).replace(b'"time":%d' % TIME, b'"time":%d' % (TIME + 86_400_000))
    (first,), (again,) = normalize(entry(strange)), normalize(later)
    assert isinstance(first, Event)
    assert isinstance(again, Event)
    assert (first.key, first.at) == (again.key, again.at)


def test_what_says_nothing_of_its_time_is_parked() -> None:
    (result,) = normalize(b'{"id":"1","messaging":[{"sender":{"id":"7"},"telepathy":{}}]}')
    assert result == Unreadable(kind="unrecognized", error="no timestamp")


@pytest.mark.parametrize("raw", [b"", b"null", b"7", b'"x"', b"{", b"\xff", b'{"id"}', b"[", DEEP])
def test_an_item_that_is_no_entry_is_parked_or_says_nothing(raw: bytes) -> None:
    results = normalize(raw)
    check(results)
    assert not mids(results)


def test_megabytes_of_brackets_are_read_without_a_stack() -> None:
    deep = b'{"sender":{"id":"7"},"message":{"mid":"m","x":' + b'{"a":[' * 300_000 + b"}}"
    results = normalize(entry(FIRST, deep))
    check(results)
    assert mids(results) == ["m_first"]
