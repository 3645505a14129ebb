"""What waits is listed in order, and found without reading what was handled."""

import re
from typing import Any

import pytest
import sqlalchemy as sa

from storage.database import Database
from storage.deliveries import Deliveries, item_id
from storage.partitions import today
from storage.schema import LANES, deferred, leases
from tests.storage.rows import add_items, digest

HANDLED = 200_000
STUCK, PUT_OFF = 7, 11
"""Lanes."""

_FILL = {
    True: "INSERT INTO inbox (day, lane, provider, run_key, n, received_at_ms, sealed) "
    "SELECT :day, n % 1024, 'facebook', '', n, n, decode(repeat('00', 100), 'hex') "
    "FROM generate_series(1, :rows) AS n",
    False: "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < :rows) "
    "INSERT INTO inbox (day, lane, provider, run_key, n, received_at_ms, sealed) "
    "SELECT :day, n % 1024, 'facebook', x'', n, n, zeroblob(100) FROM s",
}


def _mark(database: Database, mark: int, lane: int | None = None) -> None:
    """How far a lane, or each, is drained."""
    of_lanes = sa.update(leases).where(leases.c.kind == "lane")
    if lane is not None:
        of_lanes = of_lanes.where(leases.c.key == str(lane))
    with database.write() as connection:
        connection.execute(of_lanes.values(mark=mark))


def _put_off(database: Database, *items: int) -> None:
    with database.write() as connection:
        for number in items:
            row = {"lane": PUT_OFF, "route": digest("flood"), "item": number, "day": today()}
            connection.execute(sa.insert(deferred).values(row))


def _listed(database: Database, **which: Any) -> list[str]:
    return [found.id for found in Deliveries(database).list("waiting", **which)]


def test_what_waits_is_listed_in_order_over_all_lanes(database: Database) -> None:
    put_off = add_items(database, 3, lane=PUT_OFF)
    handled = add_items(database, 2000, lane=PUT_OFF)
    waiting = [
        *add_items(database, 1, lane=STUCK),
        *add_items(database, 1, lane=LANES - 1),
        *add_items(database, 1, lane=0),
        *add_items(database, 1, lane=STUCK),
    ]
    _put_off(database, *put_off[:2])
    _mark(database, handled[-1], PUT_OFF)
    every = [item_id(number) for number in (*put_off[:2], *waiting)]
    assert _listed(database) == every
    assert _listed(database, limit=3) == every[:3]
    assert _listed(database, after=every[0], limit=2) == every[1:3]
    assert _listed(database, after=every[3]) == every[4:]
    assert _listed(database, provider="facebook") == every
    assert _listed(database, provider="instagram") == []
    assert Deliveries(database).oldest_ms("waiting") == today() * 86_400_000
    _mark(database, waiting[-1])
    assert _listed(database) == every[:2]


@pytest.fixture
def filled(database: Database) -> Database:
    """Many handled items; one lane stopped long ago, and one put an item off then."""
    with database.write() as connection:
        fill = sa.text(_FILL[database.is_postgresql])
        connection.execute(fill, {"day": today(), "rows": HANDLED})
    _mark(database, HANDLED)
    _mark(database, HANDLED - 20 * 1024, STUCK)
    first = add_items(database, 1, lane=PUT_OFF)[0]
    _mark(database, first, PUT_OFF)
    _put_off(database, first)
    if database.is_postgresql:
        with database.read() as connection:
            connection.execute(sa.text("ANALYZE"))
    return database


def test_what_was_handled_is_not_read(filled: Database) -> None:
    asked: list[tuple[str, Any]] = []

    @sa.event.listens_for(filled.engine, "before_cursor_execute")
    def _ask(_c: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        asked.append((statement, parameters))

    assert len(_listed(filled)) == 21
    assert _listed(filled, provider="instagram") == []
    assert Deliveries(filled).oldest_ms("waiting") is not None
    sa.event.remove(filled.engine, "before_cursor_execute", _ask)
    for statement, parameters in asked:
        plan = _plan(filled, statement, parameters)
        assert f"Seq Scan on inbox_d{today()}" not in plan
        assert not re.search(r"Rows Removed by Filter: \d{3}", plan)
        assert not re.search(
            r"SCAN (i|inbox)\b|SEARCH (i|inbox) USING INTEGER PRIMARY KEY .rowid>", plan
        )


def _plan(database: Database, statement: str, parameters: Any) -> str:
    explain = "EXPLAIN ANALYZE" if database.is_postgresql else "EXPLAIN QUERY PLAN"
    with database.read() as connection:
        rows = connection.exec_driver_sql(f"{explain} {statement}", parameters).all()
    return "\n".join(str(row[-1]) for row in rows)
