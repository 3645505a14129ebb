"""How an entry of a WhatsApp Business Account is cut by phone numbers."""

import hashlib
import hmac
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.kit.meta.endpoint import MetaEndpoint
from connectors.kit.meta.numbers import OF_NUMBERS, Part, by_number
from connectors.kit.meta.settings import MetaApps
from connectors.kit.rawjson import elements, members
from connectors.whatsapp.events import FIELDS
from contracts.connector import Delivery, Item
from contracts.errors import BadSignature, MalformedDelivery
from contracts.tokens import Secret
from tests.connectors.spoiled import as_bytes, json_values

ENDPOINT = MetaEndpoint(
    MetaApps(
        meta_verify_token=Secret("verify-me"),
        meta_app_secret=Secret("test-secret"),
        instagram_app_secret=Secret("instagram-secret"),
    )
)


def signed(body: bytes, secret: bytes = b"test-secret") -> Delivery:
    signature = hmac.new(secret, body, hashlib.sha256).hexdigest()
    return Delivery(headers={"x-hub-signature-256": f"sha256={signature}"}, body=body)


def split(*entries: bytes) -> list[Item]:
    body = b'{"object":"whatsapp_business_account","entry":[' + b",".join(entries) + b"]}"
    return ENDPOINT.split(ENDPOINT.verify(signed(body)))


def item(route: str, raw: bytes) -> Item:
    return Item(provider="whatsapp", route=route, raw=raw)


def change(number: str, text: str = "x") -> bytes:
    return (
        b'{"field":"messages", "value":{"metadata":{"phone_number_id":"%b"},"messages":["%b"]}}'
        % (number.encode(), text.encode())
    )


def entry(*changes: bytes, account: bytes = b'"W1"') -> bytes:
    return b'{"id":%b, "time":1790000000,"changes":[%b]}' % (account, b",".join(changes))


OF_ACCOUNT = b'{"field":"account_update","value":{"event":"ACCOUNT_DELETED"}}'
SURROGATE = r"caf\u00e9 \ud800"


def test_an_entry_of_one_number_stays_as_it_came() -> None:
    raw = entry(change("1", r"caf\u00e9 \/"), change("1"))
    assert split(raw) == [item("1", raw)]


def test_what_concerns_the_account_is_the_accounts() -> None:
    raw = entry(OF_ACCOUNT)
    assert split(raw) == [item("W1", raw)]
    assert split(b'{"id":7,"changes":[]}') == [item("7", b'{"id":7,"changes":[]}')]
    assert split(b'{"id":"7"}') == [item("7", b'{"id":"7"}')]


@pytest.mark.parametrize(
    "value",
    [
        b'{"messages":[]}',
        b'{"metadata":{}}',
        b'{"metadata":null}',
        b'{"metadata":{"phone_number_id":""}}',
        b'{"metadata":{"phone_number_id":null}}',
        b'{"messages":[NaN]}',
        b"5",
        b"null",
    ],
)
def test_what_tells_of_people_and_names_no_number_is_nobodys(value: bytes) -> None:
    for field in FIELDS:
        raw = b'{"field":"%b","value":%b}' % (field.encode(), value)
        assert {one.route for one in split(entry(raw))} == {""}
        assert [one.route for one in split(entry(raw, OF_ACCOUNT))] == ["", "W1"]


def test_every_field_that_lists_what_happened_is_of_numbers() -> None:
    assert set(FIELDS) == OF_NUMBERS


def test_each_number_gets_its_own_changes() -> None:
    one, two, again = change("1", "a"), change("2", "b"), change("1", "c")
    assert split(entry(one, two, OF_ACCOUNT, again)) == [
        item("1", b'{"id":"W1","time":1790000000,"changes":[' + one + b"," + again + b"]}"),
        item("2", b'{"id":"W1","time":1790000000,"changes":[' + two + b"]}"),
        item("W1", b'{"id":"W1","time":1790000000,"changes":[' + OF_ACCOUNT + b"]}"),
    ]


def test_entries_of_one_number_are_joined_in_their_order() -> None:
    first, both = entry(change("1", "a")), entry(change("2", "b"), change("1", "c"))
    alone = b'{"id":"W1","time":1790000000,"changes":[%b]}' % change("1", "c")
    assert split(first, both) == [
        item("1", b"[" + first + b"," + alone + b"]"),
        item("2", b'{"id":"W1","time":1790000000,"changes":[%b]}' % change("2", "b")),
    ]


def test_numbers_may_be_numbers_and_text_may_say_changes() -> None:
    raw = entry(change("1", "changes").replace(b'"phone_number_id":"1"', b'"phone_number_id":1'))
    assert split(raw) == [item("1", raw)]


UNREADABLE = [
    pytest.param(change("1", SURROGATE), "1", id="surrogate"),
    pytest.param(change("1").replace(b'"x"', b"NaN"), "1", id="nan"),
    pytest.param(change("1", "\xff").replace(b"\xc3\xbf", b"\xff"), "1", id="no utf-8"),
    pytest.param(change("1").replace(b'"x"', b"[" * 9000 + b"]" * 9000), "1", id="deep"),
    pytest.param(change("1").replace(b':"1"', b':{"x":"1"}'), "", id="number is an object"),
    pytest.param(
        b'{"field":"messages","value":[{"metadata":{"phone_number_id":"1"}}]}', "", id="no object"
    ),
    pytest.param(b'{"field":"flows","value":NaN}', "W1", id="of the account"),
    pytest.param(b'{"field":"flows","value":5}', "W1", id="of the account, no object"),
    pytest.param(b"null", "W1", id="null"),
]


@pytest.mark.parametrize(("broken", "route"), UNREADABLE)
def test_what_cannot_be_read_goes_to_no_other_number(broken: bytes, route: str) -> None:
    alone = entry(broken)
    assert split(alone) == [item(route, alone)]
    found = {one.route: one.raw for one in split(entry(change("2"), broken))}
    assert found["2"] == b'{"id":"W1","time":1790000000,"changes":[' + change("2") + b"]}"
    assert broken in found[route]


def test_what_stands_beside_the_changes_is_kept() -> None:
    raw = entry(change("1"), change("2"))[:-1] + b',"new":[7]}'
    assert split(raw)[2] == item("W1", b'{"id":"W1","time":1790000000,"new":[7]}')


def test_a_key_twice_loses_neither_list() -> None:
    raw = b'{"id":"W1","changes":[%b],"changes":[%b]}' % (change("1"), change("2"))
    assert [one.route for one in split(raw)] == ["1", "2"]


@pytest.mark.parametrize("raw", [b"", b"7", b"null", b"[]", b'"x"', b"\xff"])
def test_what_is_no_entry_is_nobodys(raw: bytes) -> None:
    assert by_number(raw) == [Part("", raw, False)]


def test_the_instagram_secret_signs_nothing_of_whatsapp() -> None:
    body = b'{"object":"whatsapp_business_account","entry":[' + entry(change("1")) + b"]}"
    assert ENDPOINT.verify(signed(body)).signer == "meta"
    with pytest.raises(BadSignature):
        ENDPOINT.verify(signed(body, b"instagram-secret"))


def test_a_body_of_numbers_alone_is_malformed() -> None:
    with pytest.raises(MalformedDelivery):
        split(entry(*(change(str(number)) for number in range(10_001))))


parts = st.sampled_from(
    [change("1"), change("2"), OF_ACCOUNT, *(case.values[0] for case in UNREADABLE)]
)


@given(st.lists(st.lists(parts, max_size=4), max_size=4))
def test_every_change_is_in_exactly_one_item_in_order(entries: list[list[bytes]]) -> None:
    found = [
        (one.route, raw)
        for one in split(*(entry(*them) for them in entries))
        for raw in _of(one.raw)
    ]
    given_ = [raw for them in entries for raw in them]
    assert sorted(raw for _, raw in found) == sorted(given_)
    for number in ("1", "2"):
        whole = [raw for raw in given_ if raw == change(number)]
        assert [raw for route, raw in found if route == number and raw == change(number)] == whole


def _of(raw: bytes) -> list[bytes]:
    entries = list(elements(raw)) if raw.startswith(b"[{") else [raw]
    return [
        one
        for each in entries
        for key, value in members(each)
        if key == "changes"
        for one in elements(value)
    ]


@given(
    st.lists(json_values, max_size=3), st.booleans(), st.integers(0, 10**6), st.binary(max_size=4)
)
def test_nothing_is_raised(values: list[Any], ascii_only: bool, cut: int, stain: bytes) -> None:
    raw = entry(change("1"), *(as_bytes(value, ascii_only) for value in values), change("2"))
    for form in (raw, raw[: cut % len(raw)], raw[: cut % len(raw)] + stain + raw[cut % len(raw) :]):
        for part in by_number(form):
            json.dumps(part.route)
    assert {"1", "2"} <= {part.route for part in by_number(raw)}
