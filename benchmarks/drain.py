"""The drain of one worker process, against its work without a database and the database's alone."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import sqlalchemy as sa

from benchmarks.deliveries import StoredDeliveries, deliveries
from benchmarks.deployment import PROVIDER, Deployment, deployment
from benchmarks.figures import Figure, Row, alternate, at_least
from benchmarks.plan import Plan, broker
from connectors import registry
from storage.connections import Connection, Connections
from storage.drain import DrainStore
from storage.schema import inbox, messages
from storage.turns import Append, StoredItem
from tests.processes import eventually
from workers.normalizing import Normalizer
from workers.opening import ItemOpener

LANES: Final = range(0, 1024, 16)
"""64 lanes; the 1,000 Pages are chosen so that they lie in these."""
TENANTS: Final = 1_000
MESSAGES: Final = 30_000
SAMPLE: Final = 10_000
BATCH: Final = 1_000


def run(plan: Plan) -> Row:
    """For each database: the worker, its computing alone, and bare inserts, in turn."""
    figures: list[Figure] = []
    for kind in plan.databases:
        with contextlib.ExitStack() as stack:
            url = stack.enter_context(broker(kind))
            gateway = stack.enter_context(deployment(kind, broker_url=url))
            gateway.connect(TENANTS, LANES)
            bare = Bare(gateway, plan.amount(SAMPLE))
            measures = {
                "computing": bare.computing,
                "inserts": bare.inserts,
                "drain": stack.enter_context(drain(gateway, plan)),
            }
            found = alternate(measures, plan.rounds, plan.on(kind))
        figures += _figures(kind, found)
    return Row(figures=figures)


def _figures(kind: str, found: dict[str, list[float]]) -> Iterator[Figure]:
    yardsticks = {
        "computing": "computing alone",
        "inserts": "inserts alone",
    }
    for name, text in yardsticks.items():
        yield Figure(
            what=f"drain, one worker, {kind}",
            unit="messages/s",
            values=found["drain"],
            yardstick=text,
            yardstick_values=found[name],
            target=at_least(8_000) if kind == "postgresql" else None,
        )


@contextlib.contextmanager
def drain(gateway: Deployment, plan: Plan) -> Iterator[Callable[[], float]]:
    """A worker of `gateway`, and how to measure its messages/s."""
    count = plan.amount(MESSAGES)
    with gateway.worker() as worker:

        def measure() -> float:
            before = head(gateway)
            fill_inbox(gateway, count)
            eventually(lambda: worker.returncode or appended(gateway, before) >= count, 120, 0.2)
            return _rate(gateway, before)

        yield measure


def fill_inbox(gateway: Deployment, count: int) -> None:
    """Store `count` deliveries in one commit, so that a worker sees all or none of them."""
    stored = StoredDeliveries(gateway)
    stored.store(stored.items(list(deliveries(gateway, count, gateway.pages))))


def head(gateway: Deployment) -> int:
    """The log's last position."""
    with gateway.database.read() as connection:
        return connection.scalar(sa.select(sa.func.max(messages.c.position))) or 0


def appended(gateway: Deployment, after: int) -> int:
    """How many messages lie behind `after`."""
    with gateway.database.read() as connection:
        count = sa.select(sa.func.count()).where(messages.c.position > after)
        return connection.scalar(count) or 0


def _rate(gateway: Deployment, after: int) -> float:
    """From the first turn's append to the last one's: what the first one took is left out, and so
    are its messages.
    """
    at = messages.c.appended_at_ms
    turns = sa.select(at, sa.func.count()).where(messages.c.position > after).group_by(at)
    with gateway.database.read() as connection:
        found = [tuple(row) for row in connection.execute(turns.order_by(at))]
    assert len(found) > 1, "one turn took it all: measure more messages"
    counted: int = sum(count for _, count in found[1:])
    took_ms: int = found[-1][0] - found[0][0]
    return counted / took_ms * 1000


class Bare:
    """The drain's parts by themselves: what it computes, and what it writes."""

    def __init__(self, gateway: Deployment, count: int) -> None:
        fill_inbox(gateway, count)
        self._gateway = gateway
        self._vault = gateway.vault
        self._store = DrainStore(gateway.database)
        self._items = _all_items(gateway)
        gateway.parts.drainer.drain(LANES)
        self._known = self._connections()
        self._appends: list[Append] = []
        self.computing()
        with gateway.database.write() as connection:
            connection.execute(sa.text(_TABLE[gateway.is_postgresql]))

    def computing(self) -> float:
        """Messages/s opened, normalised and sealed in this thread."""
        opener = ItemOpener(self._store, self._vault)
        normalizer = Normalizer(self._vault, "http://localhost")
        connector = registry.build(self._gateway.environ).receiving[PROVIDER]
        began = time.perf_counter()
        self._appends = []
        for stored in self._items:
            item = opener.open(stored)
            connection = self._known[item.route]
            outcome = normalizer.normalize(item, stored.received_at_ms, connector, connection)
            self._appends += outcome.appends
        return len(self._appends) / (time.perf_counter() - began)

    def inserts(self) -> float:
        """Rows/s of the same messages, 1,000 a commit, into a table without deduplication."""
        insert = _copy if self._gateway.is_postgresql else _executemany
        began = time.perf_counter()
        for first in range(0, len(self._appends), BATCH):
            with self._gateway.database.write() as connection:
                driver: Any = connection.connection.driver_connection
                insert(driver.cursor(), self._appends[first : first + BATCH])
        return len(self._appends) / (time.perf_counter() - began)

    def _connections(self) -> dict[str, Connection]:
        accounts = {page.connection: page.account for page in self._gateway.pages}
        known = Connections(self._gateway.database).list()
        return {accounts[connection.id]: connection for connection in known}


def _all_items(gateway: Deployment) -> list[StoredItem]:
    columns = (inbox.c[name] for name in StoredItem._fields)
    with gateway.database.read() as connection:
        return [StoredItem(*row) for row in connection.execute(sa.select(*columns).limit(SAMPLE))]


_COLUMNS: Final = "tag, tenant, connection, type, day, hash, contact, appended_at_ms, sealed"
_TABLE: Final = {
    True: "CREATE TABLE bare_messages (LIKE messages INCLUDING ALL)",
    False: f"CREATE TABLE bare_messages (position INTEGER PRIMARY KEY AUTOINCREMENT, {_COLUMNS})",
}


def _values(rows: Sequence[Append]) -> list[tuple[Any, ...]]:
    tags = (int.from_bytes(os.urandom(7), "big") for _ in rows)
    return [
        (tag, r.tenant, r.connection, r.type, r.day, r.hash, r.contact, r.at_ms, r.sealed)
        for tag, r in zip(tags, rows, strict=True)
    ]


def _copy(cursor: Any, rows: Sequence[Append]) -> None:
    with cursor.copy(f"COPY bare_messages ({_COLUMNS}) FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types(["int8", *["text"] * 3, "int4", "bytea", "bytea", "int8", "bytea"])
        for row in _values(rows):
            copy.write_row(row)


def _executemany(cursor: Any, rows: Sequence[Append]) -> None:
    marks = ", ".join("?" * 9)
    cursor.executemany(f"INSERT INTO bare_messages ({_COLUMNS}) VALUES ({marks})", _values(rows))  # noqa: S608
