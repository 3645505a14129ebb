"""Whatever a delivery of Instagram holds, nothing raises and no neighbour is lost."""

import contextlib
import json
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from contracts.connector import Item
from contracts.errors import MalformedDelivery
from tests.connectors.samples import ACCOUNT, BENCHES, Result, fixtures
from tests.connectors.spoiled import TIME, as_bytes, json_values, mutated

BENCH = BENCHES["instagram"]
FIXTURES = fixtures(BENCH.fixtures)
SAMPLES = [json.loads(path.read_bytes())["entry"][0] for path in FIXTURES]


def message(mid: str) -> bytes:
    return (
        b'{"sender":{"id":"9988"},"recipient":{"id":"1"},"timestamp":%d,'
        b'"message":{"mid":"%b"}}' % (TIME, mid.encode())
    )


def comment(identifier: str) -> bytes:
    return b'{"field":"comments","value":{"id":"%b","media":{"id":"M"}}}' % identifier.encode()


def entry(account: str, key: str, *parts: bytes) -> bytes:
    list_ = b",".join(parts)
    return b'{"id":"%b","time":%d,"%b":[%b]}' % (account.encode(), TIME, key.encode(), list_)


def keys(results: list[Result]) -> set[str]:
    return {getattr(result, "key", "") for result in results}


@given(mutated(SAMPLES), st.booleans(), st.integers(0, 2))
def test_changed_entries_lose_no_neighbour(value: Any, ascii_only: bool, place: int) -> None:
    entries = [
        entry("77", "messaging", message("m_first")),
        entry("78", "changes", comment("C_last")),
    ]
    entries.insert(place, as_bytes(value, ascii_only))
    body = b'{"object":"instagram","entry":[' + b",".join(entries) + b"]}"
    results = [result for _, some in BENCH.results(body) for result in some]
    BENCH.check(results)
    assert {"message:m_first", "comments:C_last"} <= keys(results)


@given(json_values, st.booleans())
def test_changed_parts_lose_no_neighbour(value: Any, ascii_only: bool) -> None:
    spoiled = as_bytes(value, ascii_only)
    for key, first, last, expected in (
        ("messaging", message("m_1"), message("m_2"), {"message:m_1", "message:m_2"}),
        ("changes", comment("C_1"), comment("C_2"), {"comments:C_1", "comments:C_2"}),
    ):
        item = Item(provider="instagram", route="1", raw=entry("1", key, first, spoiled, last))
        results = list(BENCH.connector.normalize(item, ACCOUNT))
        BENCH.check(results)
        assert expected <= keys(results)


@given(st.sampled_from(["comments", "mentions", "live_comments"]), json_values, st.booleans())
def test_any_value_of_a_change_is_read_or_said(field: str, value: Any, ascii_only: bool) -> None:
    change = as_bytes({"field": field, "value": value}, ascii_only)
    raw = entry("1", "changes", change)
    results = list(BENCH.connector.normalize(Item("instagram", "1", raw), ACCOUNT))
    BENCH.check(results)
    assert len(results) == 1


@given(st.sampled_from(FIXTURES), st.integers(0, 10**6), st.binary(max_size=3))
def test_cut_and_stained_deliveries_raise_nothing(path: Path, at: int, stain: bytes) -> None:
    body = path.read_bytes()
    at %= len(body)
    for form in (body[:at], body[:at] + stain + body[at + len(stain) :]):
        with contextlib.suppress(MalformedDelivery):
            BENCH.check([result for _, some in BENCH.results(form) for result in some])
