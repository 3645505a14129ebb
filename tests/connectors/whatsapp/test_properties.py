"""Whatever a delivery of WhatsApp holds, nothing raises and no neighbour is lost."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.whatsapp.events import EVENTS
from contracts.connector import Event, Item, Unreadable
from contracts.content import MessageReceived, ProviderUnrecognized
from contracts.errors import MalformedDelivery
from tests.connectors.samples import ACCOUNT, BENCHES, STRANGE, Result, fixtures
from tests.connectors.spoiled import as_bytes, json_values, mutated

BENCH = BENCHES["whatsapp"]
FIXTURES = fixtures(BENCH.fixtures)
SAMPLES = [entry for path in FIXTURES for entry in json.loads(path.read_bytes())["entry"]]
TOO_DEEP = b'{"type":"text","id":"x","text":%b}' % (b"[" * 5000 + b"]" * 5000)


def message(wamid: str) -> bytes:
    return (
        b'{"from":"380501112233","id":"%b","timestamp":"1795338000","type":"text",'
        b'"text":{"body":"x"}}' % wamid.encode()
    )


FIRST, LAST = message("wamid.first"), message("wamid.last")
BOTH = {"message:wamid.first", "message:wamid.last"}


def value(*messages: bytes, number: str = "1", key: str = "messages") -> bytes:
    return b'{"metadata":{"phone_number_id":"%b"},"%b":[%b]}' % (
        number.encode(),
        key.encode(),
        b",".join(messages),
    )


def change(value: bytes, field: str = "messages") -> bytes:
    return b'{"field":"%b","value":%b}' % (field.encode(), value)


def entry(*changes: bytes) -> bytes:
    return b'{"id":"W1","changes":[%b]}' % b",".join(changes)


def normalize(raw: bytes) -> list[Result]:
    return list(BENCH.connector.normalize(Item("whatsapp", "1", raw), ACCOUNT))


def delivered(*entries: bytes) -> list[Result]:
    body = b'{"object":"whatsapp_business_account","entry":[' + b",".join(entries) + b"]}"
    return [result for _, some in BENCH.results(body) for result in some]


def keys(results: list[Result]) -> set[str]:
    return {result.key for result in results if isinstance(result, Event)}


@given(mutated(SAMPLES), st.booleans(), st.integers(0, 2))
def test_changed_entries_lose_no_neighbour(changed: Any, ascii_only: bool, place: int) -> None:
    entries = [entry(change(value(FIRST))), entry(change(value(LAST, number="2")))]
    entries.insert(place, as_bytes(changed, ascii_only))
    results = delivered(*entries)
    BENCH.check(results)
    assert keys(results) >= BOTH


@given(json_values, st.booleans())
def test_changed_parts_lose_no_neighbour(spoiled: Any, ascii_only: bool) -> None:
    part = as_bytes(spoiled, ascii_only)
    for raw in (
        entry(change(value(FIRST, part, LAST))),
        entry(change(value(FIRST)), part, change(value(LAST))),
        entry(change(value(FIRST)), change(part), change(value(LAST))),
        entry(change(value(FIRST, LAST)[:-1] + b',"contacts":[' + part + b"]}")),
        entry(change(value(FIRST, LAST)[:-1] + b',"new":' + part + b"}")),
    ):
        results = normalize(raw)
        BENCH.check(results)
        assert keys(results) >= BOTH


@given(st.sampled_from(sorted({kind.split(".")[0] for kind in EVENTS})), json_values, st.booleans())
def test_any_value_of_a_change_is_read_or_said(field: str, any_: Any, ascii_only: bool) -> None:
    results = normalize(entry(change(as_bytes(any_, ascii_only), field), change(value(LAST))))
    BENCH.check(results)
    assert "message:wamid.last" in keys(results)


@given(st.sampled_from(FIXTURES), st.integers(0, 10**6), st.binary(max_size=3))
def test_cut_and_stained_deliveries_raise_nothing(path: Path, at: int, stain: bytes) -> None:
    body = path.read_bytes()
    at %= len(body)
    for form in (body[:at], body[:at] + stain + body[at + len(stain) :]):
        with contextlib.suppress(MalformedDelivery):
            BENCH.check([result for _, some in BENCH.results(form) for result in some])


@pytest.mark.parametrize(
    "raw", [b"", b"null", b"7", b'"x"', b"{", b"\xff", b'{"id"}', b"[", b"[7]"]
)
def test_an_item_that_is_no_entry_is_parked_or_says_nothing(raw: bytes) -> None:
    results = normalize(raw)
    BENCH.check(results)
    assert not keys(results)


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (entry(change(value(FIRST, TOO_DEEP, LAST))), "messages.text"),
        (entry(change(value(FIRST, b'{"type":"text","id":7e999}', LAST))), "messages.text"),
        (entry(change(value(FIRST, LAST) + b"}")), "entry"),
        (entry(change(value(FIRST, LAST)[:-1] + b',"contacts":[{"wa_id":[]}]}')), "messages"),
        (entry(change(b"[]"), change(value(FIRST, LAST))), "messages"),
        (entry(change(value(FIRST, LAST)), change(b"NaN", "flows")), "flows"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_named_and_its_neighbours_live(raw: bytes, kind: str) -> None:
    results = normalize(raw)
    BENCH.check(results)
    assert keys(results) >= BOTH or kind == "entry"
    assert kind in [result.kind for result in results if isinstance(result, Unreadable)]


def test_a_list_twice_loses_neither() -> None:
    twice = value(FIRST)[:-1] + b',"messages":[' + LAST + b"]}"
    assert keys(normalize(entry(change(twice)))) == BOTH
    empty = value(FIRST, LAST)[:-1] + b',"messages":[]}'
    assert keys(normalize(entry(change(empty)))) == BOTH


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        (b'{"metadata":{},"contacts":[{"wa_id":"380501112233"}]}', "changes.messages"),
        (b'{"messages":[]}', "changes.messages"),
        (value(FIRST, key="history"), "messages.history"),
    ],
)  # fmt: skip
def test_a_change_that_says_nothing_we_know_is_kept(told: bytes, kind: str) -> None:
    timed = b'{"id":"W1","time":1795338000,"changes":[%b]}'
    (event,) = normalize(timed % change(told))
    assert isinstance(event, Event)
    assert isinstance(event.content, ProviderUnrecognized)
    assert event.content.kind == kind


def test_text_is_cleaned_and_otherwise_as_it_was() -> None:
    raw = message("m").replace(b'"x"', rb'"a\u0000\ud83d\ude00\udc00 \\u0000"')
    (event,) = normalize(entry(change(value(raw))))
    assert isinstance(event, Event)
    assert isinstance(event.content, MessageReceived)
    assert event.content.text == "a\ufffd\U0001f600\ufffd \\u0000"


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_no_kind_that_we_know_ends_as_unrecognized(path: Path) -> None:
    contents = [type(event.content) for event in BENCH.events(path.read_bytes())]
    assert (ProviderUnrecognized in contents) is path.stem.startswith((STRANGE, "history__thread"))


def test_in_another_delivery_it_is_the_same_happening() -> None:
    """Alone, beside others, and read piece by piece."""
    strange = b'{"id":"x","timestamp":"1795338000","type":"telepathy"}'
    alone = keys(normalize(entry(change(value(strange)))))
    assert alone <= keys(normalize(entry(change(value(FIRST, strange)), change(b"NaN"))))
    new = change(b'{"a":1}', "eggs")[:-1] + b',"more":1}'
    timed = b'{"id":"W1","time":1795338000,"changes":[%b]}'
    once, again = timed % new, timed % (new + b"," + change(b"NaN"))
    assert keys(normalize(once)) <= keys(normalize(again))
