"""The two inbox writers: asyncpg for PostgreSQL, a thread with its own connection for SQLite."""

import asyncio
import sqlite3
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from contracts.errors import InvalidInput, StoreUnavailable
from storage.database import prepare_sqlite
from storage.inbox import InboxWriter, NewItem, RunKey
from storage.turn import Turn

INBOX_LOCK: Final = 7_215_003
"""Advisory lock that makes ids follow the order of commits: a lane's mark must never pass an id
that another edge process has yet to commit."""
COMMAND_TIMEOUT_S: Final = 3.0

_PG_RUN_KEY: Final = (
    "INSERT INTO run_keys (id, day, wrapped) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"
)
_PG_ITEMS: Final = """
WITH held AS MATERIALIZED (SELECT pg_advisory_xact_lock($1))
INSERT INTO inbox (day, run_key, lane, provider, n, received_at_ms, sealed)
SELECT $2, $3, i.lane, i.provider, i.n, i.received_at_ms, i.sealed
FROM held, unnest($4::smallint[], $5::text[], $6::bigint[], $7::bigint[], $8::bytea[])
     AS i(lane, provider, n, received_at_ms, sealed)
"""
_LITE_RUN_KEY: Final = "INSERT OR IGNORE INTO run_keys (id, day, wrapped) VALUES (?, ?, ?)"
_LITE_ITEM: Final = "INSERT INTO inbox (day, run_key, lane, provider, n, received_at_ms, sealed)"
_LITE_ITEMS: Final = {
    rows: f"{_LITE_ITEM} VALUES {', '.join(['(?, ?, ?, ?, ?, ?, ?)'] * rows)}"
    for rows in (64, 32, 16, 8, 4, 2, 1)
}
"""By how many rows they insert. The driver lets go of the interpreter at every step of a statement,
and a busy event loop is slow to hand it back: the fewer steps, the faster."""


def inbox_writer(url: str) -> InboxWriter:
    """The writer for a database URL; connects on first use."""
    return SqliteWriter(url) if url.startswith("sqlite") else PostgresqlWriter(url)


class PostgresqlWriter:
    """One asyncpg connection: 0.86 of a no-op endpoint's speed, psycopg's asynchronous one 0.65."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: Any = None
        self._known: set[bytes] = set()

    async def write(self, key: RunKey, items: Sequence[NewItem]) -> None:
        import asyncpg

        try:
            connection = await self._connected()
            if key.id not in self._known:
                await connection.execute(_PG_RUN_KEY, *key)
                self._known.add(key.id)
            lanes, providers, numbers, times, sealed = zip(*items, strict=True)
            await connection.execute(
                _PG_ITEMS, INBOX_LOCK, key.day, key.id, lanes, providers, numbers, times, sealed
            )
        except (asyncpg.DataError, asyncpg.CharacterNotInRepertoireError) as error:
            raise InvalidInput(type(error).__name__) from None
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            await self._drop()
            raise StoreUnavailable(type(error).__name__) from error

    async def close(self) -> None:
        await self._drop()

    async def _connected(self) -> Any:
        import asyncpg

        if self._connection is None or self._connection.is_closed():
            self._connection = await asyncpg.connect(
                self._url,
                timeout=COMMAND_TIMEOUT_S,
                command_timeout=COMMAND_TIMEOUT_S,
                server_settings={"application_name": "cleverbox-gateway inbox", "jit": "off"},
                statement_cache_size=16,
            )
        return self._connection

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        self._known.clear()  # the store that comes back may be an older one, without our run key
        if connection is not None:
            connection.terminate()


class SqliteWriter:
    """One thread with one connection, taking its turn among all writers of the file."""

    def __init__(self, url: str) -> None:
        self._path = Path(sa.make_url(url).database or "")
        self._turn = Turn(self._path.with_name(self._path.name + "-turn"))
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="inbox")
        self._connection: sqlite3.Connection | None = None
        self._known: set[bytes] = set()

    async def write(self, key: RunKey, items: Sequence[NewItem]) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._write, key, items)

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._drop)
        self._thread.shutdown()

    def _write(self, key: RunKey, items: Sequence[NewItem]) -> None:
        try:
            with self._turn:
                self._commit(key, [(key.day, key.id, *item) for item in items])
        except (sqlite3.DataError, sqlite3.IntegrityError, UnicodeEncodeError) as error:
            raise InvalidInput(type(error).__name__) from None
        except (sqlite3.Error, OSError) as error:
            self._drop()
            raise StoreUnavailable(type(error).__name__) from error

    def _commit(self, key: RunKey, rows: list[tuple[object, ...]]) -> None:
        connection = self._connected()
        connection.execute("BEGIN IMMEDIATE")
        try:
            if key.id not in self._known:
                connection.execute(_LITE_RUN_KEY, key)
            for statement, values in _chunks(rows):
                connection.execute(statement, values)
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        self._known.add(key.id)

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            if not self._path.exists():
                raise sqlite3.OperationalError("no database")
            self._connection = sqlite3.connect(self._path, timeout=3, check_same_thread=False)
            prepare_sqlite(self._connection)
        return self._connection

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        self._known.clear()  # the store that comes back may be an older one, without our run key
        if connection is not None:
            connection.close()


def _chunks(rows: Sequence[tuple[object, ...]]) -> Iterator[tuple[str, list[object]]]:
    """`rows` in order, as few statements with their values."""
    done = 0
    for size, statement in _LITE_ITEMS.items():
        while len(rows) - done >= size:
            yield statement, [value for row in rows[done : done + size] for value in row]
            done += size
