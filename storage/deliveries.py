"""Inbound deliveries as operators see them: waiting, unrouted, parked, paused, handled."""

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from contracts.causes import PAUSED
from contracts.errors import InvalidInput, NotFound
from storage.connections import new_id
from storage.database import Database
from storage.schema import LANES, deferred, inbox, leases, parked, unrouted
from storage.turns import Park, StoredItem
from storage.waiting import waiting

Status = Literal["waiting", "unrouted", "parked", "paused", "handled"]
STATUSES: Final[tuple[Status, ...]] = ("waiting", "unrouted", "parked", "paused", "handled")


class Delivery(NamedTuple):
    """One stored item. `id` is `itm_<number>`, or `prk_…` for an item that is parked for one
    connection, or waits for it while it is `paused`.
    """

    id: str
    status: Status
    provider: str
    received_at_ms: int
    tenant: str | None = None
    connection: str | None = None
    reason: str = ""
    detail: str = ""


def item_id(number: int) -> str:
    """How an inbox row is named outside."""
    return f"itm_{number}"


def park_id(number: int) -> str:
    """A new id for what is parked of inbox row `number`: ids sort as their items do."""
    return new_id(f"prk_{number:016x}")


def item_number(delivery: str) -> int:
    """The inverse of `item_id`. Raises `NotFound`, as such a delivery cannot exist."""
    digits = delivery.removeprefix("itm_")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 19) or digits == delivery:
        raise NotFound(f"no delivery {delivery}")
    return int(digits)


class Deliveries:
    """Lists and finds deliveries of one database; content stays sealed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list(
        self,
        status: str,
        *,
        provider: str | None = None,
        after: str | None = None,
        limit: int = 100,
        tenant: str | None = None,
    ) -> Sequence[Delivery]:
        """Oldest first, after the id `after`. Raises `InvalidInput` for a status without a list.

        `tenant` narrows parked and paused ones; what waits or is unrouted belongs to no tenant yet.
        """
        if status in ("parked", "paused"):
            which = _PAUSED if status == "paused" else _UNREAD
            return self._parked(which, provider, after, limit, tenant)
        if status == "unrouted":
            return self._unrouted(provider, after, limit)
        if status == "waiting":
            return self._waiting(provider, after, limit)
        raise InvalidInput("status: one of waiting, unrouted, parked")

    def _unrouted(self, provider: str | None, after: str | None, limit: int) -> Sequence[Delivery]:
        query = sa.select(unrouted.c.item, unrouted.c.provider, unrouted.c.received_at_ms)
        if provider:
            query = query.where(unrouted.c.provider == provider)
        query = query.where(unrouted.c.item > (item_number(after) if after else 0))
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(unrouted.c.item).limit(limit))
            return [Delivery(item_id(n), "unrouted", origin, at) for n, origin, at in rows]

    def _waiting(self, provider: str | None, after: str | None, limit: int) -> Sequence[Delivery]:
        number = item_number(after) if after else 0
        with self._database.read() as connection:
            found = waiting(connection, number, provider or None, limit)
        return [Delivery(item_id(n), "waiting", origin, at) for n, origin, at in found]

    def get(self, delivery: str) -> Delivery:
        """Raises `NotFound`."""
        with self._database.read() as connection:
            if delivery.startswith("prk_"):
                row = connection.execute(sa.select(parked).where(parked.c.id == delivery)).first()
                if row is None:
                    raise NotFound(f"no delivery {delivery}")
                return _as_delivery(row)
            item = self._item(connection, item_number(delivery))
            return Delivery(
                delivery, self._status(connection, item), item.provider, item.received_at_ms
            )

    def stored(self, delivery: str) -> StoredItem:
        """The inbox row of `itm_…`. Raises `NotFound`, also once its day was removed."""
        with self._database.read() as connection:
            return self._item(connection, item_number(delivery))

    def park(self, delivery: str) -> Park:
        """The parked row of `prk_…`. Raises `NotFound`."""
        columns = [parked.c[name] for name in Park._fields]
        with self._database.read() as connection:
            row = connection.execute(sa.select(*columns).where(parked.c.id == delivery)).first()
        if row is None:
            raise NotFound(f"no delivery {delivery}")
        return Park(*row)

    def counts(self) -> dict[str, int]:
        """How many deliveries are unrouted and parked; what waits for a paused connection is not
        counted.
        """
        with self._database.read() as connection:
            return {
                "unrouted": connection.scalar(sa.select(sa.func.count()).select_from(unrouted))
                or 0,
                "parked": connection.scalar(
                    sa.select(sa.func.count()).select_from(parked).where(_UNREAD)
                )
                or 0,
            }

    def oldest_ms(self, status: Literal["waiting", "unrouted", "parked"]) -> int | None:
        """When the oldest delivery of a status came in; None when there is none. Of those that
        wait it is the first: ids grow as items are accepted.
        """
        if status == "waiting":
            first = self._waiting(None, None, 1)
            return first[0].received_at_ms if first else None
        oldest = sa.select(sa.func.min(unrouted.c.received_at_ms))
        if status == "parked":
            oldest = sa.select(sa.func.min(parked.c.received_at_ms)).where(_UNREAD)
        with self._database.read() as connection:
            found: int | None = connection.scalar(oldest)
        return found

    def parks_of(self, item: int) -> Sequence[str]:
        """Ids of what is parked of an item, but for what waits for paused connections."""
        its = sa.select(parked.c.id).where(parked.c.item == item, _UNREAD)
        with self._database.read() as connection:
            return [*connection.scalars(its)]

    def _parked(
        self,
        which: sa.ColumnElement[bool],
        provider: str | None,
        after: str | None,
        limit: int,
        tenant: str | None,
    ) -> Sequence[Delivery]:
        """In order of their items, which their ids begin with."""
        query = sa.select(parked).where(which).order_by(parked.c.id).limit(limit)
        if tenant is not None:
            query = query.where(parked.c.tenant == tenant)
        if provider:
            query = query.where(parked.c.provider == provider)
        if after:
            query = query.where(parked.c.id > after)
        with self._database.read() as connection:
            return [_as_delivery(row) for row in connection.execute(query)]

    def _item(self, connection: sa.Connection, number: int) -> StoredItem:
        """PostgreSQL's primary key begins with the lane: each is asked, rather than every row."""
        columns = [inbox.c[name] for name in StoredItem._fields]
        query = sa.select(*columns).where(inbox.c.id == number)
        if self._database.is_postgresql:
            lanes = sa.literal(list(range(LANES)), postgresql.ARRAY(sa.SmallInteger))
            query = query.where(inbox.c.lane == sa.any_(lanes))
        row = connection.execute(query).first()
        if row is None:
            raise NotFound(f"no delivery {item_id(number)}")
        return StoredItem(*row)

    def _status(self, connection: sa.Connection, item: StoredItem) -> Status:
        mark = connection.scalar(
            sa.select(leases.c.mark).where(leases.c.kind == "lane", leases.c.key == str(item.lane))
        )
        if connection.scalar(sa.select(unrouted.c.item).where(unrouted.c.item == item.id)):
            return "unrouted"
        why = sa.select(parked.c.reason).where(parked.c.item == item.id)
        if reasons := set(connection.scalars(why)):
            return "paused" if reasons == {PAUSED} else "parked"
        held = sa.select(deferred.c.item).where(
            deferred.c.lane == item.lane, deferred.c.item == item.id
        )
        return "waiting" if item.id > (mark or 0) or connection.scalar(held) else "handled"


_PAUSED: Final = parked.c.reason == PAUSED
_UNREAD: Final = parked.c.reason != PAUSED


def _as_delivery(row: sa.Row[tuple[object, ...]]) -> Delivery:
    return Delivery(
        row.id,
        "paused" if row.reason == PAUSED else "parked",
        row.provider,
        row.received_at_ms,
        row.tenant,
        row.connection,
        row.reason,
        row.detail,
    )
