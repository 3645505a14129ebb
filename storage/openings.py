"""How often tokens were opened: by which job, of which grant, in which minute."""

from collections.abc import Collection, Sequence
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from contracts.tokens import Opening
from storage.database import Database
from storage.schema import token_openings

MINUTE_MS: Final = 60_000
_CHUNK_MINUTES: Final = 60
"""Minutes that are removed in one transaction."""


class TokenOpenings:
    """Stores openings of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, counted: Sequence[Opening]) -> None:
        """Store counts as they stand now: a count replaces the smaller one that was stored before,
        so that storing twice counts once. Raises `StoreUnavailable`.
        """
        dialect = postgresql if self._database.is_postgresql else sqlite
        insert = dialect.insert(token_openings)
        key = ["grant", "minute", "job", "process"]
        later = insert.on_conflict_do_update(
            index_elements=key,
            set_={"times": insert.excluded.times},
            where=token_openings.c.times < insert.excluded.times,
        )
        rows = [row._asdict() for row in sorted(counted)]
        if rows:
            with self._database.write() as connection:
                connection.execute(later, rows)

    def of_grants(self, ids: Collection[str], limit: int = 1000) -> Sequence[Opening]:
        """The newest `limit` openings of these grants that are kept, newest minutes first."""
        table = token_openings
        newest = sa.select(table).where(table.c.grant.in_(ids)).order_by(table.c.minute.desc())
        query = newest.limit(limit)
        with self._database.read() as connection:
            return [Opening(*row) for row in connection.execute(query)]

    def prune(self, before_ms: int) -> int:
        """Remove what is of minutes before `before_ms`; returns how many rows that were."""
        removed, end = 0, before_ms // MINUTE_MS
        while (first := self._first_minute()) is not None and first < end:
            upto = min(first + _CHUNK_MINUTES, end)
            old = sa.delete(token_openings).where(token_openings.c.minute < upto)
            with self._database.write() as connection:
                removed += connection.execute(old).rowcount
        return removed

    def _first_minute(self) -> int | None:
        with self._database.read() as connection:
            first: int | None = connection.scalar(sa.select(sa.func.min(token_openings.c.minute)))
            return first
