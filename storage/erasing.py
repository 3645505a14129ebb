"""Erasing: rows are blanked, never removed, so that cursors do not skip; a mark refuses what is
old.
"""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from storage.database import Database, now_ms
from storage.schema import connections, erased_contacts, grants, messages, parked


class Erasing:
    """Erases from one database. Drains that compute meanwhile are held off and find the mark."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._insert = postgresql.insert if database.is_postgresql else sqlite.insert

    def contact(self, tenant: str, contact: bytes, erased_at_ms: int) -> int:
        """Blank every message of a contact (a keyed hash), and refuse older ones from now on.

        Returns how many messages were blanked.
        """
        mark = self._insert(erased_contacts).values(
            tenant=tenant, contact=contact, erased_at_ms=erased_at_ms
        )
        mark = mark.on_conflict_do_update(
            index_elements=["tenant", "contact"], set_={"erased_at_ms": erased_at_ms}
        )
        theirs = sa.and_(messages.c.tenant == tenant, messages.c.contact == contact)
        with self._database.write() as connection:
            self._hold_off(connection, tenant)
            connection.execute(mark)
            return connection.execute(_blank(theirs)).rowcount

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
            connection.execute(sa.update(grants).where(grants.c.tenant == tenant).values(emptied))
            return connection.execute(_blank(messages.c.tenant == tenant)).rowcount

    def _hold_off(self, connection: sa.Connection, tenant: str) -> None:
        """Wait for the drains that write for the tenant, and make the next ones wait for us."""
        theirs = sa.select(connections.c.id).where(connections.c.tenant == tenant)
        connection.execute(theirs.order_by(connections.c.id).with_for_update()).all()


def _blank(which: sa.ColumnElement[bool]) -> sa.Update:
    return sa.update(messages).where(which, messages.c.sealed.is_not(None)).values(sealed=None)
