"""Wakes readers that wait for messages: LISTEN on PostgreSQL, `data_version` on SQLite."""

import asyncio
import contextlib
import sqlite3
from pathlib import Path
from typing import Any, Final, Protocol

import sqlalchemy as sa
import structlog

from storage.drain_sql import CHANNEL

log = structlog.get_logger()

RECHECK_S: Final = 1.5
"""How long a reader waits at most before it looks again by itself."""
POLL_S: Final = 0.005
RECONNECT_S: Final = 0.5
PROBE_S: Final = 30.0
"""How often a connection that listens is asked whether it is still there."""


class Wake:
    """Readers take a ticket, then look, then wait: nothing that comes in between is missed."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._wanted = asyncio.Event()
        self.waiting = 0
        self.closed = False

    def ticket(self) -> asyncio.Event:
        """To be taken before looking."""
        return self._event

    async def wait(self, ticket: asyncio.Event, seconds: float) -> None:
        """Return when something came since `ticket` was taken, or after `seconds` (at most 1.5)."""
        if self.closed:
            return
        self.waiting += 1
        self._wanted.set()
        try:
            async with asyncio.timeout(min(seconds, RECHECK_S)):
                await ticket.wait()
        except TimeoutError:
            return
        finally:
            self.waiting -= 1
            if not self.waiting:
                self._wanted.clear()

    async def wanted(self) -> None:
        """Return as soon as somebody waits."""
        await self._wanted.wait()

    def all(self) -> None:
        """Let everybody look."""
        event, self._event = self._event, asyncio.Event()
        event.set()

    def close(self) -> None:
        """Let everybody go; nobody waits any more."""
        self.closed = True
        self.all()


class Source(Protocol):
    """Calls `Wake.all` when the message log has grown."""

    async def run(self) -> None:
        """Without end; unexpected errors are the caller's, who runs it again."""


def source(url: str, wake: Wake) -> Source:
    """The source for a database; `url` leads past any pooler."""
    if url.startswith("sqlite"):
        return SqliteSource(Path(sa.make_url(url).database or ""), wake)
    return PostgresqlSource(url, wake)


class PostgresqlSource:
    """One connection that listens; when it was lost and is back, everybody looks."""

    def __init__(self, url: str, wake: Wake) -> None:
        """`url` must lead to the server itself: LISTEN breaks behind a transaction-mode pooler."""
        self._url = url
        self._wake = wake

    async def run(self) -> None:
        import asyncpg

        while True:
            try:
                await self._listen()
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                log.warning("wake.listen_failed", error=type(error).__name__)
            await asyncio.sleep(RECONNECT_S)

    async def _listen(self) -> None:
        import asyncpg

        lost = asyncio.Event()
        connection: Any = await asyncpg.connect(
            self._url,
            timeout=3,
            command_timeout=3,
            server_settings={"application_name": "cleverbox-gateway listen"},
        )
        try:
            connection.add_termination_listener(lambda _: lost.set())
            await connection.add_listener(CHANNEL, lambda *_: self._wake.all())
            self._wake.all()
            while not lost.is_set():
                await _probe(connection, lost)
        finally:
            connection.terminate()


async def _probe(connection: Any, lost: asyncio.Event) -> None:
    """Wait until the connection is lost; after a while prove that it is not, as TCP alone may never
    say so. Raises `TimeoutError` when nothing answers.
    """
    try:
        async with asyncio.timeout(PROBE_S):
            await lost.wait()
    except TimeoutError:
        await connection.execute("SELECT 1")


class SqliteSource:
    """Asks SQLite while somebody waits: 5 µs a look, and no look while nobody does."""

    def __init__(self, path: Path, wake: Wake) -> None:
        self._path = path
        self._wake = wake

    async def run(self) -> None:
        while True:
            await self._wake.wanted()
            with contextlib.suppress(sqlite3.Error):  # e.g. not there yet: looked at again below
                await self._poll()
            await asyncio.sleep(RECONNECT_S)

    async def _poll(self) -> None:
        with contextlib.closing(sqlite3.connect(f"file:{self._path}?mode=ro", uri=True)) as reader:
            version, head = 0, -1
            while True:
                await self._wake.wanted()
                (now,) = reader.execute("PRAGMA data_version").fetchone()
                if now != version:
                    version = now
                    (newest,) = reader.execute("SELECT max(position) FROM messages").fetchone()
                    if newest != head:
                        head = newest
                        self._wake.all()
                await asyncio.sleep(POLL_S)
