"""Removes what connecting and revoking leave behind, once nothing needs it any more.

Each table has a rule: what is kept of it, and how long. Rows go in chunks, each a short
transaction; what could not be removed now is removed by a later run.
"""

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa

from storage.connecting_schema import (
    LIVE,
    activity,
    connect_sessions,
    consents,
    looks,
    pauses,
    people,
    revocations,
    signals,
    subscriptions,
)
from storage.database import Database
from storage.expiry import CHUNK_ROWS, delete
from storage.partitions import DAY_MS
from storage.revocations import REVOKE
from storage.schema import connections, due, grants, routes
from storage.signals import SIGNAL

RECORDS_DAYS: Final = 365
"""How long it is kept what was done: receipts, signals, consents whose grant is gone."""
SETTLED_DAYS: Final = 1
"""How long what tenants shared is kept when nobody shares it any more: longer than anybody is on
their way through a connect page, with tokens that an end may have made dead."""


def prune(database: Database, now_ms: int) -> dict[str, int]:
    """Remove all that has had its time; how many rows, by table, of those that lost any."""
    removed = {
        "connect_sessions": _count(database, connect_sessions, _over(now_ms)),
        "revocations": _with_rows(database, revocations, REVOKE, now_ms),
        "signals": _with_rows(database, signals, SIGNAL, now_ms),
        "consents": _count(database, consents, _of_no_grant(now_ms)),
        "activity": _count(database, activity, _of_ended(activity)),
        "looks": _count(database, looks, _of_ended(looks)),
        "pauses": _count(database, pauses, _of_ended(pauses)),
        "people": _unshared(database, people, people.c.ended_at_ms, _people(), now_ms),
        "subscriptions": _unshared(
            database, subscriptions, subscriptions.c.changed_at_ms, _accounts(), now_ms
        ),
    }
    return {table: rows for table, rows in removed.items() if rows}


def _count(database: Database, table: sa.Table, old: sa.ColumnElement[bool]) -> int:
    (key,) = table.primary_key.columns
    return sum(1 for _ in delete(database, key, old, key.name))


def _over(now_ms: int) -> sa.ColumnElement[bool]:
    """Sessions last an hour, connected or not."""
    return connect_sessions.c.expires_at_ms <= now_ms


def _with_rows(database: Database, table: sa.Table, kind: str, now_ms: int) -> int:
    """What was finished long ago, with the due rows by which it was done."""

    def rows_too(connection: sa.Connection, gone: Sequence[sa.Row[Any]]) -> None:
        theirs = due.c.kind == kind, due.c.key.in_([row.id for row in gone])
        connection.execute(sa.delete(due).where(*theirs))

    old = table.c.finished_at_ms <= now_ms - RECORDS_DAYS * DAY_MS
    return sum(1 for _ in delete(database, table.c.id, old, "id", beside=rows_too))


def _of_no_grant(now_ms: int) -> sa.ColumnElement[bool]:
    """What was consented to is kept as long as its grant, and for a year."""
    gone = sa.not_(sa.exists().where(grants.c.id == consents.c.grant))
    return sa.and_(consents.c.at_ms <= now_ms - RECORDS_DAYS * DAY_MS, gone)


def _of_ended(table: sa.Table) -> sa.ColumnElement[bool]:
    """What was noted of connections that have ended since."""
    ended = connections.c.id == table.c.connection, connections.c.status == "revoked"
    return sa.exists().where(*ended)


def _people() -> sa.ColumnElement[bool]:
    """Whether a grant is theirs."""
    return sa.exists().where(grants.c.login == people.c.login, grants.c.person == people.c.person)


def _accounts() -> sa.ColumnElement[bool]:
    """Whether a connection that has not ended uses it."""
    its = routes.c.route == subscriptions.c.account, connections.c.id == routes.c.connection
    using = connections.c.status.in_((*LIVE, "revoking"))
    same = connections.c.provider == subscriptions.c.provider
    return sa.exists().where(*its, same, using)


def _unshared(
    database: Database,
    table: sa.Table,
    since: sa.ColumnElement[int],
    is_used: sa.ColumnElement[bool],
    now_ms: int,
) -> int:
    """Remove what nobody shares any more.

    Rows are held before the look that decides: a consent that joins one meanwhile has committed
    then, or makes its own (`sharing.join`).
    """
    key = sa.tuple_(*table.primary_key.columns)
    settled = sa.or_(since.is_(None), since <= now_ms - SETTLED_DAYS * DAY_MS)
    free = sa.and_(
        table.c.ending.is_(None), settled, sa.not_(is_used), sa.not_(_named(database, table))
    )
    few = sa.select(*table.primary_key.columns).where(free).limit(CHUNK_ROWS)
    removed = 0
    while True:
        with database.write() as connection:
            held = connection.execute(few.with_for_update(skip_locked=True)).all()
            these = key.in_([tuple(row) for row in held])
            if held:
                removed += connection.execute(sa.delete(table).where(these, free)).rowcount
        if len(held) < CHUNK_ROWS:
            return removed


def _named(database: Database, table: sa.Table) -> sa.ColumnElement[bool]:
    """Whether a revocation under way may have to end it yet: it names hashes in hex."""
    _, hashed = table.primary_key.columns
    postgres = database.is_postgresql
    name = sa.func.encode(hashed, "hex") if postgres else sa.func.lower(sa.func.hex(hashed))
    steps = sa.cast(revocations.c.steps, sa.Text)
    return sa.exists().where(revocations.c.state == "running", steps.contains(name))
