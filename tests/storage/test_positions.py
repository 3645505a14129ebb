"""No reader skips: positions and inbox ids become visible in their order, however slow a commit."""

import asyncio
import random
import threading
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa

from storage import drain_sql
from storage.cursors import BEGINNING
from storage.database import Database
from storage.drain import DrainStore
from storage.inbox import InboxWriter, NewItem, RunKey
from storage.inbox_writers import PostgresqlWriter, SqliteWriter
from storage.leases import LANE, Leases
from storage.log import Filter, MessageLog
from storage.schema import inbox, messages
from storage.turns import Append, Turn
from tests.storage.rows import append, item, run_key

WRITERS = 8
TURNS = 30
SLOWEST_S = 0.02


class SlowPostgresql(drain_sql.Postgresql):
    """Commits long after it has assigned positions, now and then."""

    def append(
        self, connection: sa.Connection, rows: Sequence[Append], tags: Sequence[int], at_ms: int
    ) -> None:
        """As the real one, and a pause before the commit."""
        super().append(connection, rows, tags, at_ms)
        _dawdle()


class SlowSqlite(drain_sql.Sqlite):
    """Commits long after it has assigned positions, now and then."""

    def append(
        self, connection: sa.Connection, rows: Sequence[Append], tags: Sequence[int], at_ms: int
    ) -> None:
        """As the real one, and a pause before the commit."""
        super().append(connection, rows, tags, at_ms)
        _dawdle()


class PlainSerial(SlowPostgresql):
    """The same without the lock: what a serial column does by itself."""

    _APPEND = SlowPostgresql._APPEND.replace("pg_advisory_xact_lock", "abs")  # type: ignore[misc]


def _dawdle() -> None:
    if random.random() < 0.5:
        time.sleep(random.uniform(0, SLOWEST_S))


@pytest.mark.parametrize("only", [Filter(), Filter(tenant="acme")], ids=["all", "filtered"])
def test_a_reader_never_skips(connected: Database, only: Filter) -> None:
    slow = SlowPostgresql() if connected.is_postgresql else SlowSqlite()
    read, written = _race(connected, slow, only)
    assert len(written) >= WRITERS * TURNS
    assert read == written


@pytest.mark.postgres
def test_a_plain_serial_does_skip(postgres: Database, connected_postgres: None) -> None:
    read, written = _race(postgres, PlainSerial(), Filter())
    assert set(read) < set(written), "the harness would not notice a skip"


def _race(database: Database, sql: drain_sql.DrainSql, only: Filter) -> tuple[list[int], list[int]]:
    """What a reader saw that followed the cursor all the while, and what is there at the end."""
    done = threading.Event()
    with ThreadPoolExecutor(WRITERS + 1) as threads:
        reader = threads.submit(_follow, MessageLog(database), only, done)
        writers = [threads.submit(_write, database, sql) for _ in range(WRITERS)]
        try:
            for writer in writers:
                writer.result()
        finally:
            done.set()
        read = reader.result()
    with database.read() as connection:
        written = connection.scalars(sa.select(messages.c.position).order_by(messages.c.position))
        return read, list(written)


def _write(database: Database, sql: drain_sql.DrainSql) -> None:
    store = DrainStore(database)
    store._sql = sql
    for _ in range(TURNS):
        store.write(Turn(appends=[append() for _ in range(random.randint(1, 3))]))


def _follow(log: MessageLog, only: Filter, done: threading.Event) -> list[int]:
    found: list[int] = []
    cursor = BEGINNING
    while True:
        was_done = done.is_set()
        page = log.read(cursor, 100, only)
        found += [row.position for row in page.rows]
        cursor = page.next
        if was_done and not page.rows:
            return found


class PlainWriter(PostgresqlWriter):
    """Stores items as anyone would: ids come from a sequence, and nothing orders the commits."""

    async def write(self, key: RunKey, items: Sequence[NewItem]) -> None:
        """One plain statement a batch."""
        connection: Any = await self._connected()
        columns = list(zip(*items, strict=True))
        statement = """
            INSERT INTO inbox (day, run_key, lane, provider, n, received_at_ms, sealed)
            SELECT $1, $2, i.* FROM unnest($3::smallint[], $4::text[], $5::bigint[], $6::bigint[],
                                           $7::bytea[]) AS i
        """
        await connection.execute(statement, key.day, key.id, *columns)


@pytest.mark.postgres
def test_a_drains_mark_never_passes_an_uncommitted_item(postgres: Database) -> None:
    _make_inbox_commits_slow(postgres)
    drained, stored = _ingest(postgres, lambda: PostgresqlWriter(postgres.url))
    assert drained == stored


@pytest.mark.postgres
def test_a_plain_insert_is_passed_by_the_mark(postgres: Database) -> None:
    _make_inbox_commits_slow(postgres)
    drained, stored = _ingest(postgres, lambda: PlainWriter(postgres.url))
    assert set(drained) < set(stored), "the harness would not notice a skip"


def test_marks_follow_commits_with_the_embedded_default(sqlite_database: Database) -> None:
    drained, stored = _ingest(sqlite_database, lambda: SqliteWriter(sqlite_database.url))
    assert drained == stored


def _make_inbox_commits_slow(database: Database) -> None:
    """A pause between the ids' assignment and the commit, in the database itself."""
    with database.write() as connection:
        connection.exec_driver_sql(
            "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$BEGIN PERFORM pg_sleep(random() * {SLOWEST_S}); RETURN NULL; END$$"
        )
        connection.exec_driver_sql(
            "CREATE TRIGGER dawdle AFTER INSERT ON inbox"
            " FOR EACH STATEMENT EXECUTE FUNCTION dawdle()"
        )


def _ingest(database: Database, writer: Callable[[], InboxWriter]) -> tuple[list[int], list[int]]:
    """What a drain met that moved lane 1's mark all the while, and what is there at the end."""
    done = threading.Event()
    with ThreadPoolExecutor(1) as threads:
        drain = threads.submit(_move_the_mark, database, done)
        try:
            asyncio.run(_store_from_all([writer() for _ in range(WRITERS)]))
        finally:
            done.set()
        drained = drain.result()
    with database.read() as connection:
        return drained, list(connection.scalars(sa.select(inbox.c.id).order_by(inbox.c.id)))


async def _store_from_all(writers: Collection[InboxWriter]) -> None:
    async def store(writer: InboxWriter, name: int) -> None:
        for _ in range(TURNS):
            await writer.write(run_key(name), [item() for _ in range(random.randint(1, 3))])
        await writer.close()

    await asyncio.gather(*(store(writer, name) for name, writer in enumerate(writers)))


def _move_the_mark(database: Database, done: threading.Event) -> list[int]:
    store, leases = DrainStore(database), Leases(database)
    (lease,) = leases.take(LANE, ["1"])
    found: list[int] = []
    while True:
        was_done = done.is_set()
        waiting = store.waiting([lease], 50)
        if waiting:
            mark = waiting[-1].id
            store.write(Turn([lease], [mark]))
            lease = lease._replace(mark=mark)
            found += [stored.id for stored in waiting]
        elif was_done:
            return found
