"""Deliveries made for a test."""

import json
from typing import Any

from contracts.connector import Event, Item
from contracts.content import MessageReceived
from tests.connectors.samples import ACCOUNT, BENCHES, Result

BENCH = BENCHES["facebook"]
check = BENCH.check
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


def mids(results: list[Result]) -> list[str]:
    return [
        result.content.message_id
        for result in results
        if isinstance(result, Event) and isinstance(result.content, MessageReceived)
    ]


FIRST, LAST = message("m_first", text="before"), message("m_last", text="after")
