"""Erasing: rows are blanked, never removed, so that cursors do not skip; a mark refuses what is
old.

The mark is committed first, under the connections' locks: from then on nothing old is written any
more. What is in the log is blanked afterwards, in short transactions without locks, while the
tenant's other messages go on.
"""

from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from storage.database import Database, now_ms
from storage.lookups import lookups
from storage.media import MediaRows
from storage.media import end as end_media
from storage.media_schema import media
from storage.profiles import profiles
from storage.schema import connections, erased_contacts, grants, messages, parked
from storage.sending_schema import sends, threads


class Erasing:
    """Erases from one database. Drains that compute meanwhile are held off and find the mark.

    What failed in the middle is to be called again: each step may be done twice.
    """

    chunk: ClassVar[int] = 10_000
    """Positions looked at in one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._insert = postgresql.insert if database.is_postgresql else sqlite.insert
        self._later = sa.func.greatest if database.is_postgresql else sa.func.max

    def contact(self, tenant: str, contact: bytes, erased_at_ms: int) -> int:
        """Blank every message of a contact (a keyed hash), and refuse older ones from now on.

        What is parked stays: whom it concerns is known to nobody who has not opened it. It is
        refused when it is replayed, and ends with its keeping. Returns how many messages were
        blanked.
        """
        mark = self._insert(erased_contacts).values(
            tenant=tenant, contact=contact, erased_at_ms=erased_at_ms
        )
        latest = self._later(erased_contacts.c.erased_at_ms, mark.excluded.erased_at_ms)
        mark = mark.on_conflict_do_update(
            index_elements=["tenant", "contact"], set_={"erased_at_ms": latest}
        )
        with self._database.write() as connection:
            self._hold_off(connection, tenant)
            connection.execute(mark)
            _forget(connection, tenant, contact)
            end_media(connection, _theirs(tenant, contact), "erased")
            end = _end(connection)
        MediaRows(self._database).hurry_ending()
        return self._blank(sa.and_(messages.c.tenant == tenant, messages.c.contact == contact), end)

    def tenant(self, tenant: str) -> int:
        """Blank every message of a tenant whose keys are destroyed, and end its connections.

        Returns how many messages were blanked.
        """
        ended = {"status": "revoked", "status_reason": "tenant erased", "changed_at_ms": now_ms()}
        with self._database.write() as connection:
            self._hold_off(connection, tenant)
            connection.execute(
                sa.update(connections).where(connections.c.tenant == tenant).values(ended)
            )
            connection.execute(sa.delete(parked).where(parked.c.tenant == tenant))
            emptied = {"sealed": b"", "version": grants.c.version + 1}
            _forget(connection, tenant)
            end_media(connection, media.c.tenant == tenant, "erased")
            connection.execute(sa.update(grants).where(grants.c.tenant == tenant).values(emptied))
            end = _end(connection)
        MediaRows(self._database).hurry_ending()
        return self._blank(messages.c.tenant == tenant, end)

    def _hold_off(self, connection: sa.Connection, tenant: str) -> None:
        """Wait for the drains that write for the tenant, and make the next ones wait for us."""
        theirs = sa.select(connections.c.id).where(connections.c.tenant == tenant)
        connection.execute(theirs.order_by(connections.c.id).with_for_update()).all()

    def _blank(self, which: sa.ColumnElement[bool], end: int) -> int:
        """Blank up to position `end`, in chunks; only those that have something are locked."""
        with self._database.read() as connection:
            first = connection.scalar(sa.select(sa.func.min(messages.c.position))) or 0
        blanked = 0
        for low in range(first, end + 1, self.chunk):
            chunk = messages.c.position.between(low, min(low + self.chunk - 1, end))
            clear = (chunk, which, messages.c.sealed.is_not(None))
            with self._database.read() as connection:
                found = connection.scalar(sa.select(messages.c.position).where(*clear).limit(1))
            if found is not None:
                blanked += self._write(sa.update(messages).where(*clear).values(sealed=None))
        return blanked

    def _write(self, statement: sa.Update) -> int:
        with self._database.write() as connection:
            rows: sa.CursorResult[Any] = connection.execute(statement)
            return rows.rowcount


def _forget(connection: sa.Connection, tenant: str, contact: bytes | None = None) -> None:
    """With whom the tenant's conversations were, what is known of them, what waits to be looked up,
    and what was, or is, to go out; of one contact, or all of it.
    """
    for table in (threads, lookups, profiles, sends):
        whose = table.c.contact == contact if contact is not None else sa.true()
        theirs = sa.and_(table.c.tenant == tenant, whose)
        blanked = sa.update(table).where(theirs).values(sealed=b"")
        connection.execute(blanked if table is sends else sa.delete(table).where(theirs))


def _theirs(tenant: str, contact: bytes) -> sa.ColumnElement[bool]:
    return sa.and_(media.c.tenant == tenant, media.c.contact == contact)


def _end(connection: sa.Connection) -> int:
    """The last position; asked while the drains are held off, so that it covers what they wrote."""
    return connection.scalar(sa.select(sa.func.max(messages.c.position))) or 0
