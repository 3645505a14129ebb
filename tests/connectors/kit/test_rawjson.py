"""Cutting and mending JSON that a parser refuses."""

import contextlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.kit.rawjson import UNREADABLE, elements, has_nul, members, mend, too_deep, whole

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=12,
)
keys = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6)
layouts = st.sampled_from([{}, {"indent": 2}, {"separators": (",", ":")}, {"ensure_ascii": False}])


@given(st.lists(json_values), layouts)
def test_elements_are_what_a_parser_finds(values: list[Any], layout: dict[str, Any]) -> None:
    parts = [json.loads(part) for part in elements(json.dumps(values, **layout).encode())]
    assert parts == values


@given(st.dictionaries(keys, json_values), layouts)
def test_members_are_what_a_parser_finds(value: dict[str, Any], layout: dict[str, Any]) -> None:
    parts = {key: json.loads(part) for key, part in members(json.dumps(value, **layout).encode())}
    assert parts == value


@given(st.lists(json_values), st.integers(min_value=0))
def test_a_truncated_array_keeps_what_was_complete(values: list[Any], cut: int) -> None:
    text = json.dumps(values).encode()
    kept = list(elements(text[: 1 + cut % len(text)]))
    for value, part in zip(values, kept[:-1], strict=False):
        assert json.loads(part) == value


@given(st.binary(max_size=60))
def test_anything_is_cut_or_refused(raw: bytes) -> None:
    for form in (raw, b"[" + raw + b"]", b"{" + raw + b"}"):
        for cut in (elements, members):
            with contextlib.suppress(ValueError):
                list(cut(form))


def test_duplicate_keys_are_both_there() -> None:
    assert list(members(b'{"a":1, "a" : [2]}')) == [("a", b"1"), ("a", b"[2]")]


def test_keys_may_be_escaped() -> None:
    assert list(members(rb'{"\u0061\"":1,"\ud800":2}')) == [('a"', b"1"), ("\ufffd", b"2")]


@pytest.mark.parametrize("raw", [b"", b"5", b"{}", b"[1]2", b"[1],[2]", b"]", b'"[1]"'])
def test_what_is_no_array_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"not an array|more follows"):
        list(elements(raw))


@pytest.mark.parametrize("raw", [b"", b"5", b"[]", b'{"a":1}}'])
def test_what_is_no_object_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"not an object|more follows"):
        list(members(raw))


def test_what_is_no_member_is_kept_apart() -> None:
    raw = b'{"a":1,,1:2,"b","c" "d":3,"e":4}'
    strays = [b"1:2", b'"b"', b'"c" "d":3']
    assert list(members(raw)) == [("a", b"1"), *((None, it) for it in strays), ("e", b"4")]
    assert list(members(b"{,}")) == []


def test_nesting_needs_no_stack() -> None:
    deep = b"[" * 300_000 + b"]" * 300_000
    assert list(elements(b"[1," + deep + b",2]")) == [b"1", deep, b"2"]
    assert too_deep(deep)
    mixed = b'{"a":[' * 100_000
    assert list(elements(b"[1," + mixed)) == [b"1", mixed]
    assert too_deep(mixed)


def test_many_brackets_are_not_deep() -> None:
    assert not too_deep(b"[" + b"{}," * 1000 + b"{}]")
    assert not too_deep(b'["' + b"[" * 1000 + b'"]')


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (rb'"\ud800"', "\ufffd"),
        (rb'"\udc00\ud800x"', "\ufffd\ufffdx"),
        (rb'"\ud83d\ude00"', "\U0001f600"),
        (rb'"\ud83d\ud83d\ude00"', "\ufffd\U0001f600"),
        (rb'"\\ud800"', r"\ud800"),
        (rb'"\u0000a"', "\ufffda"),
        (rb'"\\u0000"', r"\u0000"),
        (b'"a\x00b"', "a\ufffdb"),
        (b'"a\nb"', "a\nb"),
        (b'"a\xffb"', "a\ufffdb"),
        (b'"\xed\xa0\x80"', "\ufffd\ufffd\ufffd"),
    ],
)
def test_text_is_mended(raw: bytes, text: str) -> None:
    assert msgspec.json.decode(mend(raw)) == text


@given(st.text(st.characters(codec=None)), st.booleans())
def test_what_is_mended_is_readable_and_clean(text: str, ascii_only: bool) -> None:
    raw = json.dumps([text], ensure_ascii=ascii_only).encode(errors="surrogatepass")
    (read,) = msgspec.json.decode(mend(raw))
    assert "\x00" not in read
    read.encode()
    if raw == mend(raw):
        assert read == text


@given(json_values)
def test_what_needs_no_mending_is_left_alone(value: Any) -> None:
    raw = json.dumps(value).encode()
    if not has_nul(raw):
        try:
            msgspec.json.decode(raw)
        except UNREADABLE:
            return
        assert mend(raw) == raw


@given(st.binary(max_size=80))
def test_anything_can_be_put_into_a_message(raw: bytes) -> None:
    read = json.loads(msgspec.json.encode(whole(raw)))
    msgspec.json.encode(read)


def test_the_whole_is_json_where_it_can_be() -> None:
    assert whole(b'{"a":1.50}') == msgspec.Raw(b'{"a":1.50}')
    assert whole(rb'["\ud800"]') == msgspec.Raw('["\ufffd"]'.encode())
    assert whole(b'{"a":NaN}') == '{"a":NaN}'
    assert whole(b"[" * 500) == "[" * 500
