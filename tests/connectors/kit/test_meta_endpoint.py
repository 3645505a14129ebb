"""How a delivery to `/webhooks/meta` is cut into items."""

import hashlib
import hmac
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.kit.meta.endpoint import MetaEndpoint
from connectors.kit.meta.settings import MetaApps
from connectors.kit.rawjson import elements
from contracts.connector import Delivery, Item
from contracts.errors import MalformedDelivery
from contracts.tokens import Secret

ENDPOINT = MetaEndpoint(
    MetaApps(
        meta_verify_token=Secret("verify-me"),
        meta_app_secret=Secret("test-secret"),
    )
)


def split(body: bytes) -> list[Item]:
    signature = hmac.new(b"test-secret", body, hashlib.sha256).hexdigest()
    delivery = Delivery(headers={"x-hub-signature-256": f"sha256={signature}"}, body=body)
    return ENDPOINT.split(ENDPOINT.verify(delivery))


def page(*entries: bytes) -> bytes:
    return b'{"object":"page","entry":[' + b",".join(entries) + b"]}"


def item(route: str, raw: bytes, provider: str = "facebook") -> Item:
    return Item(provider=provider, route=route, raw=raw)


ONE = rb'{"id":"1", "time":1790000000123,"messaging":[{"message":{"text":"caf\u00e9 \/"}}]}'
TWO = b'{"id":"2","time":1790000000124,"messaging":[]}'


def test_an_item_is_the_entry_byte_by_byte() -> None:
    assert split(page(ONE)) == [item("1", ONE)]
    assert split(page(ONE, TWO)) == [item("1", ONE), item("2", TWO)]


def test_space_around_an_entry_is_no_part_of_it() -> None:
    assert split(b'\n{ "entry" : [ ' + ONE + b' ],\n"object" : "page" } ') == [item("1", ONE)]


def test_entries_of_one_page_are_joined_in_their_order() -> None:
    again = ONE.replace(b"0123", b"0999")
    assert split(page(ONE, TWO, again)) == [
        item("1", b"[" + ONE + b"," + again + b"]"),
        item("2", TWO),
    ]


def test_ids_may_be_numbers() -> None:
    number = ONE.replace(b'"1"', b"1")
    assert split(page(number)) == [item("1", number)]
    assert split(page(b'{"id":123456789012345678901234567890}'))[0].route == "1234567890" * 3


def test_an_object_that_nobody_reads_is_kept() -> None:
    body = page(ONE).replace(b'"page"', b'"Ad Account/7"')
    assert split(body) == [item("1", ONE, "meta.ad_account_7")]
    assert split(page(ONE).replace(b'"page"', b'"' + b"x" * 500 + b'"'))[0].provider == (
        "meta." + "x" * 40
    )


def test_no_entries_no_items() -> None:
    assert split(page()) == []


BROKEN = [
    pytest.param(rb'{"id":"9","messaging":[{"message":{"text":"\ud800"}}]}', "9", id="surrogate"),
    pytest.param(b'{"id":"9","messaging":[{"n":NaN}]}', "9", id="nan"),
    pytest.param(b'{"id":"9","messaging":[{"text":"a\x00b"}]}', "9", id="nul"),
    pytest.param(b'{"id":"9","x":' + b"[" * 9000 + b"]" * 9000 + b"}", "9", id="deep"),
    pytest.param(b'{"id":9,"x":bare}', "9", id="bare word"),
    pytest.param(rb'{"id":"\ud8009"}', "\ufffd9", id="surrogate in the id"),
    pytest.param(b'{"id":"\xff9"}', "\ufffd9", id="no utf-8 in the id"),
    pytest.param(b'{"id":{"id":"9"}}', "", id="id is an object"),
    pytest.param(b'{"id":true}', "", id="id is true"),
    pytest.param(b'{"id":"' + b"9" * 300 + b'"}', "", id="id is too long"),
    pytest.param(b'{"time":1}', "", id="no id"),
    pytest.param(b"17", "", id="number"),
    pytest.param(b"null", "", id="null"),
    pytest.param(b'["id"]', "", id="array"),
    pytest.param(b'"id"', "", id="text"),
]


@pytest.mark.parametrize(("broken", "route"), BROKEN)
def test_a_broken_entry_is_an_item_of_its_own(broken: bytes, route: str) -> None:
    assert split(page(ONE, broken, TWO)) == [item("1", ONE), item(route, broken), item("2", TWO)]


def test_a_broken_entry_is_not_joined_with_good_ones_of_its_page() -> None:
    broken = rb'{"id":"1","x":"\ud800"}'
    assert split(page(ONE, broken, TWO)) == [item("1", ONE), item("1", broken), item("2", TWO)]


def test_what_follows_a_broken_entry_of_its_page_does_not_overtake_it() -> None:
    broken, after = rb'{"id":"1","x":"\ud800"}', ONE.replace(b"0123", b"0999")
    assert split(page(ONE, TWO, broken, after, TWO, after)) == [
        item("1", ONE),
        item("2", b"[" + TWO + b"," + TWO + b"]"),
        item("1", broken),
        item("1", b"[" + after + b"," + after + b"]"),
    ]


def test_nothing_overtakes_a_broken_entry_that_may_be_anybodys() -> None:
    assert split(page(ONE, b'{"time":1}', ONE)) == [
        item("1", ONE),
        item("", b'{"time":1}'),
        item("1", ONE),
    ]


def test_bytes_that_are_not_utf8_are_kept() -> None:
    latin = b'{"id":"1","messaging":[{"message":{"text":"caf\xe9"}}]}'
    assert split(page(latin)) == [item("1", latin)]


def test_a_key_twice_loses_neither_value() -> None:
    body = b'{"object":"page","entry":[' + ONE + b'],"entry":[' + TWO + b"]}"
    assert split(body) == [item("1", ONE), item("2", TWO)]


def test_truncated_what_was_complete_is_cut_off_and_the_rest_kept() -> None:
    body = page(ONE, TWO)[:-20]
    assert split(body) == [item("1", ONE), item("2", TWO[:-18])]


MALFORMED = [
    b"",
    b"{}",
    b"null",
    b"[]",
    b'"page"',
    b"\xff\xfe",
    b'{"object":"page"}',
    b'{"entry":[{"id":"1"}]}',
    b'{"object":5,"entry":[]}',
    b'{"object":null,"entry":[{"id":"1"}]}',
    b'{"object":"page","entry":{"id":"1"}}',
    b'{"object":"page","entry":null}',
    b'{"object":"page","entry":"1"}',
    b'{"object":"pa',
    b"object=page&entry=1",
    page(ONE) + page(TWO),
    page(ONE) + b"x",
    b"[" * 100_000,
    b'{"a":' * 100_000,
    page(*[b"{}"] * 10_001),
    page(*[b"{}"] * 10_001, b"NaN"),
]


@pytest.mark.parametrize("body", MALFORMED, ids=lambda body: repr(body[:30]))
def test_what_has_no_entries_is_said_to_be_malformed(body: bytes) -> None:
    with pytest.raises(MalformedDelivery):
        split(body)


entries = st.binary(max_size=20).map(lambda tail: ONE + tail) | st.sampled_from(
    [ONE, TWO, *(case.values[0] for case in BROKEN)]
)


@given(st.lists(entries, max_size=6), st.binary(max_size=6), st.integers(0, 10**6))
def test_nothing_else_is_raised(parts: list[bytes], tail: bytes, cut: int) -> None:
    body = page(*parts) + tail
    for form in (body, body[: cut % (len(body) + 1)]):
        try:
            items = split(form)
        except MalformedDelivery:
            continue
        assert all(part.raw in form or part.raw[:1] == b"[" for part in items)


well_formed = st.sampled_from([ONE, TWO, *(case.values[0] for case in BROKEN)])


LONG_ID = BROKEN[9].values[0]
"""Read, but of no account that there is."""
NOBODYS = {case.values[0] for case in BROKEN if case.values[1] == ""} - {LONG_ID}


@given(st.lists(well_formed, max_size=8))
def test_every_entry_is_in_exactly_one_item_in_order(parts: list[bytes]) -> None:
    found = [(i.route, raw) for i in split(page(*parts)) for raw in _entries(i.raw)]
    assert sorted(raw for _, raw in found) == sorted(parts)
    for readable, route in ((ONE, "1"), (TWO, "2")):
        in_order = [raw for its, raw in found if its == route or raw in NOBODYS]
        assert in_order == [raw for raw in parts if raw == readable or raw in NOBODYS]


def _entries(raw: bytes) -> list[bytes]:
    return list(elements(raw)) if raw.startswith(b"[{") else [raw]


@given(st.text(st.characters(codec=None), max_size=20), st.booleans())
def test_any_text_is_a_route_that_a_database_takes(route: str, ascii_only: bool) -> None:
    entry = json.dumps({"id": route}, ensure_ascii=ascii_only).encode(errors="surrogatepass")
    (only,) = split(page(entry))
    assert only.raw == entry
    assert "\x00" not in only.route
    only.route.encode()
