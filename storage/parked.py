"""Parked items that are too old to be replayed."""

import sqlalchemy as sa

from storage.database import Database
from storage.schema import parked


def drop_parked(database: Database, before_ms: int) -> int:
    """Remove what was received before `before_ms`; returns how many items."""
    with database.write() as connection:
        old = sa.delete(parked).where(parked.c.received_at_ms < before_ms)
        return connection.execute(old).rowcount
