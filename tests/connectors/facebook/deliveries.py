"""Deliveries made for a test, and what must hold for whatever becomes of them."""

import json
from collections.abc import Iterator
from typing import Any

import jsonschema_rs

from contracts.connector import Event, Item, Unreadable
from contracts.content import MessageReceived
from contracts.messages import decode, encode
from tests.connectors.samples import ACCOUNT, BENCHES, SCHEMAS, Result

BENCH = BENCHES["facebook"]
TIME = 1795338000123


def update(**fields: Any) -> dict[str, Any]:
    base = {"sender": {"id": "9988"}, "recipient": {"id": "1"}, "timestamp": TIME}
    return {**base, **fields}


def message(mid: str, **fields: Any) -> bytes:
    return json.dumps(update(message={"mid": mid, **fields})).encode()


def entry(*updates: bytes, key: bytes = b"messaging", page: bytes = b'"1"') -> bytes:
    return b'{"id":%b,"time":%d,"%b":[%b]}' % (page, TIME, key, b",".join(updates))


def normalize(raw: bytes) -> list[Result]:
    item = Item(provider="facebook", route="1", raw=raw)
    return list(BENCH.connector.normalize(item, ACCOUNT))


def check(results: list[Result]) -> None:
    """Every result can be written, read and told apart; errors hold no content."""
    for result in results:
        if isinstance(result, Unreadable):
            assert result.kind
            assert result.error
        else:
            written = encode(BENCH.message(result))
            jsonschema_rs.validate(SCHEMAS[result.content.type], json.loads(written))
            assert not any("\0" in text for text in texts(json.loads(written)))
            assert decode(written).type == f"cleverbox.{result.content.type}"
            result.key.encode()
            (result.contact or "").encode()


def texts(value: Any) -> Iterator[str]:
    """Every text in `value`, keys too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in (*value, *value.values()) if isinstance(value, dict) else value:
            yield from texts(part)


def mids(results: list[Result]) -> list[str]:
    return [
        result.content.message_id
        for result in results
        if isinstance(result, Event) and isinstance(result.content, MessageReceived)
    ]


FIRST, LAST = message("m_first", text="before"), message("m_last", text="after")
