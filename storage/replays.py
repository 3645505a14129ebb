"""Replays: durable orders to run stored deliveries again, and what came of them."""

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

import sqlalchemy as sa

from contracts.errors import NotFound
from storage.connections import new_id
from storage.database import Database, now_ms
from storage.schema import replays

State = Literal["queued", "done", "failed"]
LEASE: Final = "replay"


class Replay(NamedTuple):
    """One order. `status` and `provider` choose deliveries, or `delivery` names one.

    `added` messages were new, `duplicate` ones were there already, `parked` items failed again.
    """

    id: str
    delivery: str | None
    status: str | None
    provider: str | None
    state: State
    items: int
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
            new_id("rpl"), delivery, status, provider, "queued", 0, 0, 0, 0, "", now_ms(), None
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

    def save(self, replay: Replay) -> None:
        """Record progress or outcome."""
        values = replay._asdict()
        with self._database.write() as connection:
            connection.execute(sa.update(replays).where(replays.c.id == replay.id).values(values))
