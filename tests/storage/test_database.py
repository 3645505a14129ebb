"""Reads stand beside writes, errors show no values, a store that comes back gets the run key."""

import asyncio
import secrets
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from contracts.errors import StoreUnavailable
from storage.cursors import BEGINNING
from storage.database import driver_cursor
from storage.inbox_writers import inbox_writer
from storage.schema import leases, run_keys
from tests.rig import Rig, run_key, stored


@pytest.fixture
def rig(database_url: str, tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(database_url, tmp_path / "var")
    yield rig
    rig.close()


def test_a_write_does_not_wait_for_an_open_read(rig: Rig) -> None:
    with rig.database.read() as reader:
        reader.execute(sa.select(leases)).fetchmany(1)
        began = time.monotonic()
        rig.put_items(rig.split(b'{"object":"page","entry":[{"id":"1"}]}'))
        assert time.monotonic() - began < 2


def test_a_read_within_a_read_is_no_deadlock(rig: Rig) -> None:
    with rig.database.read() as outer, rig.database.read() as inner:
        count = sa.select(sa.func.count()).select_from(leases)
        assert outer.scalar(count) == inner.scalar(count)


@pytest.mark.parametrize("lacks", ["SELECT 1 FROM nowhere", "SELECT nothing FROM leases"])
def test_a_schema_older_than_the_build_is_a_store_that_is_away(rig: Rig, lacks: str) -> None:
    with pytest.raises(StoreUnavailable), rig.database.read() as connection:
        connection.exec_driver_sql(lacks)
    with pytest.raises(StoreUnavailable), rig.database.read() as connection:
        driver_cursor(connection).execute(lacks)
    assert rig.log.head() == BEGINNING


def test_errors_show_no_values(rig: Rig) -> None:
    secret = secrets.token_hex(8)
    wrong = sa.text("SELECT :secret FROM nowhere")
    with (
        pytest.raises((sa.exc.DBAPIError, StoreUnavailable)) as caught,
        rig.database.write() as connection,
    ):
        connection.execute(wrong, {"secret": secret})
    assert secret not in "".join(traceback.format_exception(caught.value))


def test_a_run_key_is_stored_anew_when_the_store_came_back_without_it(rig: Rig) -> None:
    """A failover to a standby that lacks the newest transactions."""
    (item,) = rig.split(b'{"object":"page","entry":[{"id":"1"}]}')

    async def write_across_a_failover() -> None:
        writer = inbox_writer(rig.settings.database)
        await writer.write(run_key(rig.sealer), [stored(rig.sealer, item, 1)])
        with rig.database.write() as connection:
            connection.execute(sa.delete(run_keys))
            connection.exec_driver_sql("ALTER TABLE inbox RENAME TO away")
        with pytest.raises(StoreUnavailable):
            await writer.write(run_key(rig.sealer), [stored(rig.sealer, item, 2)])
        with rig.database.write() as connection:
            connection.exec_driver_sql("ALTER TABLE away RENAME TO inbox")
        await writer.write(run_key(rig.sealer), [stored(rig.sealer, item, 3)])
        await writer.close()

    asyncio.run(write_across_a_failover())
    with rig.database.read() as connection:
        assert connection.scalar(sa.select(run_keys.c.id)) == rig.sealer.id
