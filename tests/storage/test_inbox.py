"""Group commit: each delivery waits for its own, one bad row fails alone, nobody waits for ever."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

import pytest

from contracts.errors import GatewayError, InvalidInput, StoreUnavailable
from storage.inbox import (
    BATCH_BYTES,
    BATCH_ROWS,
    PATIENCE_S,
    QUEUE_BYTES,
    QUEUE_ROWS,
    Inbox,
    InboxWriter,
)
from tests.storage.inbox_writers import BAD, Ledger, MemoryWriter
from tests.storage.rows import item, run_key

pytestmark = pytest.mark.anyio


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


async def test_who_waits_is_told_even_when_nudging_fails(anyio_backend: str) -> None:
    def fail(lanes: Iterable[int]) -> None:
        raise ValueError(lanes)

    writer = MemoryWriter()
    async with _running(writer, fail) as gathering:
        for _ in range(2):
            await asyncio.wait_for(gathering.put(run_key(), [item()]), 1)
    assert len(writer.rows) == 2


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


async def test_the_queue_is_bounded_by_bytes_too(anyio_backend: str) -> None:
    writer = MemoryWriter()
    many = item(sealed=bytes(QUEUE_BYTES // 4))
    async with _running(writer) as gathering:
        first = await _held(writer, gathering)
        full = [asyncio.ensure_future(gathering.put(run_key(), [many])) for _ in range(4)]
        await asyncio.sleep(0)
        with pytest.raises(StoreUnavailable):
            await gathering.put(run_key(), [item()])
        writer.open.set()
        await asyncio.gather(first, *full)
        await gathering.put(run_key(), [item()])


async def test_a_batch_is_bounded_by_bytes_too(anyio_backend: str) -> None:
    writer = MemoryWriter()
    large = item(sealed=bytes(BATCH_BYTES // 4))
    async with _running(writer) as gathering:
        first = await _held(writer, gathering)
        puts = [asyncio.ensure_future(gathering.put(run_key(), [large])) for _ in range(9)]
        await asyncio.sleep(0.01)
        writer.open.set()
        await asyncio.gather(first, *puts)
    assert [len(batch) for batch in writer.batches] == [1, 4, 4, 1]


class Broken:
    """One who waits and fails when told."""

    def done(self) -> bool:
        return False

    def set_result(self, _: None, /) -> None:
        raise asyncio.InvalidStateError

    def set_exception(self, _: Exception, /) -> None:
        raise asyncio.InvalidStateError


@pytest.mark.parametrize("away", [False, True])
async def test_who_fails_when_told_keeps_no_neighbour_waiting(
    anyio_backend: str, away: bool
) -> None:
    writer = MemoryWriter()
    async with _running(writer) as gathering:
        first = await _held(writer, gathering)
        gathering.submit(run_key(), [item()], Broken())
        put = asyncio.ensure_future(gathering.put(run_key(), [item()]))
        await asyncio.sleep(0.01)
        writer.away = away
        writer.open.set()
        outcomes = await asyncio.wait_for(asyncio.gather(first, put, return_exceptions=True), 2)
    assert [isinstance(outcome, StoreUnavailable) for outcome in outcomes] == [away, away]


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
