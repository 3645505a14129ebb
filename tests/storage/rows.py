"""Rows of a store without content: what the storage does with them does not depend on it."""

import hashlib
import itertools

import sqlalchemy as sa

from storage import partitions, schema
from storage.connections import Connection, Connections
from storage.database import Database, now_ms
from storage.drain import DrainStore
from storage.inbox import NewItem, RunKey
from storage.leases import LANE, Leases
from storage.outbox import Send
from storage.partitions import today
from storage.turns import Append, Turn

LONG_AGO = 9
"""Days; items are kept for seven."""

_numbers = itertools.count(1)


def digest(*parts: object) -> bytes:
    """16 bytes that stand for a keyed hash."""
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).digest()


def add_connection(
    database: Database, name: str, tenant: str, status: str = "active"
) -> Connection:
    """A connection with the route `digest(name)`, which receives everything."""
    row = Connection(
        id=name,
        tenant=tenant,
        provider="facebook",
        account=digest("account", name),
        sealed=b"details",
        status=status,
        status_reason="",
        created_at_ms=now_ms(),
        changed_at_ms=now_ms(),
        receives_from_ms=0,
    )
    return Connections(database).add(row, [digest(name)], None)


def append(
    key: object = None,
    *,
    connection: str = "con_a",
    tenant: str = "acme",
    kind: str = "message.received",
    contact: bytes | None = None,
    at_ms: int | None = None,
) -> Append:
    """A message to log; without `key` one that was never there."""
    return Append(
        tenant=tenant,
        connection=connection,
        type=kind,
        day=today(),
        hash=digest("key", next(_numbers) if key is None else key),
        contact=contact,
        at_ms=now_ms() if at_ms is None else at_ms,
        sealed=b"sealed",
    )


def item(lane: int = 1, *, provider: str = "facebook", sealed: bytes = b"sealed") -> NewItem:
    """An item for the inbox."""
    return NewItem(lane, provider, next(_numbers), now_ms(), sealed)


def run_key(name: object = "run", day: int | None = None) -> RunKey:
    """A run key of today."""
    return RunKey(digest(name), today() if day is None else day, b"wrapped")


def add_items(
    database: Database, count: int, *, lane: int = 1, day: int | None = None
) -> list[int]:
    """Store items as a writer does; their ids."""
    day = today() if day is None else day
    values = {
        "day": day,
        "lane": lane,
        "provider": "facebook",
        "run_key": digest("run", day),
        "n": 1,
        "received_at_ms": day * 86_400_000,
        "sealed": b"sealed",
    }
    with database.write() as connection:
        statement = sa.insert(schema.inbox).returning(schema.inbox.c.id)
        return [connection.scalar(statement, values) for _ in range(count)]


def count(database: Database, table: sa.Table) -> int:
    """How many rows a table has."""
    with database.read() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0


def partition_names(database: Database, table: str) -> set[str]:
    """A table's partitions."""
    with database.read() as connection:
        return set(partitions.attached(connection, table))


def make_day(database: Database, day: int) -> None:
    """The inbox's partition of a day that is over."""
    if database.is_postgresql:
        with database.write() as connection:
            partitions.attach_new(connection, "inbox", (f"d{day}", day, day + 1))


def old_day(database: Database) -> tuple[int, list[int]]:
    """A day long ago with its run key and three items, which wait in lane 1; its number, theirs."""
    day = today() - LONG_AGO
    make_day(database, day)
    items = add_items(database, 3, day=day)
    key = run_key(("run", day), day)
    with database.write() as connection:
        connection.execute(sa.insert(schema.run_keys).values(**key._asdict()))
    return day, items


def drain_up_to(database: Database, mark: int, rest: Turn = Turn()) -> None:
    """Move the mark of lane 1, and write `rest`."""
    (lease,) = Leases(database).take(LANE, ["1"])
    turn = rest._replace(leases=[lease], marks=[mark], release=True)
    DrainStore(database).write(turn)


def new_send(id_: str, key: str = "", line: str = "cnv_1", request: str = "") -> Send:
    """A send of `acme`, just drafted: its key is its id unless another is given."""
    at_ms = now_ms()
    return Send(
        id=id_,
        tenant="acme",
        connection="con_a",
        line=line,
        number=0,
        conversation=line,
        contact=None,
        scope="acme",
        key=digest("key", key or id_),
        request=digest("request", request),
        state="queued",
        attempts=0,
        reason="",
        code="",
        detail="",
        message=None,
        said=False,
        until_ms=at_ms + 1_000,
        created_at_ms=at_ms,
        changed_at_ms=at_ms,
        sealed=b"x",
    )
