"""How one delivery is found among all that the inbox holds."""

from typing import Any

import pytest
import sqlalchemy as sa

from contracts.errors import NotFound
from storage.database import Database
from storage.deliveries import Deliveries, item_id
from storage.partitions import today
from tests.storage.rows import add_items

MANY = """
INSERT INTO inbox (day, lane, provider, run_key, n, received_at_ms, sealed)
SELECT :day, n % 1024, 'facebook', '', n, 0, decode(repeat('00', 400), 'hex')
FROM generate_series(1, 100000) AS n
"""


def test_an_item_is_found_whatever_its_lane_and_day(database: Database) -> None:
    ids = [
        add_items(database, 1, lane=lane, day=day)[0]
        for lane in (0, 512, 1023)
        for day in (today() - 1, today())
    ]
    deliveries = Deliveries(database)
    assert [deliveries.stored(item_id(number)).id for number in ids] == ids
    with pytest.raises(NotFound):
        deliveries.stored(item_id(ids[-1] + 1))


@pytest.mark.postgres
def test_an_item_is_found_without_reading_the_others(postgres: Database) -> None:
    with postgres.write() as connection:
        connection.execute(sa.text(MANY), {"day": today()})
    with postgres.read() as connection:
        connection.execute(sa.text("ANALYZE inbox"))
    asked: list[tuple[str, Any]] = []

    @sa.event.listens_for(postgres.engine, "before_cursor_execute")
    def _ask(_c: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        asked.append((statement, parameters))

    assert Deliveries(postgres).stored("itm_777").lane == 777
    (statement, parameters) = asked[-1]
    with postgres.read() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).scalars().all()
    filled = [line for line in plan if f"inbox_d{today()}" in line]
    assert filled
    assert not [line for line in filled if "Seq Scan" in line]
