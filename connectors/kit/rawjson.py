"""Cutting JSON without parsing it, for bodies in which one part would hide its neighbours.

Parsers refuse a whole text for one lone surrogate, one nesting too deep, one missing bracket. Here
parts are told apart by brackets and quotes alone, without recursion.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What decoding raises for input that is not what it should be."""

_STRING: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_OPEN_STRING: Final = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?'
_BRACKETS: Final = re.compile(
    rb'(?:[^"\[\]{}]++|' + _OPEN_STRING + rb")*+([\[{]++|[\]}]++)", re.DOTALL
)
"""The next run of brackets of one kind, beyond whatever stands before it."""
_BRACKETS_OR_COMMA: Final = re.compile(
    rb'(?:[^"\[\]{},]++|' + _OPEN_STRING + rb")*+([\[{]++|[\]}]++|,)", re.DOTALL
)
_BAD: Final = re.compile(
    rb"\\u[dD][89abAB][\da-fA-F]{2}\\u[dD][c-fC-F][\da-fA-F]{2}"  # a pair: fine
    rb"|(\\u(?:[dD][89a-fA-F][\da-fA-F]{2}|0000)|\x00)"  # a lone surrogate, a NUL
    rb"|([\x01-\x1f])"  # a control character that should have been escaped
    rb"|\\.",
    re.DOTALL,
)
_DEEPEST: Final = 100
_SPACE: Final = b" \t\r\n"
_REPLACEMENT: Final = "\ufffd".encode()


def mend(raw: bytes) -> bytes:
    """`raw` with what parsers refuse in strings, and NUL, replaced by U+FFFD.

    That is bytes that are not UTF-8 and escapes of lone surrogates. Escapes are otherwise kept.
    """
    try:
        raw.decode()
    except UnicodeDecodeError:
        raw = raw.decode(errors="replace").encode()
    return _STRING.sub(lambda string: _BAD.sub(_mended, string[0]), raw)


def has_nul(raw: bytes) -> bool:
    """Whether text in `raw` may contain NUL; what `mend` returned contains none."""
    return b"\\u0000" in raw


def too_deep(raw: bytes) -> bool:
    """Whether `raw` nests deeper than readers further on should have to bear: 100 levels."""
    if raw.count(b"{") + raw.count(b"[") <= _DEEPEST:
        return False
    depth, at = 0, 0
    while token := _BRACKETS.match(raw, at):
        at = token.end()
        depth += _step(token[1])
        if depth > _DEEPEST:
            return True
    return False


def elements(raw: bytes) -> Iterator[bytes]:
    """The elements of the array `raw`, as they are; a truncated last one too.

    Raises `ValueError` when it is not an array, or when more follows it.
    """
    return _parts(raw, b"[")


def listed(raw: bytes) -> list[bytes]:
    """As `elements`; none for null, and whatever else is no array by itself."""
    if raw == b"null":
        return []
    try:
        return list(elements(raw))
    except ValueError:
        return [raw]


def members(raw: bytes) -> Iterator[tuple[str | None, bytes]]:
    """Key and value of the object `raw`, in order, duplicates too. Raises as `elements` does.

    What is no member, between commas, comes whole and with None for its key.
    """
    for part in _parts(raw, b"{"):
        key = _STRING.match(part)
        value = part[key.end() :].lstrip(_SPACE) if key else b""
        if key and value[:1] == b":":
            yield _text(key[0]), value[1:].strip(_SPACE)
        elif part:
            yield None, part


def whole(raw: bytes) -> Any:
    """`raw` to put into a message: as JSON, or as text where it is not JSON even when mended."""
    for form in () if too_deep(raw) else (raw, mend(raw)):
        try:
            msgspec.json.decode(form)
        except UNREADABLE:
            continue
        return msgspec.Raw(form)
    return raw.decode(errors="replace").replace("\x00", "\ufffd")


def _parts(raw: bytes, bracket: bytes) -> Iterator[bytes]:
    raw = raw.removeprefix(b"\xef\xbb\xbf").strip(_SPACE)
    if raw[:1] != bracket:
        raise ValueError("not an array" if bracket == b"[" else "not an object")
    depth, begin, at = 1, 1, 1
    while depth > 0:
        token = (_BRACKETS_OR_COMMA if depth == 1 else _BRACKETS).match(raw, at)
        if token is None:  # truncated
            break
        at = token.end()
        if token[1] == b",":
            yield raw[begin : at - 1].strip(_SPACE)
            begin = at
        else:
            depth += _step(token[1])
    if depth <= 0 and at + depth != len(raw):
        raise ValueError("more follows it")
    if last := raw[begin : len(raw) - (depth <= 0)].strip(_SPACE):
        yield last


def _step(brackets: bytes) -> int:
    return len(brackets) if brackets[0] in b"[{" else -len(brackets)


def _mended(found: re.Match[bytes]) -> bytes:
    if found[1]:
        return _REPLACEMENT
    if found[2]:
        return b"\\u%04x" % found[2][0]
    return found[0]


def _text(string: bytes) -> str:
    try:
        return msgspec.json.decode(mend(string), type=str)
    except UNREADABLE:
        return string.decode(errors="replace")
