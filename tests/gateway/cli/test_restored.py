"""`gateway db restored`: yesterday's database under today's key store, put right."""

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
import sqlalchemy as sa

from contracts.errors import KeyDestroyed, LogRestored
from storage.connections import Connections
from storage.cursors import parse_cursor
from storage.database import Database, now_ms
from storage.due import DueRows
from storage.leases import Leases
from storage.outbox import SETTLE, Outbox
from storage.revocations import Revocations
from storage.schema import connections, messages
from storage.sending_schema import sends
from tests.gateway.cli.conftest import Gateway
from tests.rig import Rig, text
from tests.storage.rows import new_send
from tests.workers.granted import run_due


class Backup:
    """A copy of a database, made and put back while nobody is connected."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._name = urlsplit(url).path.lstrip("/")

    def make(self) -> None:
        if self._url.startswith("sqlite"):
            self._checkpointed(self._path, self._copy)
        else:
            self._admin(f"CREATE DATABASE {self._name}_backup TEMPLATE {self._name}")

    def put_back(self) -> None:
        if self._url.startswith("sqlite"):
            for left in self._path.parent.glob(f"{self._path.name}-*"):
                left.unlink()
            self._checkpointed(self._copy, self._path)
        else:
            self._admin(f"DROP DATABASE {self._name}")
            self._admin(f"CREATE DATABASE {self._name} TEMPLATE {self._name}_backup")

    def remove(self) -> None:
        if not self._url.startswith("sqlite"):
            self._admin(f"DROP DATABASE IF EXISTS {self._name}_backup")

    @property
    def _path(self) -> Path:
        return Path(sa.make_url(self._url).database or "")

    @property
    def _copy(self) -> Path:
        return self._path.with_suffix(".backup")

    def _checkpointed(self, source: Path, target: Path) -> None:
        whole = sqlite3.connect(source)
        whole.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        whole.close()
        shutil.copy(source, target)

    def _admin(self, statement: str) -> None:
        server = urlunsplit(urlsplit(self._url)._replace(path="/postgres"))
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(statement.encode())


@pytest.fixture
def backup(rig: Rig) -> Iterator[Backup]:
    made = Backup(rig.settings.database)
    yield made
    made.remove()


def _contact_of(rig: Rig, words: str) -> bytes:
    """The keyed hash of the contact who wrote `words`."""
    [wanted] = [m for m in rig.messages() if getattr(m.data, "text", "") == words]
    found = sa.select(messages.c.contact)
    with rig.database.read() as connection:
        rows = connection.scalars(found.order_by(messages.c.position)).all()
    contact = rows[[m.id for m in rig.messages()].index(wanted.id)]
    assert contact is not None
    return bytes(contact)


def test_a_restored_database_is_put_right(rig: Rig, gateway: Gateway, backup: Backup) -> None:
    rig.connect("acme", "42")
    rig.connect("gone", "43")
    rig.drain(rig.put(text("42", "7", "kept"), text("42", "8", "regretted")))
    rig.drain(rig.put(text("43", "7", "shredded")))
    shared = rig.log.head()
    rig.database.close()
    backup.make()

    rig.drain(rig.put(text("42", "7", "after the backup")))
    reader = rig.log.head()
    rig.vault.record_erasure("contact", "acme", _contact_of(rig, "regretted").hex())
    rig.vault.destroy_tenant("gone")
    rig.database.close()
    backup.put_back()

    with pytest.raises(KeyDestroyed):
        rig.messages()
    with pytest.raises(LogRestored):
        rig.log.read(reader, 10)

    ran = gateway("db", "restored")
    assert ran.code == 0, ran.err
    assert "1 tenants and 1 contacts again, 2 messages blanked" in ran.out

    with pytest.raises(LogRestored) as told:
        rig.log.read(reader, 10)
    assert parse_cursor(told.value.resume) == shared
    assert rig.texts() == ["kept"]

    assert rig.parts.gaps.announce() == 1
    [gap] = [m for m in rig.messages() if m.type == "cleverbox.connection.gap"]
    assert (gap.tenant, gap.data.reason) == ("acme", "restored")
    assert gap.data.since < gap.data.until
    rig.drain(rig.put(text("42", "7", "new"), text("42", "8", "regretted again")))
    assert rig.texts() == ["kept", "new", "regretted again"]


def test_what_was_to_go_out_is_not_sent_again(rig: Rig, gateway: Gateway) -> None:
    rig.connect("acme", "42")
    outbox = Outbox(rig.database)
    for name in ("queued", "sending", "sent"):
        outbox.accept(new_send(f"snd_{name}"))
        with rig.database.write() as connection:
            this = sa.update(sends).where(sends.c.id == f"snd_{name}")
            connection.execute(this.values(state=name))
    ran = gateway("db", "restored")
    assert ran.code == 0, ran.err
    assert "2 that were still to go out are unknown" in ran.out
    states = [outbox.get(f"snd_{name}").state for name in ("queued", "sending", "sent")]
    assert states == ["unknown", "unknown", "sent"]
    rows = DueRows(rig.database)
    told = [rows.standing(SETTLE, f"snd_{name}") for name in ("queued", "sending", "sent")]
    assert [one is not None for one in told] == [True, True, False]


def test_what_was_revoked_since_is_revoked_again(
    rig: Rig, gateway: Gateway, backup: Backup
) -> None:
    """Unless it was connected anew: then the backup is younger than what it revoked."""
    revoked, anew = rig.connect("acme", "42"), rig.connect("acme", "43")
    receives_from_ms = now_ms() + 3_600_000
    with rig.database.write() as connection:
        its = connections.c.id == anew.id
        later = sa.update(connections).where(its).values(receives_from_ms=receives_from_ms)
        connection.execute(later)
    rig.database.close()
    backup.make()
    for one in (revoked, anew):
        Revocations(rig.database).order(one.id, reason="it ended", by="test")
    run_due(rig)
    rig.database.close()
    backup.put_back()
    assert Connections(rig.database).get(revoked.id).status == "active"

    ran = gateway("db", "restored")
    assert (ran.code, "revocations: 1 connections again" in ran.out) == (0, True), ran.err
    run_due(rig)
    assert Connections(rig.database).get(revoked.id).status == "revoked"
    assert Connections(rig.database).get(anew.id).status == "active"


def test_numbers_go_on_behind_those_in_use(rig: Rig, gateway: Gateway) -> None:
    rig.connect("acme", "42")
    rig.drain(rig.put(text("42", "7", "one")))
    _forget_numbers(rig.database)
    ran = gateway("db", "restored")
    assert (ran.code, "after item 1 and position 1" in ran.out) == (0, True)
    rig.drain(rig.put(text("42", "7", "two")))
    assert rig.texts() == ["one", "two"]
    assert "after item 2 and position 2" in gateway("db", "restored").out


def test_it_is_refused_while_a_worker_is_at_work(rig: Rig, gateway: Gateway) -> None:
    leases = Leases(rig.database)
    lease = leases.take_new("lane", "3")
    assert lease is not None
    refused = gateway("db", "restored")
    assert (refused.code, "1 leases are held" in refused.err) == (1, True)
    assert gateway("db", "restored", "--force").code == 0
    leases.release([lease])
    assert gateway("db", "restored").code == 0


def test_an_empty_database_has_no_gap(rig: Rig, gateway: Gateway) -> None:
    ran = gateway("db", "restored")
    assert (ran.code, "the database is empty" in ran.out) == (0, True)
    rig.connect("acme", "42")
    assert rig.parts.gaps.announce() == 0


def _forget_numbers(database: Database) -> None:
    """As after a dump of the rows alone."""
    with database.write() as connection:
        if database.is_postgresql:
            for table, column in (("inbox", "id"), ("messages", "position")):
                restart = f"ALTER TABLE {table} ALTER COLUMN {column} RESTART WITH 1"
                connection.execute(sa.text(restart))
        else:
            connection.execute(sa.text("DELETE FROM sqlite_sequence"))
