"""Consumers: named readers whose position the gateway keeps."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from contracts.errors import Conflict, NotFound
from storage.cursors import Cursor
from storage.database import Database, now_ms
from storage.schema import consumers


class Consumer(NamedTuple):
    """A consumer's row. `scope` is the tenant of the key that made it, or empty for a key of all
    tenants: names are unique within it.
    """

    scope: str
    name: str
    tenant: str | None
    types: Sequence[str]
    position: int
    tag: int
    created_at_ms: int
    committed_at_ms: int

    @property
    def cursor(self) -> Cursor:
        return Cursor(self.position, self.tag)


class Consumers:
    """Stores consumers of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(
        self, scope: str, name: str, start: Cursor, tenant: str | None, types: Sequence[str]
    ) -> tuple[Consumer, bool]:
        """Create the consumer, or return the one that is there (True when it is new).

        Raises `Conflict` when it exists with another tenant or other types.
        """
        now = now_ms()
        new = Consumer(scope, name, tenant, sorted(set(types)), *start, now, now)
        insert = (postgresql if self._database.is_postgresql else sqlite).insert(consumers)
        made = insert.values(**new._asdict()).on_conflict_do_nothing().returning(consumers.c.name)
        with self._database.write() as connection:
            if connection.execute(made).first():
                return new, True
            old = Consumer(*connection.execute(self._row(scope, name)).one())
        if (old.tenant, list(old.types)) != (new.tenant, list(new.types)):
            raise Conflict(f"consumer {name} exists with another tenant or other types")
        return old, False

    def get(self, scope: str, name: str) -> Consumer:
        """Raises `NotFound`."""
        with self._database.read() as connection:
            row = connection.execute(self._row(scope, name)).first()
        if row is None:
            raise NotFound(f"no consumer {name}")
        return Consumer(*row)

    def commit(self, scope: str, name: str, cursor: Cursor, *, rewind: bool) -> Consumer:
        """Move the position to `cursor`; backwards only with `rewind`. Raises `NotFound`,
        `Conflict`.
        """
        forward = sa.true() if rewind else consumers.c.position <= cursor.position
        move = (
            sa.update(consumers)
            .where(consumers.c.scope == scope, consumers.c.name == name, forward)
            .values(position=cursor.position, tag=cursor.tag, committed_at_ms=now_ms())
        )
        with self._database.write() as connection:
            moved = connection.execute(move).rowcount
        consumer = self.get(scope, name)
        if not moved:
            raise Conflict('the commit goes backwards; say "rewind": true to read again')
        return consumer

    def _row(self, scope: str, name: str) -> sa.Select[Any]:
        return sa.select(consumers).where(consumers.c.scope == scope, consumers.c.name == name)
