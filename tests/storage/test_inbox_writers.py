"""One contract for all inbox writers, the fake one too."""

import asyncio
import signal
import sys
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa

from contracts.errors import InvalidInput, StoreUnavailable
from storage import inbox_writers, migrate
from storage.database import Database
from storage.inbox import InboxWriter
from storage.inbox_writers import SqliteWriter, inbox_writer
from storage.schema import run_keys
from storage.sqlite_writer import LENGTH
from tests.storage.inbox_writers import BAD, Ledger, stored
from tests.storage.rows import item, run_key

pytestmark = pytest.mark.anyio


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


async def test_a_writing_process_that_was_killed_is_started_anew(sqlite_database: Database) -> None:
    writer = SqliteWriter(sqlite_database.url)
    await writer.write(run_key(), [item()])
    process = writer._process
    process.kill()
    with pytest.raises(StoreUnavailable):
        await writer.write(run_key(), [item()])
    await writer.write(run_key(), [item()])
    await writer.close()
    assert len(stored(sqlite_database)) == 2


async def test_the_writing_process_ends_with_its_edge(sqlite_database: Database) -> None:
    """Also after `kill -9`, which closes its input; half a batch is none."""
    path = sqlite_database.url.removeprefix("sqlite:///")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "storage.sqlite_writer", path), stdin=asyncio.subprocess.PIPE
    )
    batch = msgspec.msgpack.encode((run_key(), [item()]))
    await process.communicate(LENGTH.pack(len(batch)) + batch[:-1])
    assert process.returncode == 0
    assert stored(sqlite_database) == []


async def test_signals_do_not_end_the_writing_process(sqlite_database: Database) -> None:
    """Ctrl-C goes to the whole group; the edge has yet to write what it accepted."""
    writer = SqliteWriter(sqlite_database.url)
    await writer.write(run_key(), [item()])
    for number in (signal.SIGINT, signal.SIGTERM):
        writer._process.send_signal(number)
    await writer.write(run_key(), [item()])
    await writer.close()
    assert len(stored(sqlite_database)) == 2


@pytest.mark.parametrize("replaced", [False, True])
async def test_a_database_file_that_was_taken_away_is_no_store(
    sqlite_database: Database, replaced: bool
) -> None:
    """SQLite would write into the file that nobody finds any more, and say that it is stored."""
    writer = SqliteWriter(sqlite_database.url)
    await writer.write(run_key(), [item()])
    _take_away(sqlite_database)
    if replaced:
        migrate.upgrade(other := Database(sqlite_database.url))
        await writer.write(run_key(), [item()])
        assert len(stored(other)) == 1
        other.close()
    else:
        with pytest.raises(StoreUnavailable):
            await writer.write(run_key(), [item()])
    await writer.close()


def _take_away(database: Database) -> None:
    database.close()
    path = Path(database.url.removeprefix("sqlite:///"))
    for file in path.parent.glob(f"{path.name}*"):
        file.rename(file.with_name(f"away-{file.name}"))


async def test_a_store_restored_in_place_gets_the_run_key_again(sqlite_database: Database) -> None:
    writer = SqliteWriter(sqlite_database.url)
    await writer.write(run_key(), [item()])
    with sqlite_database.write() as connection:
        connection.execute(sa.delete(run_keys))
    await writer.write(run_key(), [item()])
    await writer.close()
    assert _run_keys(sqlite_database) == {run_key().id}


async def test_an_answer_belongs_to_its_batch_also_after_one_was_given_up(
    sqlite_database: Database,
) -> None:
    writer = SqliteWriter(sqlite_database.url)
    await writer.write(run_key(), [item()])
    stopped = writer._process
    stopped.send_signal(signal.SIGSTOP)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(writer.write(run_key(), [item()]), 0.1)
    assert stopped.returncode == -signal.SIGKILL
    with pytest.raises(InvalidInput):
        await writer.write(run_key(), [BAD])
    await writer.write(run_key(), [item()])
    await writer.close()


async def test_a_writing_process_that_hangs_is_given_up(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = SqliteWriter(sqlite_database.url)
    await writer.write(run_key(), [item()])
    monkeypatch.setattr(inbox_writers, "ANSWER_TIMEOUT_S", 0.2)
    writer._process.send_signal(signal.SIGSTOP)
    with pytest.raises(StoreUnavailable):
        await writer.write(run_key(), [item()])
    monkeypatch.undo()
    await writer.write(run_key(), [item()])
    await writer.close()
