"""The two inbox writers: asyncpg for PostgreSQL, a process with its own connection for SQLite."""

import asyncio
import contextlib
import sys
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from contracts.errors import InvalidInput, StoreUnavailable
from storage import sqlite_writer
from storage.inbox import InboxWriter, NewItem, RunKey

INBOX_LOCK: Final = 7_215_003
"""Advisory lock that makes ids follow the order of commits: a lane's mark must never pass an id
that another edge process has yet to commit."""
COMMAND_TIMEOUT_S: Final = 3.0
ANSWER_TIMEOUT_S: Final = 6.0
"""For SQLite's writing process: longer than it waits itself for a locked database."""

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
    """A process with the file's one connection (`storage.sqlite_writer` says why), started on first
    use and anew when it has ended.
    """

    def __init__(self, url: str) -> None:
        self._path = sa.make_url(url).database or ""
        self._process: Any = None

    async def write(self, key: RunKey, items: Sequence[NewItem]) -> None:
        try:
            batch = msgspec.msgpack.encode((key, items))
        except UnicodeEncodeError as error:
            raise InvalidInput(type(error).__name__) from None
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                answer, _, reason = (await self._ask(batch)).partition(" ")
        except OSError as error:  # a time-out is one
            await self._end()
            raise StoreUnavailable(type(error).__name__) from error
        except BaseException:
            await self._end()  # its answer would be taken for that of the next batch
            raise
        if answer == "invalid":
            raise InvalidInput(reason)
        if answer != "ok":
            raise StoreUnavailable(reason)

    async def close(self) -> None:
        """The process ends with its input; one that hangs is ended."""
        process, self._process = self._process, None
        if process is None:
            return
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), COMMAND_TIMEOUT_S)
        except TimeoutError:
            self._process = process
            await self._end()

    async def _end(self) -> None:
        """End the process whatever it is at; what it was to write may be stored or not."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _ask(self, batch: bytes) -> str:
        """What the process answers to a batch. Raises `OSError` when it has ended."""
        if self._process is None:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "storage.sqlite_writer", self._path),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
        process = self._process
        process.stdin.write(sqlite_writer.LENGTH.pack(len(batch)) + batch)
        await process.stdin.drain()
        line: bytes = await process.stdout.readline()
        if not line:
            raise BrokenPipeError("the inbox's writer has ended")
        return line.decode().rstrip()
