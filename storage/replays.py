"""Replays: durable orders to run stored deliveries again, and what came of them."""

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

import sqlalchemy as sa

from contracts.errors import LeaseLost, NotFound
from storage.connections import new_id
from storage.database import Database, now_ms
from storage.leases import Lease
from storage.schema import leases, replays

State = Literal["queued", "done", "failed"]
LEASE: Final = "replay"


class Replay(NamedTuple):
    """One order. `status` and `provider` choose deliveries, or `delivery` names one.

    `after` is the last delivery that was run. Of the `items` so far, `added` messages were new,
    `duplicate` ones were there already; `parked` items could not be read again, `failed` ones not
    be run at all (`detail` says why the first of them).
    """

    id: str
    delivery: str | None
    status: str | None
    provider: str | None
    state: State
    after: str | None
    items: int
    failed: int
    added: int
    duplicate: int
    parked: int
    detail: str
    requested_at_ms: int
    finished_at_ms: int | None


class Replays:
    """Stores replays of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def order(
        self, *, delivery: str | None = None, status: str | None = None, provider: str | None = None
    ) -> Replay:
        """A new replay, for a worker to carry out."""
        new = Replay(
            id=new_id("rpl"),
            delivery=delivery,
            status=status,
            provider=provider,
            state="queued",
            after=None,
            items=0,
            failed=0,
            added=0,
            duplicate=0,
            parked=0,
            detail="",
            requested_at_ms=now_ms(),
            finished_at_ms=None,
        )
        with self._database.write() as connection:
            connection.execute(sa.insert(replays).values(**new._asdict()))
        return new

    def get(self, replay_id: str) -> Replay:
        """Raises `NotFound`."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(replays).where(replays.c.id == replay_id)).first()
        if row is None:
            raise NotFound(f"no replay {replay_id}")
        return Replay(*row)

    def queued(self) -> Sequence[Replay]:
        """What waits for a worker, oldest first."""
        waiting = sa.select(replays).where(replays.c.state == "queued")
        with self._database.read() as connection:
            rows = connection.execute(waiting.order_by(replays.c.requested_at_ms))
            return [Replay(*row) for row in rows]

    def save(self, replay: Replay, lease: Lease) -> None:
        """Record progress or outcome. Raises `LeaseLost` when another worker is at it by now."""
        theirs = sa.exists().where(
            leases.c.kind == lease.kind,
            leases.c.key == lease.key,
            leases.c.owner == lease.owner,
            leases.c.fence == lease.fence,
        )
        same = (replays.c.id == replay.id, replays.c.state == "queued", theirs)
        with self._database.write() as connection:
            saved = sa.update(replays).where(*same).values(replay._asdict())
            if connection.execute(saved).rowcount != 1:
                raise LeaseLost(f"replay {replay.id}")
