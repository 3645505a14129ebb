"""Reads queries, paths and JSON bodies into typed structs; the unreadable is `InvalidInput`."""

import re
from collections.abc import Mapping
from typing import Any, Final, TypeVar, get_args, get_origin
from urllib.parse import parse_qsl

import msgspec

from contracts.errors import InvalidInput

S = TypeVar("S", bound=msgspec.Struct)

_MOST_PAIRS: Final = 100
_LONGEST_WORD: Final = 19
_QUOTED: Final = re.compile(r"(enum value|unknown field) (.)(.*)\2(?: - at|$)", re.DOTALL)


def parse_pairs(query_string: bytes) -> list[tuple[str, str]]:
    """A query's names and values in order. Raises `InvalidInput` unless they are UTF-8 text."""
    try:
        text = query_string.decode("ascii")
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_MOST_PAIRS)
    except ValueError:  # UnicodeDecodeError is one too
        raise InvalidInput("query: not percent-encoded UTF-8, or too long") from None
    if any("\x00" in name or "\x00" in value for name, value in pairs):
        raise InvalidInput("query: NUL is not text")
    return pairs


def parse_query(kind: type[S], query_string: bytes) -> S:
    """Fill `kind` from a query; fields that are lists may be repeated or hold commas.

    Raises `InvalidInput` for what is unknown, repeated or of another type, naming the parameter.
    """
    lists = {field.encode_name for field in msgspec.structs.fields(kind) if _is_list(field.type)}
    values: dict[str, Any] = {}
    for name, value in parse_pairs(query_string):
        if name in lists:
            values.setdefault(name, []).extend(value.split(","))
        elif name in values:
            raise InvalidInput(f"query: {_shown(_short(name))} is given twice")
        else:
            values[name] = value
    return _convert(kind, values, "query")


def parse_path(kind: type[S], values: Mapping[str, str]) -> S:
    """Fill `kind` from a path's parts. Raises `InvalidInput`."""
    if _has_nul(list(values.values())):
        raise InvalidInput("path: NUL is not text")
    return _convert(kind, dict(values), "path")


def parse_headers(kind: type[S], headers: Mapping[str, str]) -> S:
    """Fill `kind` from a request's headers, of which it names some. Raises `InvalidInput`."""
    names = [field.encode_name for field in msgspec.structs.fields(kind)]
    return _convert(kind, {name: headers[name] for name in names if name in headers}, "header")


def parse_body(kind: type[S], body: bytes) -> S:
    """Decode a JSON body. Raises `InvalidInput`; no part of the body is in its text."""
    try:
        decoded = msgspec.json.decode(body or b"{}", type=kind)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidInput(f"body: {_reason(error)}") from None
    if _has_nul(msgspec.to_builtins(decoded)):
        raise InvalidInput("body: NUL is not text")
    return decoded


def _convert(kind: type[S], values: dict[str, Any], part: str) -> S:
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"{part}: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    """msgspec says types, bounds and field names; an unknown field's name is the caller's own."""
    return (
        _shown(_unquoted(str(error))) if isinstance(error, msgspec.DecodeError) else "not readable"
    )


def _unquoted(text: str) -> str:
    """msgspec quotes the caller's own words of enumerations and unknown fields; long ones are not
    told back: a key or token may stand in the wrong place, and answers are logged elsewhere.
    """
    found = _QUOTED.search(text)
    if found is None:
        return text
    return f"{text[: found.start(3)]}{_short(found[3])}{text[found.end(3) :]}"


def _short(word: str) -> str:
    return word if len(word) <= _LONGEST_WORD else "…"


def _shown(text: str) -> str:
    return text.encode("ascii", "backslashreplace").decode()[:200]


def _is_list(kind: Any) -> bool:
    origin = get_origin(kind) or kind
    return origin in (list, tuple) or any(_is_list(part) for part in _parts(kind))


def _parts(kind: Any) -> tuple[Any, ...]:
    return get_args(kind)[:1] if hasattr(kind, "__metadata__") else ()


def _has_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\x00" in value
    if isinstance(value, dict):
        return any(_has_nul(part) for pair in value.items() for part in pair)
    return isinstance(value, list | tuple) and any(map(_has_nul, value))
