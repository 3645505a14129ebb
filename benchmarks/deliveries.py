"""Deliveries as Meta sends them: signed, each of one text message, all different."""

import asyncio
import hashlib
import hmac
import itertools
import json
import random
import time
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from benchmarks.deployment import Deployment, Page
from contracts.connector import Delivery
from storage.database import now_ms
from storage.inbox import NewItem, RunKey
from storage.inbox_writers import inbox_writer
from storage.lanes import lane_of
from token_vault import RunSealer

_numbers: Final = itertools.count(1)
_WORDS: Final = (
    "when",
    "can you",
    "deliver",
    "the blue one",
    "to our",
    "office",
    "please",
    "today",
)


class Signed(NamedTuple):
    """A body and its `X-Hub-Signature-256`."""

    signature: str
    body: bytes


def deliveries(deployment: Deployment, count: int, pages: Sequence[Page]) -> Iterator[Signed]:
    """`count` deliveries over `pages` in turn, sent by 20 contacts of each."""
    chance = random.Random(7)
    key = deployment.app_secret.encode()
    for number in range(count):
        page = pages[number % len(pages)]
        words = " ".join(chance.choices(_WORDS, k=chance.randint(2, 16)))
        body = text_delivery(page.account, str(7_000_000 + chance.randrange(20)), words)
        yield Signed(sign(key, body), body)


def text_delivery(page: str, contact: str, words: str) -> bytes:
    """A delivery of one new message, about 400 bytes."""
    at_ms = time.time_ns() // 1_000_000
    event = {
        "sender": {"id": contact},
        "recipient": {"id": page},
        "timestamp": at_ms,
        "message": {"mid": f"m_{next(_numbers):012d}{'x' * 80}", "text": words},
    }
    entry = {"id": page, "time": at_ms, "messaging": [event]}
    return json.dumps({"object": "page", "entry": [entry]}, separators=(",", ":")).encode()


def sign(key: bytes, body: bytes) -> str:
    return f"sha256={hmac.new(key, body, hashlib.sha256).hexdigest()}"


def write_file(path: Path, signed: Sequence[Signed]) -> None:
    """One delivery a line, signature and body apart by a tab: what the load generators read."""
    path.write_bytes(b"".join(b"%b\t%b\n" % (x.signature.encode(), x.body) for x in signed))


class StoredDeliveries:
    """Puts deliveries into the inbox as the edge does, faster than it could receive them."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._sealer: RunSealer = deployment.vault.run_sealer(date.fromordinal(_EPOCH + _today()))

    def items(self, signed: Sequence[Signed]) -> list[NewItem]:
        """The sealed rows of `signed`."""
        endpoint, at, rows = self._deployment.endpoint, now_ms(), []
        for one in signed:
            verified = endpoint.verify(Delivery({"x-hub-signature-256": one.signature}, one.body))
            for item in endpoint.split(verified):
                n, sealed = self._sealer.seal(msgspec.msgpack.encode(item))
                lane = lane_of(item.provider, item.route)
                rows.append(NewItem(lane, item.provider, n, at, sealed))
        return rows

    def seal(self, plaintext: bytes) -> tuple[int, bytes]:
        """One item under this run's key: its number and the sealed bytes."""
        return self._sealer.seal(plaintext)

    @property
    def run_key(self) -> RunKey:
        return RunKey(self._sealer.id, _today(), self._sealer.wrapped)

    def store(self, rows: Sequence[NewItem]) -> None:
        """Commit `rows` in their order, all at once."""
        asyncio.run(self._store(rows))

    async def _store(self, rows: Sequence[NewItem]) -> None:
        writer = inbox_writer(self._deployment.settings.database)
        await writer.write(self.run_key, rows)
        await writer.close()


_EPOCH: Final = date(1970, 1, 1).toordinal()


def _today() -> int:
    return now_ms() // 86_400_000
