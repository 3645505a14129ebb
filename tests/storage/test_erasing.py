"""What is erased or revoked while a drain computes is not written afterwards, nor read again."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest
import sqlalchemy as sa

from storage import drain_sql
from storage.connections import Connections
from storage.cursors import BEGINNING
from storage.database import Database, now_ms
from storage.deliveries import Deliveries
from storage.drain import DrainStore
from storage.erasing import Erasing
from storage.log import MessageLog
from storage.replays import Replays
from storage.schema import parked
from storage.turns import Append, Turn, Written
from tests.rig import Rig, text
from tests.storage.rows import add_connection, append, count, digest

SOON_S = 0.3
WITHIN_S = 10


class InterruptedStore(DrainStore):
    """Lets something happen after a turn was computed and before it is written."""

    def __init__(self, database: Database, happen: Callable[[Turn], object]) -> None:
        super().__init__(database)
        self._happen = happen
        self.written: list[Written] = []

    def write(self, turn: Turn) -> Written:
        """As the real one, once it has happened."""
        self._happen(turn)
        self.written.append(super().write(turn))
        return self.written[-1]


@pytest.fixture
def rig(database_url: str, tmp_path: Path) -> Iterator[Rig]:
    """A deployment with Page 10 connected for `acme`."""
    rig = Rig(database_url, tmp_path / "var")
    rig.connect("acme", "10")
    yield rig
    rig.close()


def _erase_contact(rig: Rig, turn: Turn) -> None:
    for one in turn.appends:
        assert one.contact is not None
        Erasing(rig.database).contact("acme", one.contact, now_ms() + 1)


def _erase_tenant(rig: Rig, turn: Turn) -> None:
    Erasing(rig.database).tenant("acme")


def _revoke(rig: Rig, turn: Turn) -> None:
    (connection,) = Connections(rig.database).list()
    Connections(rig.database).set_status(connection.id, "revoked", "by an operator")


Happening = Callable[[Rig, Turn], None]
HAPPENINGS: list[Happening] = [_erase_contact, _erase_tenant, _revoke]


@pytest.mark.parametrize("happening", HAPPENINGS)
def test_a_drain_does_not_write_it(rig: Rig, happening: Happening) -> None:
    store = InterruptedStore(rig.database, lambda turn: happening(rig, turn))
    rig.parts.drainer._store = store
    rig.drain(rig.put(text("10", "7", "too late")))
    assert store.written[0] == Written(added=0, duplicate=0, refused=1)
    assert rig.log.read(BEGINNING, 10).rows == []
    assert Deliveries(rig.database).oldest_ms("waiting") is None, "its item is done with"


@pytest.mark.parametrize("happening", HAPPENINGS)
def test_a_replay_does_not_write_it(rig: Rig, happening: Happening) -> None:
    rig.parts.drainer._store = InterruptedStore(rig.database, lambda turn: happening(rig, turn))
    rig.drain(rig.put(text("10", "7", "too late")))
    store = InterruptedStore(rig.database, lambda turn: None)
    rig.parts.drainer._store = store
    rig.parts.replayer.run(Replays(rig.database).order(delivery="itm_1").id)
    assert store.written[0].added == 0
    assert rig.log.read(BEGINNING, 10).rows == []


@pytest.mark.parametrize("happening", [_erase_tenant, _revoke])
def test_nothing_is_parked_for_it(rig: Rig, happening: Happening) -> None:
    rig.parts.drainer._store = InterruptedStore(rig.database, lambda turn: happening(rig, turn))
    bad = b'{"object":"page","entry":[{"id":"10","time":1,"messaging":[{"message":7}]}]}'
    rig.drain(rig.put(bad))
    assert count(rig.database, parked) == 0


def test_what_a_contact_writes_after_the_erasure_is_logged(rig: Rig) -> None:
    rig.parts.drainer._store = InterruptedStore(
        rig.database, lambda turn: _erase_contact(rig, turn)
    )
    rig.drain(rig.put(text("10", "7", "before")))
    rig.parts.drainer._store = DrainStore(rig.database)
    while now_ms() <= _erased_at(rig.database):
        pass
    rig.drain(rig.put(text("10", "7", "after"), text("10", "8", "another")))
    assert rig.texts() == ["after", "another"]


def _erased_at(database: Database) -> int:
    with database.read() as connection:
        newest = sa.text("SELECT max(erased_at_ms) FROM erased_contacts")
        return connection.scalar(newest) or 0


class Paused:
    """Something that stops in its middle until it is let go on."""

    def __init__(self) -> None:
        self.reached, self.go_on = threading.Event(), threading.Event()

    def pause(self) -> None:
        """Called in the middle."""
        self.reached.set()
        assert self.go_on.wait(WITHIN_S)


class PausedPostgresql(drain_sql.Postgresql):
    """Stops between the log's insert and the commit."""

    paused: Paused

    def append(
        self, connection: sa.Connection, rows: Sequence[Append], tags: Sequence[int], at_ms: int
    ) -> None:
        """As the real one, and the pause."""
        super().append(connection, rows, tags, at_ms)
        self.paused.pause()


class PausedSqlite(drain_sql.Sqlite):
    """Stops between the log's insert and the commit."""

    paused: Paused

    def append(
        self, connection: sa.Connection, rows: Sequence[Append], tags: Sequence[int], at_ms: int
    ) -> None:
        """As the real one, and the pause."""
        super().append(connection, rows, tags, at_ms)
        self.paused.pause()


class PausedErasing(Erasing):
    """Stops once it holds the connections."""

    paused: Paused

    def _hold_off(self, connection: sa.Connection, tenant: str) -> None:
        super()._hold_off(connection, tenant)
        self.paused.pause()


def test_an_erasure_waits_for_a_drain_that_writes_and_blanks_what_it_wrote(
    connected: Database,
) -> None:
    sql: PausedPostgresql | PausedSqlite
    sql = PausedPostgresql() if connected.is_postgresql else PausedSqlite()
    sql.paused = paused = Paused()
    store = DrainStore(connected)
    store._sql = sql
    contact = digest("contact")
    with ThreadPoolExecutor(2) as threads:
        drain = threads.submit(store.write, Turn(appends=[append(contact=contact)]))
        assert paused.reached.wait(WITHIN_S)
        erasure = threads.submit(Erasing(connected).contact, "acme", contact, now_ms())
        assert wait([erasure], SOON_S).not_done, "the erasure did not wait for the drain"
        paused.go_on.set()
        assert drain.result().added == 1
        assert erasure.result() == 1
    (row,) = MessageLog(connected).read(BEGINNING, 10).rows
    assert row.sealed is None


def test_a_drain_waits_for_an_erasure_under_way_and_is_refused(connected: Database) -> None:
    erasing = PausedErasing(connected)
    erasing.paused = paused = Paused()
    contact = digest("contact")
    with ThreadPoolExecutor(2) as threads:
        erasure = threads.submit(erasing.contact, "acme", contact, now_ms() + 1000)
        assert paused.reached.wait(WITHIN_S)
        turn = Turn(appends=[append(contact=contact)])
        drain = threads.submit(DrainStore(connected).write, turn)
        assert wait([drain], SOON_S).not_done, "the drain did not wait for the erasure"
        paused.go_on.set()
        assert erasure.result() == 0
        assert drain.result().refused == 1


def test_an_erasure_concerns_its_tenant_alone(connected: Database) -> None:
    add_connection(connected, "con_b", "other")
    contact = digest("contact")
    theirs = append(connection="con_b", tenant="other", contact=contact)
    DrainStore(connected).write(Turn(appends=[append(contact=contact), theirs]))
    assert Erasing(connected).contact("acme", contact, now_ms()) == 1
    assert Erasing(connected).tenant("acme") == 0
    first, second = MessageLog(connected).read(BEGINNING, 10).rows
    assert (first.sealed, second.sealed) == (None, b"sealed")
    assert [x.status for x in Connections(connected).list()] == ["revoked", "active"]


class PausedBlanking(Erasing):
    """Stops between the mark and the blanking."""

    paused: Paused

    def _blank(self, which: sa.ColumnElement[bool], end: int) -> int:
        self.paused.pause()
        return super()._blank(which, end)


@pytest.mark.parametrize("whom", ["contact", "tenant"])
def test_a_tenants_drains_go_on_while_old_messages_are_blanked(
    connected: Database, whom: str
) -> None:
    contact, erased_at_ms = digest("contact"), now_ms()
    store = DrainStore(connected)
    store.write(Turn(appends=[append(contact=contact)]))
    erasing = PausedBlanking(connected)
    erasing.paused = paused = Paused()
    calls = {
        "contact": lambda: erasing.contact("acme", contact, erased_at_ms),
        "tenant": lambda: erasing.tenant("acme"),
    }
    with ThreadPoolExecutor(2) as threads:
        erasure = threads.submit(calls[whom])
        assert paused.reached.wait(WITHIN_S)
        old = append(contact=contact, at_ms=erased_at_ms - 1)
        new = append(contact=contact, at_ms=erased_at_ms + 1)
        drain = threads.submit(store.write, Turn(appends=[old, new]))
        written = drain.result(SOON_S * 5)
        paused.go_on.set()
        assert erasure.result() == 1
    assert written == (Written(1, 0, 1) if whom == "contact" else Written(0, 0, 2))
    first, *later = MessageLog(connected).read(BEGINNING, 10).rows
    assert first.sealed is None
    assert all(row.sealed for row in later), "what came after the erasure stays"


class ErasingInTens(Erasing):
    """Looks at ten positions in one transaction."""

    chunk = 10


def test_old_messages_are_blanked_in_short_transactions(connected: Database) -> None:
    contact = digest("contact")
    rows = [append(contact=contact if n % 2 else None) for n in range(35)]
    DrainStore(connected).write(Turn(appends=rows))
    assert ErasingInTens(connected).contact("acme", contact, now_ms()) == 17
    found = MessageLog(connected).read(BEGINNING, 50).rows
    assert [row.sealed is None for row in found] == [n % 2 == 1 for n in range(35)]


def test_an_older_erasure_does_not_take_back_a_newer_one(connected: Database) -> None:
    contact, newest = digest("contact"), now_ms()
    for erased_at_ms in (newest, newest - 5000):
        Erasing(connected).contact("acme", contact, erased_at_ms)
    assert _erased_at(connected) == newest
