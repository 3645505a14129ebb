"""Unrouted items for which a connection has appeared."""

import sqlalchemy as sa

from storage.database import Database
from storage.schema import connections, inbox, routes, unrouted
from storage.turns import TAKING, StoredItem


def routable(database: Database, after: int, limit: int) -> list[StoredItem]:
    """Unrouted items behind number `after` that a connection may have by now, oldest first."""
    taker = (
        sa.exists()
        .where(routes.c.route == unrouted.c.route, connections.c.id == routes.c.connection)
        .where(
            connections.c.status.in_(TAKING),
            connections.c.receives_from_ms <= unrouted.c.received_at_ms,
        )
    )
    same = sa.and_(
        inbox.c.lane == unrouted.c.lane,
        inbox.c.id == unrouted.c.item,
        inbox.c.day == unrouted.c.day,
    )
    query = (
        sa.select(*(inbox.c[name] for name in StoredItem._fields))
        .join(unrouted, same)
        .where(taker, unrouted.c.item > after)
        .order_by(inbox.c.id)
        .limit(limit)
    )
    with database.read() as connection:
        return [StoredItem(*row) for row in connection.execute(query)]
