"""Whatever a delivery holds, nothing raises and no neighbour is lost."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import MalformedDelivery
from tests.connectors.facebook.deliveries import (
    BENCH,
    FIRST,
    LAST,
    check,
    entry,
    mids,
    normalize,
)
from tests.connectors.samples import fixtures
from tests.connectors.spoiled import as_bytes, json_values, mutated

SAMPLES = [
    json.loads(path.read_bytes())["entry"][0]
    for path in fixtures(BENCH.fixtures)
    if "several_pages" not in path.name
]


@given(mutated(SAMPLES), st.booleans())
def test_changed_entries_raise_nothing(value: Any, ascii_only: bool) -> None:
    check(normalize(as_bytes(value, ascii_only)))


@given(mutated(SAMPLES), st.booleans(), st.integers(0, 2))
def test_changed_entries_lose_no_neighbour(value: Any, ascii_only: bool, place: int) -> None:
    entries = [entry(FIRST, page=b'"77"'), entry(LAST, page=b'"78"')]
    entries.insert(place, as_bytes(value, ascii_only))
    body = b'{"object":"page","entry":[' + b",".join(entries) + b"]}"
    results = [result for _, some in BENCH.results(body) for result in some]
    check(results)
    assert {"m_first", "m_last"} <= set(mids(results))


@given(json_values, st.booleans())
def test_changed_updates_lose_no_neighbour(value: Any, ascii_only: bool) -> None:
    results = normalize(entry(FIRST, as_bytes(value, ascii_only), LAST))
    check(results)
    assert {"m_first", "m_last"} <= set(mids(results))


@given(st.binary(max_size=200))
def test_any_bytes_raise_nothing(raw: bytes) -> None:
    check(normalize(raw))
    with contextlib.suppress(MalformedDelivery):
        check([result for _, some in BENCH.results(raw) for result in some])


@given(st.sampled_from(fixtures(BENCH.fixtures)), st.integers(0, 10**6), st.binary(max_size=3))
def test_cut_and_stained_deliveries_raise_nothing(path: Any, at: int, stain: bytes) -> None:
    body = path.read_bytes()
    at %= len(body)
    for form in (body[:at], body[:at] + stain + body[at + len(stain) :]):
        with contextlib.suppress(MalformedDelivery):
            check([result for _, some in BENCH.results(form) for result in some])


@pytest.mark.parametrize("path", fixtures(BENCH.fixtures), ids=lambda path: path.stem)
def test_seconds_and_milliseconds_are_the_same_happening(path: Path) -> None:
    """Redelivered in the other unit, an event keeps its key, as far as the unit can tell."""

    def at(ms: bool) -> list[str]:
        def time(value: int) -> int:
            seconds = value // 1000 if value > 10**11 else value
            return seconds * 1000 if ms else seconds

        body = json.loads(
            path.read_bytes(),
            parse_int=lambda digits: (
                time(int(digits)) if digits.startswith("1795") else int(digits)
            ),
        )
        return [event.key for event in BENCH.events(json.dumps(body).encode())]

    assert [key for key in at(True) if "unrecognized" not in key] == [
        key for key in at(False) if "unrecognized" not in key
    ]
