"""Fills a deployment with rows as if they had come in and been drained: inbox, keys and log."""

import itertools
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple

import msgspec
import psycopg
import sqlalchemy as sa

from benchmarks.deliveries import StoredDeliveries, text_delivery
from benchmarks.deployment import PROVIDER, Deployment
from benchmarks.drain import fill_inbox, head
from contracts.connector import Item
from storage import message_id
from storage.database import now_ms
from storage.drain import DrainStore
from storage.lanes import lane_of
from storage.log import EVERYTHING, MessageLog
from token_vault import Purpose, TenantKeys

CHUNK: Final = 20_000
CONTACTS: Final = 20

_INBOX: Final = ("day", "run_key", "lane", "provider", "n", "received_at_ms", "sealed")
_INBOX_TYPES: Final = ("int4", "bytea", "int2", "text", "int8", "int8", "bytea")
_DEDUPE: Final = ("day", "hash", "after", "kept_at_ms")
_DEDUPE_TYPES: Final = ("int4", "bytea", "int8", "int8")
_LOG: Final = (
    *("tag", "tenant", "connection", "type", "day"),
    *("hash", "contact", "appended_at_ms", "sealed"),
)
_LOG_TYPES: Final = ("int8", "text", "text", "text", "int4", "bytea", "bytea", "int8", "bytea")


class Template(NamedTuple):
    """One page's message, to be sealed again under other ids."""

    keys: TenantKeys
    tenant: str
    connection: str
    id: bytes
    content: bytes


def fill(gateway: Deployment, rows: int, progress: Callable[[str], None]) -> None:
    """Store `rows` handled items, deduplication keys and messages, all really sealed."""
    templates = _templates(gateway)
    with Bulk(gateway) as bulk:
        for first in range(0, rows, CHUNK):
            progress(f"filling: {first:,} of {rows:,} rows")
            count = min(CHUNK, rows - first)
            bulk.add("inbox", _INBOX, _INBOX_TYPES, _items(gateway, count))
            keyed = list(itertools.islice(_messages(templates, head(gateway)), count))
            bulk.add("dedupe", _DEDUPE, _DEDUPE_TYPES, sorted(key for key, _ in keyed))
            bulk.add("messages", _LOG, _LOG_TYPES, (row for _, row in keyed))
    with gateway.database.write() as connection:
        newest = "(SELECT max(id) FROM inbox)"
        connection.execute(sa.text(f"UPDATE leases SET mark = {newest} WHERE kind = 'lane'"))  # noqa: S608


def fill_log(gateway: Deployment, rows: int, progress: Callable[[str], None]) -> None:
    """Store `rows` messages, all really sealed, and nothing else."""
    templates = _templates(gateway)
    with Bulk(gateway) as bulk:
        for first in range(0, rows, CHUNK):
            progress(f"filling: {first:,} of {rows:,} messages")
            some = itertools.islice(_messages(templates, 0), min(CHUNK, rows - first))
            bulk.add("messages", _LOG, _LOG_TYPES, (row for _, row in some))


def _templates(gateway: Deployment) -> list[Template]:
    """Each page's message, as the drain made it."""
    log = MessageLog(gateway.database)
    after = log.head()
    fill_inbox(gateway, len(gateway.pages))
    store = DrainStore(gateway.database)
    while lanes := store.overdue_lanes():
        gateway.parts.drainer.drain(lanes)
    found = []
    connections = {page.tenant: page.connection for page in gateway.pages}
    while (page := log.read(after, 1000, EVERYTHING)).rows:
        after = page.next
        for row in page.rows:
            keys, sealed = gateway.vault.tenant(row.tenant), row.sealed or b""
            content = keys.open(Purpose.MESSAGE, message_id.seal_id(row.day, row.hash), sealed)
            name = message_id.pack(row.day, row.hash).encode()
            found.append(Template(keys, row.tenant, connections[row.tenant], name, content))
    return found


def _messages(
    templates: list[Template], after: int
) -> Iterator[tuple[tuple[Any, ...], tuple[Any, ...]]]:
    """Deduplication key and log row of new messages, the pages in turn, today and yesterday."""
    at = now_ms()
    contacts = [os.urandom(16) for _ in range(CONTACTS)]
    for number in itertools.count():
        page = templates[number % len(templates)]
        day, digest = at // 86_400_000 - number // len(templates) % 2, os.urandom(16)
        content = page.content.replace(page.id, message_id.pack(day, digest).encode(), 1)
        sealed = page.keys.seal(Purpose.MESSAGE, message_id.seal_id(day, digest), content)
        tag = int.from_bytes(os.urandom(7), "big")
        contact = contacts[number % CONTACTS]
        who = (page.tenant, page.connection)
        row = (tag, *who, "message.received", day, digest, contact, at, sealed)
        yield (day, digest, after, at), row


def _items(gateway: Deployment, count: int) -> Iterator[tuple[Any, ...]]:
    """Inbox rows of deliveries for the pages in turn."""
    stored = StoredDeliveries(gateway)
    run, at = stored.run_key, now_ms()
    with gateway.database.write() as connection:
        key = sa.text("INSERT INTO run_keys (id, day, wrapped) VALUES (:id, :day, :wrapped)")
        connection.execute(key, run._asdict())
    bodies = [text_delivery(page.account, "7000000", "hello") for page in gateway.pages]
    items = [Item(PROVIDER, p.account, b) for p, b in zip(gateway.pages, bodies, strict=True)]
    for number in range(count):
        item = items[number % len(items)]
        n, sealed = stored.seal(msgspec.msgpack.encode(item))
        yield run.day, run.id, lane_of(PROVIDER, item.route), PROVIDER, n, at, sealed


class Bulk:
    """Adds many rows to a table: COPY on PostgreSQL, one transaction of inserts on SQLite."""

    def __init__(self, gateway: Deployment) -> None:
        self._postgresql = gateway.is_postgresql
        if self._postgresql:
            self._driver: Any = psycopg.connect(gateway.settings.database, autocommit=True)
        else:
            self._driver = sqlite3.connect(gateway.settings.data_dir / "gateway.db")

    def __enter__(self) -> "Bulk":
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the tables as upkeep and autovacuum would, so that neither runs beside a
        measurement.
        """
        self._driver.execute(
            "VACUUM ANALYZE" if self._postgresql else "PRAGMA wal_checkpoint(TRUNCATE)"
        )
        self._driver.close()

    def add(
        self,
        table: str,
        columns: Iterable[str],
        types: Iterable[str],
        rows: Iterable[tuple[Any, ...]],
    ) -> None:
        """Add and commit `rows`."""
        into = f"{table} ({', '.join(columns)})"
        if not self._postgresql:
            marks = ", ".join("?" for _ in types)
            with self._driver:
                self._driver.executemany(f"INSERT INTO {into} VALUES ({marks})", rows)  # noqa: S608
            return
        with self._driver.cursor().copy(f"COPY {into} FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(list(types))
            for row in rows:
                copy.write_row(row)
