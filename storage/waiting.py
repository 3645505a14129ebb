"""Items that wait to be drained, oldest first over all lanes: what stands behind the lanes' marks,
and what was put off. What was handled is not read, however much of it there is.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from storage import undrained
from storage.database import driver_cursor
from storage.schema import SEGMENT_BITS


class Waiting(NamedTuple):
    """One item; `id` is its number in the inbox."""

    id: int
    provider: str
    received_at_ms: int


def waiting(
    connection: sa.Connection, after: int, provider: str | None, limit: int
) -> Sequence[Waiting]:
    """Up to `limit` items behind the id `after`, in order of their ids; of `provider` alone, if it
    is given.
    """
    asked = {"after": after, "provider": provider, "n": limit}
    which = "" if provider is None else "AND i.provider = :provider"
    if connection.dialect.name == "postgresql":
        behind: Iterable[Any] = connection.execute(sa.text(_BY_LANE.format(which=which)), asked)
    else:
        behind = _by_segment(connection, _IN_SEGMENT.format(which=which), asked)
    put_off = connection.execute(sa.text(_PUT_OFF.format(which=which)), asked)
    return sorted(Waiting(*row) for rows in (behind, put_off) for row in rows)[:limit]


def _by_segment(connection: sa.Connection, statement: str, asked: Mapping[str, Any]) -> list[Any]:
    """Of the lanes that have something, from the segment where the first of them stands, until
    there are enough; see `storage.undrained`.
    """
    lanes = {"lanes": json.dumps([*connection.scalars(undrained.lanes(False))])}
    cursor = driver_cursor(connection)
    first, last = cursor.execute(_SEGMENTS, {**asked, **lanes}).fetchone()
    found: list[Any] = []
    for segment in range(first, last + 1) if first is not None else ():
        here = {"segment": segment, "n": asked["n"] - len(found)}
        found += cursor.execute(statement, {**asked, **lanes, **here}).fetchall()
        if len(found) == asked["n"]:
            break
    return found


_BY_LANE: Final = """
SELECT here.* FROM leases l CROSS JOIN LATERAL (
    SELECT i.id, i.provider, i.received_at_ms FROM inbox i
    WHERE i.lane = CAST(l.key AS smallint) AND i.id > greatest(l.mark, :after) {which}
    ORDER BY i.id LIMIT :n
) AS here
WHERE l.kind = 'lane' ORDER BY here.id LIMIT :n
"""
_LANES: Final = """
json_each(:lanes) k CROSS JOIN leases l ON l.kind = 'lane' AND l.key = k.value
"""
_SEGMENTS: Final = f"""
SELECT max(min(l.mark), :after, (SELECT min(id) FROM inbox)) >> {SEGMENT_BITS},
       (SELECT max(id) FROM inbox) >> {SEGMENT_BITS} FROM {_LANES}
"""  # noqa: S608 - constants of this module
_IN_SEGMENT: Final = f"""
SELECT i.id, i.provider, i.received_at_ms FROM {_LANES} CROSS JOIN inbox i
ON i.id >> {SEGMENT_BITS} = :segment AND i.lane = CAST(l.key AS INTEGER)
WHERE i.id > l.mark AND i.id > :after {{which}} ORDER BY i.id LIMIT :n
"""  # noqa: S608 - constants of this module
# CROSS JOIN: to SQLite it says which table to begin with.
_PUT_OFF: Final = """
SELECT i.id, i.provider, i.received_at_ms FROM deferred d CROSS JOIN inbox i
WHERE i.lane = d.lane AND i.id = d.item AND i.day = d.day AND d.item > :after {which}
ORDER BY d.item LIMIT :n
"""
