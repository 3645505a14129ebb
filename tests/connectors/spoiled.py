"""Deliveries with something wrong in them, for property tests of every connector."""

import json
from typing import Any

from hypothesis import strategies as st

TIME = 1795338000123

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
def mutated(draw: st.DrawFn, samples: list[Any]) -> Any:
    """One of `samples` with one or two values replaced, wrapped or removed."""
    value = draw(st.sampled_from(samples))
    for _ in range(draw(st.integers(1, 2))):
        if found := places(value):
            how = draw(st.sampled_from(["replace", "wrap", "remove"]))
            value = changed(value, draw(st.sampled_from(found)), how, draw(json_values))
    return value


def as_bytes(value: Any, ascii_only: bool) -> bytes:
    return json.dumps(value, ensure_ascii=ascii_only).encode(errors="surrogatepass")
