"""Revocations: what ends a connection, step by step, and afterwards the receipt of it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

import sqlalchemy as sa

from contracts.errors import Conflict, NotFound
from storage import due, sharing
from storage.connecting_schema import LIVE, activity, grant_names, revocations
from storage.connections import Grant, new_id
from storage.database import Database, now_ms
from storage.escrow import InEscrow
from storage.grants import REFRESH
from storage.schema import connection_grants, connections, escrow, grants, parked, routes
from storage.schema import due as due_rows

REVOKE: Final = "revoke"
"""The kind of a revocation's due row; its key is the revocation's id."""

JOURNALED: Final = "connection"
"""The kind of a revocation's line in the erasure journal, which a restored database is told."""

StepName = Literal["subscription", "consent", "tokens", "retention", "receipt"]

SUBSCRIPTION: Final = "subscription"
CONSENT: Final = "consent"
TOKENS: Final = "tokens"
RETENTION: Final = "retention"
RECEIPT: Final = "receipt"

_RESTORED: Final = "it had been revoked before the backup was restored"

OPEN: Final = ("", "waiting")
"""Outcomes of a step that is still to be done; `waiting`: the provider could not be reached."""


class Step(NamedTuple):
    """One step and how it ended: `outcome` in a word, `detail` in words.

    `shared`: what it may end at the provider, as provider or login and a keyed hash in hex; `grant`
    is whose token that takes.
    """

    step: StepName
    outcome: str = ""
    detail: str = ""
    at_ms: int | None = None
    shared: tuple[str, str] | None = None
    grant: str | None = None

    @property
    def is_open(self) -> bool:
        return self.outcome in OPEN


class Revocation(NamedTuple):
    """A row of `revocations`. `state`: running, done."""

    id: str
    connection: str
    tenant: str
    provider: str
    reason: str
    requested_by: str
    state: str
    steps: Sequence[Step]
    created_at_ms: int
    finished_at_ms: int | None


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
            status = _locked(connection, connection_id)
            if status == "revoking":
                return _running(connection, connection_id)
            if status == "revoked":
                raise Conflict("the connection is revoked already")
            new = _planned(connection, connection_id, reason, by)
            connection.execute(sa.insert(revocations).values(_row(new)))
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
            steps = _steps(connection, connection_id)
            return [(step, _others(connection, step, connection_id)) for step in steps]

    def get(self, revocation_id: str) -> Revocation:
        """Raises `NotFound`."""
        query = sa.select(revocations).where(revocations.c.id == revocation_id)
        with self._database.read() as connection:
            row = connection.execute(query).first()
        if row is None:
            raise NotFound(f"no revocation {revocation_id}")
        return _read(row)

    def of_connection(self, connection_id: str) -> Revocation | None:
        """The latest revocation of a connection."""
        with self._database.read() as connection:
            row = connection.execute(_latest(connection_id)).first()
        return _read(row) if row else None

    def decide(self, row: due.Taken, step: Step) -> sharing.Decision:
        """Whether this revocation ends what `step` is about; the row is held for another call.

        Raises `LeaseLost`.
        """
        until_ms = self._database.clock_ms() + int(due.LEASE_S * 1000)
        with self._database.write() as connection:
            due.renew(connection, row, until_ms)
            if step.step == CONSENT and _needed(connection, step, row.key):
                return "another"
            return sharing.leave(connection, shared_of(step), row.key)

    def settle(self, row: due.Taken, step: Step, done: Step) -> None:
        """`step` became `done`, and others may join what it was about. Raises `LeaseLost`."""
        with self._database.write() as connection:
            due.check(connection, row)
            settle = sharing.ended if done.outcome == "ended" else sharing.kept
            settle(connection, shared_of(step), row.key)
            record(connection, row.key, {step: done})

    def tokens_of(self, connection_id: str) -> Sequence[Grant]:
        """The grants that carry a connection, in order of their ids."""
        query = (
            sa.select(grants)
            .join(connection_grants, connection_grants.c.grant == grants.c.id)
            .where(connection_grants.c.connection == connection_id)
            .order_by(grants.c.id)
        )
        with self._database.read() as connection:
            return [Grant(*row) for row in connection.execute(query)]

    def destroy_tokens(
        self, row: due.Taken, revocation: Revocation, step: Step, kept: Sequence[InEscrow]
    ) -> None:
        """Let go of the connection's grants, and remove those that carry no other; `kept` goes into
        escrow. Raises `LeaseLost`.
        """
        with self._database.write() as connection:
            due.check(connection, row)
            if kept:
                connection.execute(sa.insert(escrow), [token._asdict() for token in kept])
            gone, left = _let_go(connection, revocation.connection)
            detail = f"{gone} of {gone + left} grants removed"
            if left:
                detail += ", the others carry other connections"
            record(connection, row.key, {step: step._replace(outcome="done", detail=detail)})

    def purge(self, row: due.Taken, revocation: Revocation, step: Step) -> None:
        """Remove what waits for the connection and was never a message. Raises `LeaseLost`."""
        with self._database.write() as connection:
            due.check(connection, row)
            its = parked.c.connection == revocation.connection
            removed = connection.execute(sa.delete(parked).where(its)).rowcount
            silent = activity.c.connection == revocation.connection
            connection.execute(sa.delete(activity).where(silent))
            detail = (
                f"{removed} parked deliveries removed; messages stay until the tenant ends them"
            )
            record(connection, row.key, {step: step._replace(outcome="done", detail=detail)})

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
        _locked(connection, self.connection)
        _turn(connection, self.connection, "revoked", self.reason)
        record(connection, self.row.key, {self.step: self.step._replace(outcome="done")})
        done = {"state": "done", "finished_at_ms": now_ms()}
        this = sa.update(revocations).where(revocations.c.id == self.row.key)
        connection.execute(this.values(done))


def record(connection: sa.Connection, revocation_id: str, changed: Mapping[Step, Step]) -> None:
    """Within a transaction that holds the due row: steps as they are now, with the time."""
    this = revocations.c.id == revocation_id
    steps = connection.execute(sa.select(revocations.c.steps).where(this)).scalar_one()
    at = now_ms()
    now = [
        list(changed[step]._replace(at_ms=at)) if step in changed else list(step)
        for step in map(_step, steps)
    ]
    connection.execute(sa.update(revocations).where(this).values(steps=now))


def remove_grants(connection: sa.Connection, ids: Sequence[str]) -> None:
    """Within a transaction: these grants are gone, with their tokens and all that goes by them."""
    connection.execute(sa.delete(connection_grants).where(connection_grants.c.grant.in_(ids)))
    connection.execute(sa.delete(grant_names).where(grant_names.c.grant.in_(ids)))
    refresh = due_rows.c.kind == REFRESH, due_rows.c.key.in_(ids)
    connection.execute(sa.delete(due_rows).where(*refresh))
    connection.execute(sa.delete(grants).where(grants.c.id.in_(ids)))


def shared_of(step: Step) -> sharing.Shared:
    """What `step` may end at the provider."""
    if step.shared is None:
        raise ValueError(f"step {step.step} ends nothing at a provider")
    name, hashed = step.shared
    kind = sharing.Account if step.step == SUBSCRIPTION else sharing.Person
    return kind(name, bytes.fromhex(hashed))


def _planned(connection: sa.Connection, connection_id: str, reason: str, by: str) -> Revocation:
    whose = sa.select(connections.c.tenant, connections.c.provider)
    tenant, provider = connection.execute(whose.where(connections.c.id == connection_id)).one()
    steps = list(_steps(connection, connection_id))
    at = now_ms()
    return Revocation(
        new_id("rev"), connection_id, tenant, provider, reason, by, "running", steps, at, None
    )


def _steps(connection: sa.Connection, connection_id: str) -> Iterator[Step]:
    """What is to be done, in order. Raises `NotFound`."""
    its = sa.select(connections.c.provider).where(connections.c.id == connection_id)
    provider = connection.scalar(its)
    if provider is None:
        raise NotFound(f"no connection {connection_id}")
    route = sa.select(routes.c.route).where(routes.c.connection == connection_id)
    for key in connection.scalars(route.order_by(routes.c.route)):
        yield Step(SUBSCRIPTION, shared=(provider, key.hex()))
    carrying = (
        sa.select(grants.c.id, grants.c.login, grants.c.person)
        .join(connection_grants, connection_grants.c.grant == grants.c.id)
        .where(connection_grants.c.connection == connection_id)
        .order_by(grants.c.id)
    )
    for grant, login, person in connection.execute(carrying):
        if person is not None:
            yield Step(CONSENT, shared=(login, person.hex()), grant=grant)
    yield Step(TOKENS)
    yield Step(RETENTION)
    yield Step(RECEIPT)


def _others(connection: sa.Connection, step: Step, but: str) -> int:
    if step.shared is None:
        return 0
    return sharing.users(connection, shared_of(step), but=but)


def _needed(connection: sa.Connection, step: Step, but: str) -> bool:
    """Whether another revocation has yet to stop a subscription, with a token of this consent."""
    shared = ("", "") if step.shared is None else step.shared
    running = sa.select(revocations.c.steps).where(
        revocations.c.state == "running",
        revocations.c.id != but,
        sa.cast(revocations.c.steps, sa.Text).contains(shared[1]),
    )
    for stored in connection.scalars(running):
        steps = [_step(one) for one in stored]
        ends_it = any(one.step == CONSENT and one.shared == shared for one in steps)
        if ends_it and any(one.step == SUBSCRIPTION and one.is_open for one in steps):
            return True
    return False


def _let_go(connection: sa.Connection, connection_id: str) -> tuple[int, int]:
    """How many grants were removed, and how many were not."""
    links = connection_grants
    its = sa.select(links.c.grant).where(links.c.connection == connection_id)
    held = sa.select(grants.c.id).where(grants.c.id.in_(its)).order_by(grants.c.id)
    ids = list(connection.scalars(held.with_for_update()))
    connection.execute(sa.delete(links).where(links.c.connection == connection_id))
    used = set(connection.scalars(sa.select(links.c.grant).where(links.c.grant.in_(ids))))
    gone = [id_ for id_ in ids if id_ not in used]
    remove_grants(connection, gone)
    return len(gone), len(used)


def _locked(connection: sa.Connection, connection_id: str) -> str:
    query = sa.select(connections.c.status).where(connections.c.id == connection_id)
    status: str | None = connection.scalar(query.with_for_update())
    if status is None:
        raise NotFound(f"no connection {connection_id}")
    return status


def _turn(connection: sa.Connection, connection_id: str, status: str, reason: str) -> None:
    values: dict[str, object] = {
        "status": status,
        "status_reason": reason,
        "changed_at_ms": now_ms(),
        "missing": [],
    }
    this = sa.update(connections).where(connections.c.id == connection_id)
    connection.execute(this.values(values))


def _latest(connection_id: str) -> sa.Select[Any]:
    its = sa.select(revocations).where(revocations.c.connection == connection_id)
    return its.order_by(revocations.c.created_at_ms.desc(), revocations.c.id).limit(1)


def _running(connection: sa.Connection, connection_id: str) -> Revocation:
    return _read(connection.execute(_latest(connection_id)).one())


def _row(revocation: Revocation) -> dict[str, Any]:
    return revocation._asdict() | {"steps": [list(step) for step in revocation.steps]}


def _read(row: Any) -> Revocation:
    return Revocation(*row)._replace(steps=[_step(step) for step in row.steps])


def _step(stored: Sequence[Any]) -> Step:
    step = Step(*stored)
    return step._replace(shared=None if step.shared is None else (step.shared[0], step.shared[1]))
