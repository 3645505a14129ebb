"""Group commit: each delivery waits for its own, one bad row fails alone, nobody waits for ever."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Protocol

import pytest
import sqlalchemy as sa

from contracts.errors import GatewayError, InvalidInput, StoreUnavailable
from storage import migrate
from storage.database import Database
from storage.inbox import BATCH_ROWS, PATIENCE_S, QUEUE_ROWS, Inbox, InboxWriter, NewItem, RunKey
from storage.inbox_writers import inbox_writer
from storage.schema import inbox, run_keys
from tests.storage.rows import item, run_key

pytestmark = pytest.mark.anyio

BAD = item(provider="lone surrogate \ud800")
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


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[tuple[InboxWriter, Ledger]]:
    """Each writer, and what it has stored."""
    if request.param == "memory":
        memory = MemoryWriter()
        yield memory, lambda: memory.rows
        return
    name = {"sqlite": "sqlite_url", "postgresql": "postgres_url"}[request.param]
    database = Database(request.getfixturevalue(name))
    migrate.upgrade(database)
    writer = inbox_writer(database.url)
    yield writer, lambda: _stored(database)
    database.close()


def _stored(database: Database) -> list[Stored]:
    rows = sa.select(inbox.c.id, inbox.c.run_key, inbox.c.n).order_by(inbox.c.id)
    with database.read() as connection:
        return [(row.id, row.run_key, row.n) for row in connection.execute(rows)]


# The writers' contract


async def test_items_are_stored_in_their_order(store: tuple[InboxWriter, Ledger]) -> None:
    writer, stored = store
    batches = [[item() for _ in range(size)] for size in (3, 1, 150)]
    for batch in batches:
        await writer.write(run_key(), batch)
    await writer.close()
    rows = stored()
    assert [n for _, _, n in rows] == [one.n for batch in batches for one in batch]
    assert all(before[0] < after[0] for before, after in pairwise(rows))
    assert {key for _, key, _ in rows} == {run_key().id}


async def test_a_bad_row_is_refused_with_its_whole_batch(
    store: tuple[InboxWriter, Ledger],
) -> None:
    writer, stored = store
    with pytest.raises(InvalidInput):
        await writer.write(run_key(), [item(), BAD, item()])
    assert stored() == []
    await writer.write(run_key(), [item()])
    await writer.close()
    assert len(stored()) == 1


async def test_a_run_key_is_stored_with_its_first_items(database: Database) -> None:
    writer = inbox_writer(database.url)
    for key in (run_key(1), run_key(2), run_key(1)):
        await writer.write(key, [item()])
    await writer.close()
    assert _run_keys(database) == {run_key(1).id, run_key(2).id}


@pytest.mark.postgres
async def test_a_store_that_comes_back_older_gets_the_run_key_again(postgres: Database) -> None:
    writer = inbox_writer(postgres.url)
    await writer.write(run_key(), [item()])
    with postgres.write() as connection:
        connection.execute(sa.delete(run_keys))
        connection.execute(_END_SESSIONS)
    with pytest.raises(StoreUnavailable):
        await writer.write(run_key(), [item()])
    await writer.write(run_key(), [item()])
    await writer.close()
    assert _run_keys(postgres) == {run_key().id}


_END_SESSIONS = sa.text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND application_name LIKE '% inbox'"
)


def _run_keys(database: Database) -> set[bytes]:
    with database.read() as connection:
        return set(connection.scalars(sa.select(run_keys.c.id)))


@pytest.mark.parametrize("url", ["sqlite:////nowhere/gateway.db", "postgresql://127.0.0.1:1/none"])
async def test_a_store_that_is_away_says_so(url: str) -> None:
    writer = inbox_writer(url)
    with pytest.raises(StoreUnavailable):
        await writer.write(run_key(), [item()])
    await writer.close()


# Gathering


@asynccontextmanager
async def _running(
    writer: InboxWriter, committed: Callable[[Iterable[int]], None] = lambda lanes: None
) -> AsyncIterator[Inbox]:
    gathering = Inbox(writer, committed)
    gathering.start()
    yield gathering
    await gathering.stop()


async def _held(writer: MemoryWriter, gathering: Inbox) -> "asyncio.Task[None]":
    """One delivery is being written, and the store does not answer."""
    writer.open.clear()
    first = asyncio.ensure_future(gathering.put(run_key(), [item()]))
    await writer.asked.wait()
    return first


async def test_what_comes_while_a_commit_runs_goes_into_the_next(anyio_backend: str) -> None:
    writer = MemoryWriter()
    async with _running(writer) as gathering:
        first = await _held(writer, gathering)
        puts = [
            asyncio.ensure_future(gathering.put(run_key(), [item(), item()])) for _ in range(20)
        ]
        await asyncio.sleep(0.01)
        assert not first.done(), "answered before its commit"
        writer.open.set()
        await asyncio.gather(first, *puts)
    assert [len(batch) for batch in writer.batches] == [1, 40]


async def test_a_batch_is_bounded_and_of_one_run_key(anyio_backend: str) -> None:
    writer = MemoryWriter()
    async with _running(writer) as gathering:
        first = await _held(writer, gathering)
        sizes = [BATCH_ROWS - 1, 5, 1, 1]
        keys = [run_key(1), run_key(1), run_key(1), run_key(2)]
        puts = [
            asyncio.ensure_future(gathering.put(key, [item() for _ in range(size)]))
            for key, size in zip(keys, sizes, strict=True)
        ]
        await asyncio.sleep(0.01)
        writer.open.set()
        await asyncio.gather(first, *puts)
    assert [len(batch) for batch in writer.batches] == [1, BATCH_ROWS + 4, 1, 1]


async def test_lanes_are_told_after_their_commit(anyio_backend: str) -> None:
    writer, told = MemoryWriter(), list[tuple[int, set[int]]]()
    async with _running(
        writer, lambda lanes: told.append((len(writer.rows), set(lanes)))
    ) as inbox_:
        await inbox_.put(run_key(), [item(lane=3), item(lane=5), item(lane=3)])
    assert told == [(3, {3, 5})]


async def test_one_bad_delivery_fails_alone(store: tuple[InboxWriter, Ledger]) -> None:
    writer, stored = store
    good = [item() for _ in range(99)]
    deliveries = [[one] for one in good]
    deliveries.insert(37, [BAD])
    async with _running(writer) as gathering:
        puts = [gathering.put(run_key(), delivery) for delivery in deliveries]
        outcomes = await asyncio.gather(*puts, return_exceptions=True)
    assert [n for n, outcome in enumerate(outcomes) if outcome is not None] == [37]
    assert isinstance(outcomes[37], InvalidInput)
    assert [n for _, _, n in stored()] == [one.n for one in good]


async def test_a_bad_delivery_is_found_by_halving(anyio_backend: str) -> None:
    writer = MemoryWriter()
    async with _running(writer) as gathering:
        first = await _held(writer, gathering)
        puts = [gathering.put(run_key(), [one]) for one in (*[item() for _ in range(255)], BAD)]
        gathered = asyncio.gather(first, *puts, return_exceptions=True)
        await asyncio.sleep(0.01)
        writer.open.set()
        await gathered
    assert len(writer.batches) <= 2 + 2 * 8


async def test_a_caller_that_left_is_skipped(anyio_backend: str) -> None:
    writer = MemoryWriter()
    async with _running(writer) as gathering:
        first = await _held(writer, gathering)
        left, stays = item(), item()
        gone = asyncio.ensure_future(gathering.put(run_key(), [left]))
        other = asyncio.ensure_future(gathering.put(run_key(), [stays]))
        await asyncio.sleep(0.01)
        gone.cancel()
        await asyncio.sleep(0)
        writer.open.set()
        await asyncio.gather(first, other)
    assert writer.batches[1:] == [[stays]]


async def test_nobody_waits_longer_than_patience_lasts(anyio_backend: str) -> None:
    writer = MemoryWriter()
    async with _running(writer) as gathering:
        began = time.monotonic()
        first = await _held(writer, gathering)
        puts = (first, gathering.put(run_key(), [item()]))
        outcomes = await asyncio.gather(*puts, return_exceptions=True)
        took = time.monotonic() - began
        writer.open.set()
    assert all(isinstance(outcome, StoreUnavailable) for outcome in outcomes)
    assert PATIENCE_S <= took < PATIENCE_S + 1
    assert len(writer.batches) == 1, "what nobody waits for any more is not written"


async def test_the_queue_is_bounded(anyio_backend: str) -> None:
    writer = MemoryWriter()
    async with _running(writer) as gathering:
        first = await _held(writer, gathering)
        many = [item() for _ in range(QUEUE_ROWS)]
        full = asyncio.ensure_future(gathering.put(run_key(), many))
        await asyncio.sleep(0)
        began = time.monotonic()
        with pytest.raises(StoreUnavailable):
            await gathering.put(run_key(), [item()])
        assert time.monotonic() - began < 0.1, "refused at once"
        writer.open.set()
        await asyncio.gather(first, full)
        await gathering.put(run_key(), [item()])
    assert len(writer.rows) == QUEUE_ROWS + 2


async def test_when_the_store_is_away_all_that_wait_are_told_and_none_is_stored(
    anyio_backend: str,
) -> None:
    writer = MemoryWriter()
    async with _running(writer) as gathering:
        first = await _held(writer, gathering)
        puts = [asyncio.ensure_future(gathering.put(run_key(), [item()])) for _ in range(5)]
        await asyncio.sleep(0.01)
        writer.away = True
        writer.open.set()
        outcomes = await asyncio.gather(first, *puts, return_exceptions=True)
        assert all(isinstance(outcome, StoreUnavailable) for outcome in outcomes)
        writer.away = False
        await _again(lambda: gathering.put(run_key(), [item()]))
    assert len(writer.rows) == 1


async def _again(put: Callable[[], "asyncio.Future[None] | object"]) -> None:
    """Until the store is tried again: it is left alone for a moment."""
    async with asyncio.timeout(2):
        while True:
            try:
                await put()  # type: ignore[misc]
            except GatewayError:
                await asyncio.sleep(0.02)
            else:
                return


async def test_stopping_stores_what_is_queued(anyio_backend: str) -> None:
    writer = MemoryWriter()
    async with _running(writer) as gathering:
        puts = [asyncio.ensure_future(gathering.put(run_key(), [item()])) for _ in range(5)]
        await asyncio.sleep(0)
    await asyncio.gather(*puts)
    assert len(writer.rows) == 5
