"""Rotations of tenants' data keys: what was ordered, and how far it has come."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from contracts.errors import LeaseLost
from storage.database import Database, now_ms
from storage.leases import Lease
from storage.schema import leases, reseal_rounds, rotations
from storage.sealed import SEALED

LEASE: Final = "reseal"

State = Literal[
    "ordered", "sealing", "settling", "checking", "done", "retiring", "retired", "ended"
]
IN_ROUNDS: Final[tuple[State, ...]] = ("sealing", "checking", "retiring")
OVER: Final[tuple[State, ...]] = ("done", "retired", "ended")
HELD: Final = "held"
"""What `states` counts those under that are held."""
AGAIN_MS: Final = 300_000
"""How long a tenant that is held is left alone before its keys are tried again."""
_CHUNK: Final = 500


class Rotation(NamedTuple):
    """A tenant's last rotation, in one of these states.

    ordered; sealing: there is a new key, and a round re-seals what is under another; settling: some
    process may still seal with the old key, until `settled_ms`; checking: a last round; done;
    retiring, when that was ordered: one more round; retired: the old keys are removed. Or ended:
    the tenant's keys were destroyed. `detail` says why it ended, or why it is held.

    Held: the keys do not open, or not now. It is in no round then, and so neither done nor retired
    by one: its rows were not all looked at. It goes on from where it was, with a round of its own.
    """

    tenant: str
    state: State
    before: bytes | None
    sealing: bytes | None
    round: int
    settled_ms: int
    detail: str
    ordered_at_ms: int
    changed_at_ms: int

    @property
    def held(self) -> bool:
        """Whether it waits for its tenant's keys."""
        return self.state not in OVER and self.detail != ""


class Round(NamedTuple):
    """One way through every sealed column. Of about `total` rows it has `looked_at` some.

    `left` rows changed or were locked while they were re-sealed, `unreadable` ones do not open.
    """

    id: int
    place: str
    after: str | None
    looked_at: int
    total: int
    resealed: int
    left: int
    unreadable: int
    started_at_ms: int
    finished_at_ms: int | None


_IS_HELD: Final = sa.and_(rotations.c.detail != "", rotations.c.state.not_in(OVER))


def _tried_again() -> tuple[sa.ColumnElement[bool], ...]:
    return _IS_HELD, rotations.c.changed_at_ms <= now_ms() - AGAIN_MS


class Rotations:
    """Stores rotations of one database. Whoever carries them out holds the lease `reseal`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # -- ordering -----------------------------------------------------------------------------

    def order(self, tenants: Iterable[str]) -> int:
        """Have the tenants' keys made anew; how many were not being so already."""
        insert = (postgresql if self._database.is_postgresql else sqlite).insert(rotations)
        now = now_ms()
        values: dict[str, Any] = {"state": "ordered", "before": None, "detail": ""}
        values |= {"ordered_at_ms": now, "changed_at_ms": now}
        over = sa.or_(*(rotations.c.state == state for state in OVER))  # no list: executemany
        statement = insert.on_conflict_do_update(index_elements=["tenant"], set_=values, where=over)
        ordered = [{"tenant": tenant, **values} for tenant in tenants]
        with self._database.write() as connection:
            new = connection.scalars(statement.returning(rotations.c.tenant), ordered)
            return len(new.all()) if ordered else 0

    def order_retiring(self, tenants: Iterable[str]) -> int:
        """Have the tenants' old keys removed, where everything is under the new one; how many."""
        retiring = sa.update(rotations).where(rotations.c.state == "done")
        retiring = retiring.values(state="retiring", changed_at_ms=now_ms())
        with self._database.write() as connection:
            return sum(
                connection.execute(retiring.where(rotations.c.tenant == tenant)).rowcount
                for tenant in tenants
            )

    # -- looking ------------------------------------------------------------------------------

    def get(self, tenant: str) -> Rotation | None:
        """The tenant's last rotation."""
        with self._database.read() as connection:
            query = sa.select(rotations).where(rotations.c.tenant == tenant)
            row = connection.execute(query).first()
        return Rotation(*row) if row else None

    def states(self) -> Counter[str]:
        """How many tenants are in each state; those that are held are counted apart."""
        count = sa.func.count().label("tenants")
        state = sa.case((_IS_HELD, HELD), else_=rotations.c.state).label("state")
        query = sa.select(state, count).group_by(state)
        with self._database.read() as connection:
            return Counter({row.state: row.tenants for row in connection.execute(query)})

    def in_state(self, state: State, after: str, limit: int) -> Sequence[Rotation]:
        """Tenants in `state` that are not held, by name, those after `after`."""
        after_it = rotations.c.tenant > after
        return self._some(limit, after_it, rotations.c.state == state, ~_IS_HELD)

    def held(self, after: str, limit: int) -> Sequence[Rotation]:
        """Tenants that are held and whose keys are to be tried again now, by name, those after
        `after`.
        """
        return self._some(limit, rotations.c.tenant > after, *_tried_again())

    def told(self, limit: int) -> Sequence[Rotation]:
        """Tenants that are held or whose rotation ended, for which there is a reason; those that
        are held first.
        """
        first = sa.case((_IS_HELD, 0), else_=1)
        return self._some(limit, rotations.c.detail != "", first=first)

    def _some(
        self, limit: int, *which: sa.ColumnElement[bool], first: sa.ColumnElement[Any] | None = None
    ) -> Sequence[Rotation]:
        order = [rotations.c.tenant] if first is None else [first, rotations.c.tenant]
        query = sa.select(rotations).where(*which).order_by(*order).limit(limit)
        with self._database.read() as connection:
            return [Rotation(*row) for row in connection.execute(query)]

    def is_due(self) -> bool:
        """Whether there is something to do now."""
        under_way = sa.and_(rotations.c.state.in_(("ordered", *IN_ROUNDS)), ~_IS_HELD)
        settled = sa.and_(rotations.c.state == "settling", rotations.c.settled_ms <= now_ms())
        due = sa.or_(under_way, settled, sa.and_(*_tried_again()))
        with self._database.read() as connection:
            return connection.scalar(sa.select(rotations.c.tenant).where(due).limit(1)) is not None

    def last_round(self) -> Round | None:
        """The round that is under way, or the last one."""
        query = sa.select(reseal_rounds).order_by(reseal_rounds.c.id.desc()).limit(1)
        with self._database.read() as connection:
            row = connection.execute(query).first()
        return Round(*row) if row else None

    # -- carrying out -------------------------------------------------------------------------

    def hold(self, lease: Lease, tenant: str, why: str) -> None:
        """Take the tenant out of the round: nothing becomes of it before `release`. Raises
        `LeaseLost`.
        """
        self.change(lease, [tenant], round=0, detail=why)

    def release(self, lease: Lease, tenant: str) -> None:
        """The tenant goes on from where it was, in rounds with the next one. Raises `LeaseLost`."""
        self.change(lease, [tenant], detail="")

    def change(self, lease: Lease, tenants: Iterable[str], **values: Any) -> None:
        """Write down what became of the tenants. Raises `LeaseLost`."""
        values["changed_at_ms"] = now_ms()
        names = sorted(tenants)
        with self._database.write() as connection:
            check_held(connection, lease)
            for first in range(0, len(names), _CHUNK):
                these = rotations.c.tenant.in_(names[first : first + _CHUNK])
                connection.execute(sa.update(rotations).where(these).values(values))

    def begin_round(self, lease: Lease) -> Round | None:
        """A new round for all tenants that need one now, or None. Raises `LeaseLost`."""
        total, now = self._rows(), now_ms()
        settled = (rotations.c.state == "settling", rotations.c.settled_ms <= now)
        counts = {"looked_at": 0, "resealed": 0, "left": 0, "unreadable": 0}
        new = {"place": SEALED[0].table.name, "total": total, "started_at_ms": now, **counts}
        insert = sa.insert(reseal_rounds).values(new).returning(reseal_rounds)
        with self._database.write() as connection:
            check_held(connection, lease)
            begun = Round(*connection.execute(insert).one())
            connection.execute(sa.update(rotations).where(*settled).values(state="checking"))
            joining = sa.update(rotations).where(rotations.c.state.in_(IN_ROUNDS), ~_IS_HELD)
            if connection.execute(joining.values(round=begun.id)).rowcount:
                return begun
            connection.execute(sa.delete(reseal_rounds).where(reseal_rounds.c.id == begun.id))
        return None

    def save(self, done: Round, lease: Lease) -> None:
        """Write down how far a round has come. Raises `LeaseLost`."""
        with self._database.write() as connection:
            save_round(connection, done, lease)

    def end_round(self, done: Round, lease: Lease) -> None:
        """The round is over: its tenants go on to their next state; those who were retiring are
        retired. A round that has left something is repeated by another, but for the tenants whose
        processes may still seal with the old key: those get one anyway. Raises `LeaseLost`.
        """
        now = now_ms()
        theirs = sa.update(rotations).where(rotations.c.round == done.id)
        steps = [("sealing", "settling")]
        if not done.left:
            steps += [("checking", "done"), ("retiring", "retired")]
        with self._database.write() as connection:
            save_round(connection, done._replace(finished_at_ms=now), lease)
            for state, then in steps:
                connection.execute(
                    theirs.where(rotations.c.state == state).values(state=then, changed_at_ms=now)
                )

    def _rows(self) -> int:
        """About how many rows there are to look at: positions, where there may be millions."""
        total = 0
        with self._database.read() as connection:
            for column in SEALED:
                if isinstance(column.key.type, sa.BigInteger):
                    span = sa.func.max(column.key) - sa.func.min(column.key) + 1
                else:
                    span = sa.func.count()
                total += connection.scalar(sa.select(span).select_from(column.table)) or 0
        return total


def check_held(connection: sa.Connection, lease: Lease) -> None:
    """Raises `LeaseLost` when another worker holds the lease by now."""
    if not connection.scalar(sa.select(_held(lease))):
        raise LeaseLost(f"{lease.kind} {lease.key}")


def save_round(connection: sa.Connection, done: Round, lease: Lease) -> None:
    """Write down how far a round has come, in a transaction that does it. Raises `LeaseLost`."""
    same = (reseal_rounds.c.id == done.id, reseal_rounds.c.finished_at_ms.is_(None), _held(lease))
    saved = sa.update(reseal_rounds).where(*same).values(done._asdict())
    if connection.execute(saved).rowcount != 1:
        raise LeaseLost(f"round {done.id}")


def _held(lease: Lease) -> sa.Exists:
    names = ("kind", "key", "owner", "fence")
    return sa.exists().where(*(leases.c[name] == getattr(lease, name) for name in names))
