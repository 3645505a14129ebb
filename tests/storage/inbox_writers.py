"""Inbox writers for tests: one in memory that can be slow or away, and what each has stored."""

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol

import sqlalchemy as sa

from contracts.errors import InvalidInput, StoreUnavailable
from storage.database import Database
from storage.inbox import NewItem, RunKey
from storage.schema import inbox
from tests.storage.rows import item

BAD: Final = item(provider="lone surrogate \ud800")
"""What no writer stores."""

Stored = tuple[int, bytes, int]
"""Id, run key and number of an item."""


class Ledger(Protocol):
    """What a writer has stored."""

    def __call__(self) -> list[Stored]: ...


class MemoryWriter:
    """A store in memory that can be slow or away; passes the real ones' contract."""

    def __init__(self) -> None:
        self.batches: list[Sequence[NewItem]] = []
        self.rows: list[Stored] = []
        self.away = False
        self.open, self.asked = asyncio.Event(), asyncio.Event()
        self.open.set()

    async def write(self, key: RunKey, items: Sequence[NewItem]) -> None:
        """As a database does."""
        self.batches.append(items)
        self.asked.set()
        await self.open.wait()
        if self.away:
            raise StoreUnavailable("away")
        if any(not _can_be_stored(one.provider) for one in items):
            raise InvalidInput("UnicodeEncodeError")
        self.rows += [(len(self.rows) + n, key.id, one.n) for n, one in enumerate(items, 1)]

    async def close(self) -> None:
        """There is nothing to let go of."""


def _can_be_stored(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def stored(database: Database) -> list[Stored]:
    """What is in a database's inbox."""
    rows = sa.select(inbox.c.id, inbox.c.run_key, inbox.c.n).order_by(inbox.c.id)
    with database.read() as connection:
        return [(row.id, row.run_key, row.n) for row in connection.execute(rows)]
