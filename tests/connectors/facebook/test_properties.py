"""Whatever a delivery holds, nothing raises and no neighbour is lost."""

import contextlib
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import MalformedDelivery
from tests.connectors.facebook.deliveries import (
    BENCH,
    FIRST,
    LAST,
    TIME,
    check,
    entry,
    mids,
    normalize,
)
from tests.connectors.samples import fixtures

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=10**18, max_value=10**60)
    | st.floats()
    | st.text(st.characters(codec=None), max_size=8)
    | st.sampled_from(["id", TIME, TIME // 1000, str(TIME), "9" * 5000, 10**4000]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)
SAMPLES = [
    json.loads(path.read_bytes())["entry"][0]
    for path in fixtures(BENCH.fixtures)
    if "several_pages" not in path.name
]


def places(value: Any, *way: Any) -> list[tuple[Any, ...]]:
    """Paths to every value inside `value`."""
    if not isinstance(value, dict | list):
        return []
    found: list[tuple[Any, ...]] = []
    for key, part in value.items() if isinstance(value, dict) else enumerate(value):
        found += [(*way, key), *places(part, *way, key)]
    return found


def changed(value: Any, path: tuple[Any, ...], how: str, new: Any) -> Any:
    copy = json.loads(json.dumps(value))
    *way, last = path
    inner = copy
    for key in way:
        inner = inner[key]
    if how == "remove":
        del inner[last]
    elif how == "wrap":
        inner[last] = [inner[last], new]
    else:
        inner[last] = new
    return copy


@st.composite
def mutated(draw: st.DrawFn) -> Any:
    """A fixture's entry with one or two values replaced, wrapped or removed."""
    value = draw(st.sampled_from(SAMPLES))
    for _ in range(draw(st.integers(1, 2))):
        if found := places(value):
            how = draw(st.sampled_from(["replace", "wrap", "remove"]))
            value = changed(value, draw(st.sampled_from(found)), how, draw(json_values))
    return value


def as_bytes(value: Any, ascii_only: bool) -> bytes:
    return json.dumps(value, ensure_ascii=ascii_only).encode(errors="surrogatepass")


@given(mutated(), st.booleans())
def test_changed_entries_raise_nothing(value: Any, ascii_only: bool) -> None:
    check(normalize(as_bytes(value, ascii_only)))


@given(mutated(), st.booleans(), st.integers(0, 2))
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


@given(st.sampled_from(fixtures(BENCH.fixtures)))
def test_seconds_and_milliseconds_are_the_same_happening(path: Any) -> None:
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
