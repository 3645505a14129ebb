"""What connecting and revoking leave behind goes when nothing needs it, and not before."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from storage import sharing
from storage.connecting_schema import (
    activity,
    connect_sessions,
    consents,
    looks,
    pauses,
    people,
    revocations,
    signals,
    subscriptions,
)
from storage.database import Database, now_ms
from storage.due import DueRows
from storage.expiry import CHUNK_ROWS
from storage.partitions import DAY_MS
from storage.pausing import Pause
from storage.retention import RECORDS_DAYS, prune
from storage.revocations import REVOKE
from storage.schema import due, grants
from storage.signals import SIGNAL
from tests.storage.rows import add_connection, digest

NOW = now_ms()
OLD, YOUNG = NOW - RECORDS_DAYS * DAY_MS, NOW - (RECORDS_DAYS - 1) * DAY_MS
ANNA, OLENA = digest("anna"), digest("olena")


def add(database: Database, table: sa.Table, *rows: dict[str, Any]) -> None:
    with database.write() as connection:
        connection.execute(sa.insert(table), list(rows))


def left(database: Database, table: sa.Table) -> list[Any]:
    """The first columns of what is left."""
    (key, *_) = table.primary_key.columns
    with database.read() as connection:
        return [*connection.scalars(sa.select(key).order_by(key))]


def revocation(name: str, *, finished_ms: int | None, steps: object = ()) -> dict[str, Any]:
    state = "running" if finished_ms is None else "done"
    row = {"id": name, "connection": "con_a", "tenant": "acme", "provider": "facebook"}
    row |= {"reason": "", "requested_by": "test", "state": state}
    return row | {"steps": steps, "created_at_ms": OLD, "finished_at_ms": finished_ms}


def signal(name: str, finished_ms: int | None) -> dict[str, Any]:
    row: dict[str, Any] = {"id": name, "login": "meta", "kind": "removed", "once": digest(name)}
    row["names"] = []
    times = {"at_ms": OLD, "received_at_ms": OLD, "finished_at_ms": finished_ms}
    return row | {"state": "done"} | times


def consent(name: str, grant: str, at_ms: int) -> dict[str, Any]:
    row = {"id": name, "tenant": "acme", "grant": grant, "login": "meta", "policy": "1"}
    return row | {"features": [], "asked": [], "granted": [], "declined": [], "at_ms": at_ms}


def grant(name: str, person: bytes) -> dict[str, Any]:
    row = {"id": name, "tenant": "acme", "login": "meta", "subject": digest(name), "scopes": []}
    return row | {"sealed": b"x", "version": 1, "created_at_ms": 1, "person": person}


@pytest.mark.parametrize(
    ("table", "kind", "made"),
    [(revocations, REVOKE, revocation), (signals, SIGNAL, signal)],
    ids=["revocations", "signals"],
)
def test_records_go_after_a_year_with_their_due_rows(
    database: Database, table: sa.Table, kind: str, made: Callable[..., dict[str, Any]]
) -> None:
    for name, finished_ms in (("old", OLD), ("young", YOUNG), ("open", None)):
        add(database, table, made(name, finished_ms=finished_ms))
        DueRows(database).schedule(kind, name, NOW)
    assert prune(database, NOW) == {table.name: 1}
    assert left(database, table) == ["open", "young"]
    with database.read() as connection:
        rows = connection.scalars(sa.select(due.c.key).where(due.c.kind == kind))
        assert sorted(rows) == ["open", "young"]


def test_consents_are_kept_as_long_as_their_grant_and_for_a_year(database: Database) -> None:
    add(database, grants, grant("gra_a", ANNA))
    add(
        database,
        consents,
        consent("of one that lives", "gra_a", OLD),
        consent("old", "gra_gone", OLD),
        consent("young", "gra_gone", YOUNG),
    )
    assert prune(database, NOW) == {"consents": 1}
    assert left(database, consents) == ["of one that lives", "young"]


def test_sessions_go_when_their_hour_is_over_however_many(sqlite_database: Database) -> None:
    session: dict[str, Any] = {"tenant": "acme", "business": "B", "provider": "facebook"}
    session |= {"login": "meta"}
    session |= {"features": [], "stage": "connected", "connected": [], "created_at_ms": 1}
    many = [{"id": f"s{n}", "expires_at_ms": NOW} for n in range(CHUNK_ROWS + 1)]
    rows = [session | one for one in [*many, {"id": "young", "expires_at_ms": NOW + 1}]]
    add(sqlite_database, connect_sessions, *rows)
    assert prune(sqlite_database, NOW) == {"connect_sessions": CHUNK_ROWS + 1}
    assert left(sqlite_database, connect_sessions) == ["young"]


def test_what_was_noted_of_ended_connections_goes(database: Database) -> None:
    """Also what a worker had heard and stored a moment later."""
    for name, status in (("con_a", "active"), ("con_b", "revoking"), ("con_c", "revoked")):
        add_connection(database, name, f"tenant of {name}", status)
        add(database, activity, {"connection": name, "last_at_ms": 1, "silences": {}})
        add(database, looks, {"connection": name, "missing": [], "detail": ""})
        pause = Pause(name, "paused", "moving", "test", 1, said=True)
        add(database, pauses, pause._asdict())
    assert prune(database, NOW) == {"activity": 1, "looks": 1, "pauses": 1}
    for table in (activity, looks, pauses):
        assert left(database, table) == ["con_a", "con_b"]


def test_people_go_with_the_last_grant_of_theirs(database: Database) -> None:
    add(database, grants, grant("gra_a", ANNA))
    ended_ms = NOW - DAY_MS
    named = ["consent", "waiting", "", None, ["meta", digest("named").hex()], None]
    add(database, revocations, revocation("rev_a", finished_ms=None, steps=[named]))
    people_ = {ANNA: ended_ms, OLENA: ended_ms, digest("never ended"): None}
    people_ |= {digest("just ended"): ended_ms + 60_000, digest("named"): None}
    for person, at_ms in people_.items():
        add(database, people, {"login": "meta", "person": person, "ended_at_ms": at_ms})
    ending = {"login": "meta", "person": digest("being ended"), "ending": "rev_b"}
    add(database, people, ending)
    assert prune(database, NOW) == {"people": 2}
    with database.read() as connection:
        kept = set(connection.scalars(sa.select(people.c.person)))
    assert kept == {ANNA, digest("just ended"), digest("named"), digest("being ended")}


def test_subscriptions_go_with_their_last_connection(database: Database) -> None:
    for name, status in (("con_a", "paused"), ("con_b", "revoking"), ("con_c", "revoked")):
        add_connection(database, name, f"tenant of {name}", status)
    for name in ("con_a", "con_b", "con_c", "con_gone"):
        row = {"provider": "facebook", "account": digest(name), "state": "off"}
        add(database, subscriptions, row | {"changed_at_ms": NOW - DAY_MS})
    assert prune(database, NOW) == {"subscriptions": 2}
    with database.read() as connection:
        kept = set(connection.scalars(sa.select(subscriptions.c.account)))
    assert kept == {digest("con_a"), digest("con_b")}


def test_a_consent_that_joins_meanwhile_is_kept(database: Database) -> None:
    """It finds the row, and then finds it gone; or has it before upkeep looks again."""
    add_connection(database, "con_a", "acme")
    failed: list[Exception] = []

    def upkeep() -> None:
        while not done.is_set():
            prune(database, NOW)

    done = threading.Event()
    beside = threading.Thread(target=upkeep)
    beside.start()
    try:
        for n in range(60):
            person = sharing.Person("meta", digest("person", n))
            add(database, people, {"login": "meta", "person": person.person})
            with database.write() as connection:
                sharing.join(connection, person, NOW)
                connection.execute(sa.insert(grants).values(grant(f"gra_{n}", person.person)))
    except Exception as error:  # noqa: BLE001
        failed.append(error)
    finally:
        done.set()
        beside.join()
    prune(database, NOW)
    assert failed == []
    with database.read() as connection:
        assert len(connection.scalars(sa.select(people.c.person)).all()) == 60
