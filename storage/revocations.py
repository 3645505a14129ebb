"""Revocations: what ends a connection, step by step, and afterwards the receipt of it."""

from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple

import sqlalchemy as sa

from contracts.errors import Conflict, NotFound
from storage import due, sharing
from storage.connecting_schema import LIVE, activity, revocations
from storage.connections import Connection, locked_status
from storage.database import Database, now_ms
from storage.escrow import InEscrow
from storage.grants import hold_refreshes, let_go
from storage.media import MediaRows
from storage.media import end as end_media
from storage.media_schema import media
from storage.pausing import forget
from storage.revocation_steps import (
    CONSENT,
    Revocation,
    Step,
    is_needed,
    planned,
    read,
    record,
    row_of,
    shared_of,
    steps_of,
)
from storage.schema import connection_grants, connections, escrow, parked
from storage.sending_schema import threads

REVOKE: Final = "revoke"
"""The kind of a revocation's due row; its key is the revocation's id."""

JOURNALED: Final = "connection"
"""The kind of a revocation's line in the erasure journal, which a restored database is told."""

_RESTORED: Final = "it had been revoked before the backup was restored"

_FIRST_MS: Final = 86_400_000
"""So long a consent waits for subscriptions that have to be ended with its tokens; then it ends all
the same, before what is in escrow is over.
"""


class Revocations:
    """The revocations of one database. Methods raise `StoreUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def order(self, connection_id: str, *, reason: str, by: str) -> Revocation:
        """Have the connection revoked: it receives nothing from now on, a worker does the rest.

        One that is being revoked already gives that revocation. Raises `NotFound`, and `Conflict`
        for one that is revoked.
        """
        with self._database.write() as connection:
            status = locked_status(connection, connection_id)
            if status == "revoking":
                return _running(connection, connection_id)
            if status == "revoked":
                raise Conflict("the connection is revoked already")
            new = planned(connection, connection_id, reason, by)
            connection.execute(sa.insert(revocations).values(row_of(new)))
            forget(connection, connection_id)
            _turn(connection, connection_id, "revoking", reason)
            due.schedule(connection, REVOKE, new.id, new.created_at_ms)
        return new

    def again(self, connection_id: str, revoked_at_ms: int) -> bool:
        """After a restore: order again what had been revoked then, unless it was connected anew
        since; whether that was to be done.
        """
        live = sa.select(connections.c.id).where(
            connections.c.id == connection_id,
            connections.c.status.in_(LIVE),
            connections.c.receives_from_ms <= revoked_at_ms,
        )
        with self._database.read() as connection:
            if connection.scalar(live) is None:
                return False
        self.order(connection_id, reason=_RESTORED, by="gateway db restored")
        return True

    def plan(self, connection_id: str) -> Sequence[tuple[Step, int]]:
        """What an order would do, and how many other live connections use what each step may end.
        Changes nothing. Raises `NotFound`.
        """
        with self._database.read() as connection:
            steps = steps_of(connection, connection_id)
            return [(step, _others(connection, step, connection_id)) for step in steps]

    def get(self, revocation_id: str) -> Revocation:
        """Raises `NotFound`."""
        query = sa.select(revocations).where(revocations.c.id == revocation_id)
        with self._database.read() as connection:
            row = connection.execute(query).first()
        if row is None:
            raise NotFound(f"no revocation {revocation_id}")
        return read(row)

    def of_connection(self, connection_id: str) -> Revocation | None:
        """The latest revocation of a connection."""
        with self._database.read() as connection:
            row = connection.execute(_latest(connection_id)).first()
        return read(row) if row else None

    def naming(self, person: sharing.Person) -> Sequence[tuple[Connection, str]]:
        """The connections that were, or are being, revoked of those to which `person` had
        consented, each with the state of its revocation; in order of their ids. Looks at all.
        """
        c, r = connections.c, revocations.c
        named = sa.cast(r.steps, sa.Text).contains(person.person.hex())
        query = sa.select(connections, r.state.label("revocation")).join(
            revocations, r.connection == c.id
        )
        with self._database.read() as connection:
            rows = connection.execute(query.where(named).order_by(c.id, r.created_at_ms))
            return [(Connection(*row[:-1]), row[-1]) for row in rows]

    def decide(
        self, row: due.Taken, revocation: Revocation, step: Step, lease_s: float
    ) -> sharing.Decision | Literal["needed"]:
        """Whether this revocation ends what `step` is about; the row is held for another call, of
        `lease_s` seconds at most.

        A consent is `needed` while a subscription is yet to be ended with its tokens, by this
        revocation or another. Raises `LeaseLost`.
        """
        waits = step.step == CONSENT and now_ms() - revocation.created_at_ms < _FIRST_MS
        until_ms = self._database.clock_ms() + int(lease_s * 1000)
        with self._database.write() as connection:
            due.renew(connection, row, until_ms)
            if waits and is_needed(connection, step):
                return "needed"
            return sharing.leave(connection, shared_of(step), row.key)

    def settle(self, row: due.Taken, step: Step, done: Step) -> None:
        """`step` became `done`, and others may join what it was about. Raises `LeaseLost`."""
        with self._database.write() as connection:
            due.check(connection, row)
            settle = sharing.ended if done.outcome == "ended" else sharing.kept
            settle(connection, shared_of(step), row.key)
            record(connection, row.key, {step: done})

    def destroy_tokens(
        self, row: due.Taken, revocation: Revocation, step: Step, kept: Sequence[InEscrow]
    ) -> None:
        """Let go of the connection's grants, and remove those that carry no other; `kept` goes into
        escrow. Raises `LeaseLost`.
        """
        with self._database.write() as connection:
            carrying = connection_grants.c.connection == revocation.connection
            hold_refreshes(connection, sa.select(connection_grants.c.grant).where(carrying))
            due.check(connection, row)
            if kept:
                connection.execute(sa.insert(escrow), [token._asdict() for token in kept])
            gone, left = let_go(connection, revocation.connection)
            detail = f"{gone} of {gone + left} grants removed"
            if left:
                detail += ", the others carry other connections"
            record(connection, row.key, {step: step._replace(outcome="done", detail=detail)})

    def purge(self, row: due.Taken, revocation: Revocation, step: Step) -> None:
        """Remove what waits for the connection and was never a message, its media, and with whom
        its conversations are. Raises `LeaseLost`.
        """
        with self._database.write() as connection:
            due.check(connection, row)
            locked_status(connection, revocation.connection)
            its_media = media.c.connection == revocation.connection
            ended = end_media(connection, its_media, "the connection was revoked")
            its = parked.c.connection == revocation.connection
            removed = connection.execute(sa.delete(parked).where(its)).rowcount
            its_threads = threads.c.connection == revocation.connection
            connection.execute(sa.delete(threads).where(its_threads))
            silent = activity.c.connection == revocation.connection
            connection.execute(sa.delete(activity).where(silent))
            detail = (
                f"{removed} parked deliveries and {ended} media removed; messages stay until the "
                "tenant ends them"
            )
            record(connection, row.key, {step: step._replace(outcome="done", detail=detail)})
        MediaRows(self._database).hurry_ending()

    def record(self, row: due.Taken, step: Step, done: Step) -> None:
        """`step` became `done`. Raises `LeaseLost`."""
        with self._database.write() as connection:
            due.check(connection, row)
            record(connection, row.key, {step: done})


class Finished(NamedTuple):
    """The last step, committed as the first of a turn, so that the feed says so with it."""

    row: due.Taken
    connection: str
    step: Step
    reason: str

    def commit(self, connection: sa.Connection) -> None:
        """Raises `LeaseLost`."""
        due.finish(connection, self.row, None)
        locked_status(connection, self.connection)
        _turn(connection, self.connection, "revoked", self.reason)
        record(connection, self.row.key, {self.step: self.step._replace(outcome="done")})
        done = {"state": "done", "finished_at_ms": now_ms()}
        this = sa.update(revocations).where(revocations.c.id == self.row.key)
        connection.execute(this.values(done))


def _others(connection: sa.Connection, step: Step, but: str) -> int:
    if step.shared is None:
        return 0
    return sharing.users(connection, shared_of(step), but=but)


def _turn(connection: sa.Connection, connection_id: str, status: str, reason: str) -> None:
    values: dict[str, object] = {
        "status": status,
        "status_reason": reason,
        "changed_at_ms": now_ms(),
        "causes": {},
        "missing": [],
    }
    this = sa.update(connections).where(connections.c.id == connection_id)
    connection.execute(this.values(values))


def _latest(connection_id: str) -> sa.Select[Any]:
    its = sa.select(revocations).where(revocations.c.connection == connection_id)
    return its.order_by(revocations.c.created_at_ms.desc(), revocations.c.id).limit(1)


def _running(connection: sa.Connection, connection_id: str) -> Revocation:
    return read(connection.execute(_latest(connection_id)).one())
