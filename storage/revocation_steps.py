"""What a revocation is: its steps, in order, and how they are kept in its row."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

import sqlalchemy as sa

from contracts.errors import NotFound
from storage import sharing
from storage.connecting_schema import revocations
from storage.connections import new_id
from storage.database import now_ms
from storage.schema import connection_grants, connections, grants, routes

StepName = Literal["subscription", "consent", "tokens", "retention", "receipt"]

SUBSCRIPTION: Final = "subscription"
CONSENT: Final = "consent"
TOKENS: Final = "tokens"
RETENTION: Final = "retention"
RECEIPT: Final = "receipt"

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


def planned(connection: sa.Connection, connection_id: str, reason: str, by: str) -> Revocation:
    """Within a transaction that holds the connection: the revocation as it begins."""
    whose = sa.select(connections.c.tenant, connections.c.provider)
    tenant, provider = connection.execute(whose.where(connections.c.id == connection_id)).one()
    steps = list(steps_of(connection, connection_id))
    at = now_ms()
    return Revocation(
        new_id("rev"), connection_id, tenant, provider, reason, by, "running", steps, at, None
    )


def steps_of(connection: sa.Connection, connection_id: str) -> Iterator[Step]:
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


def shared_of(step: Step) -> sharing.Shared:
    """What `step` may end at the provider."""
    if step.shared is None:
        raise ValueError(f"step {step.step} ends nothing at a provider")
    name, hashed = step.shared
    kind = sharing.Account if step.step == SUBSCRIPTION else sharing.Person
    return kind(name, bytes.fromhex(hashed))


def is_needed(connection: sa.Connection, step: Step) -> bool:
    """Whether a revocation has yet to end a subscription, with a token of this consent."""
    shared = ("", "") if step.shared is None else step.shared
    running = sa.select(revocations.c.steps).where(
        revocations.c.state == "running",
        sa.cast(revocations.c.steps, sa.Text).contains(shared[1]),
    )
    for stored in connection.scalars(running):
        steps = [_step(one) for one in stored]
        ends_it = any(one.step == CONSENT and one.shared == shared for one in steps)
        if ends_it and any(one.step == SUBSCRIPTION and one.is_open for one in steps):
            return True
    return False


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


def row_of(revocation: Revocation) -> dict[str, Any]:
    """As it is stored."""
    return revocation._asdict() | {"steps": [list(step) for step in revocation.steps]}


def read(row: Any) -> Revocation:
    """A stored one."""
    return Revocation(*row)._replace(steps=[_step(step) for step in row.steps])


def _step(stored: Sequence[Any]) -> Step:
    step = Step(*stored)
    return step._replace(shared=None if step.shared is None else (step.shared[0], step.shared[1]))
