"""The rows that a rotation re-seals: found by the key that sealed them, replaced if unchanged."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from storage.database import Database, driver_cursor
from storage.leases import Lease
from storage.rotations import IN_ROUNDS, Round, save_round
from storage.schema import rotations
from storage.sealed import Sealed

SPAN_ROWS: Final = 2_000
"""Rows looked at in one statement: a tenant's own may be few and far between."""
BATCH_ROWS: Final = 500
"""Rows re-sealed in one transaction."""
BATCH_BYTES: Final = 8 << 20
"""And so many sealed bytes, or one row: what is parked may have megabytes."""
PREFIX_BYTES: Final = 5
"""How sealed bytes begin: with the id of the key that sealed them."""


class Old(NamedTuple):
    """A row of a tenant in the round that another key than `sealing` has sealed."""

    key: Any
    tenant: str
    id: bytes
    sealed: bytes
    sealing: bytes


class Resealed(NamedTuple):
    """A row's bytes, and what is to stand in their place."""

    key: Any
    old: bytes
    new: bytes


class SealedRows:
    """Reads and replaces sealed bytes of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def span(self, column: Sealed, after: Any) -> tuple[Any, int]:
        """Up to which key the next rows go after `after`, and how many they are; `(None, 0)` after
        the last one.
        """
        rows = sa.select(column.key).where(*_after(column, after))
        some = rows.order_by(column.key).limit(SPAN_ROWS).subquery()
        with self._database.read() as connection:
            last = sa.func.max(some.c[column.key.name])
            found, count = connection.execute(
                sa.select(last, sa.func.count()).select_from(some)
            ).one()
        return found, count

    def old(self, column: Sealed, number: int, after: Any, upto: Any) -> Sequence[Old]:
        """The next rows after `after` and up to `upto` that round `number` is for: at most
        `BATCH_ROWS`, and `BATCH_BYTES` sealed, but for a single row. What was erased is in none.
        """
        table, some = column.table, self._some(column, number, after, upto)
        of_batch = sa.or_(some.c.upto_this <= BATCH_BYTES, some.c.upto_this == some.c.size)
        query = (
            sa.select(column.key.label("key"), some.c.sealing, table.c.tenant)
            .add_columns(table.c.sealed.label("old"), *(table.c[name] for name in column.by))
            .join(some, some.c.key == column.key)
            .where(*_between(column, after, upto), of_batch)
        )
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(column.key)).mappings()
            return [
                Old(row["key"], row["tenant"], column.id_of(row), row["old"], row["sealing"])
                for row in rows
            ]

    def _some(self, column: Sealed, number: int, after: Any, upto: Any) -> sa.Subquery:
        """The keys of `BATCH_ROWS` such rows, each with its size, and that of all up to it. Neither
        database reads a value for its length.
        """
        table, size = column.table, sa.func.length(column.table.c.sealed)
        prefix = sa.func.substr(table.c.sealed, 1, PREFIX_BYTES)
        rows = (
            sa.select(column.key.label("key"), rotations.c.sealing, size.label("size"))
            .join(rotations, rotations.c.tenant == table.c.tenant)
            .where(*_between(column, after, upto))
            .where(rotations.c.round == number, rotations.c.state.in_(IN_ROUNDS))
            .where(size > 0, prefix != rotations.c.sealing)
            .order_by(column.key)
            .limit(BATCH_ROWS)
            .subquery()
        )
        upto_this = sa.func.sum(rows.c.size).over(order_by=rows.c.key).label("upto_this")
        return sa.select(rows, upto_this).subquery()

    def put(self, column: Sealed, rows: Sequence[Resealed], done: Round, lease: Lease) -> int:
        """Replace bytes that are still the old ones, and write down how far `done` has come; how
        many were replaced. Raises `LeaseLost`, and has then replaced none. `rows` are sorted.

        Waits for nobody: what others have locked is left, so that no two can wait for each other.
        """
        if not rows:
            return 0
        names = {"table": column.table.name, "key": column.key.name}
        with self._database.write() as connection:
            cursor = driver_cursor(connection)
            if self._database.is_postgresql:
                kind = column.key.type.compile(connection.dialect)
                values = [*map(list, zip(*rows, strict=True)), rows[0].key, rows[-1].key]
                cursor.execute(_PUT.format(**names, type=kind), [*values, *values[-2:]])
            else:
                changes = [(row.new, row.key, row.old) for row in rows]
                cursor.executemany(_PUT_ONE.format(**names), changes)
            replaced: int = cursor.rowcount
            save_round(connection, done._replace(resealed=done.resealed + replaced), lease)
        return replaced


_PUT: Final = """
WITH fresh AS (
    SELECT * FROM unnest(%b::{type}[], %b::bytea[], %b::bytea[]) AS fresh(key, old, new)
), free AS MATERIALIZED (
    SELECT fresh.key, fresh.new
    FROM {table} JOIN fresh ON {table}.{key} = fresh.key AND {table}.sealed = fresh.old
    WHERE {table}.{key} BETWEEN %b AND %b
    ORDER BY fresh.key FOR NO KEY UPDATE OF {table} SKIP LOCKED
)
UPDATE {table} SET sealed = free.new FROM free
WHERE {table}.{key} = free.key AND {table}.{key} BETWEEN %b AND %b
"""
_PUT_ONE: Final = "UPDATE {table} SET sealed = ? WHERE {key} = ? AND sealed = ?"


def _between(column: Sealed, after: Any, upto: Any) -> list[sa.ColumnElement[bool]]:
    return [*_after(column, after), column.key <= upto]


def _after(column: Sealed, after: Any) -> list[sa.ColumnElement[bool]]:
    return [] if after is None else [column.key > after]
