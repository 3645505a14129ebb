"""Grants of a rig, made as a consent makes them."""

from concurrent.futures import wait
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from contracts.login import Tokens
from contracts.tokens import Secret
from storage.connections import Connection, Connections, Grant, new_id
from storage.database import now_ms
from storage.due import DueRows, Taken
from storage.grants import REFRESH, Grants
from storage.schema import due
from tests.rig import Rig
from tests.workers.logins import FIRST, LIFE_S
from workers.token_times import lifetime_ms

SUBJECT = "9001"
"""Who consents."""


def tokens(left_s: float | None = 60, *, name: str = "access-0") -> Tokens:
    """Tokens that end in `left_s` seconds, after a life of an hour; None: never."""
    now = datetime.now(UTC)
    if left_s is None:
        return Tokens(Secret(name), now - timedelta(days=2), None, Secret(FIRST), SUBJECT)
    ends = now + timedelta(seconds=left_s)
    return Tokens(Secret(name), ends - timedelta(seconds=LIFE_S), ends, Secret(FIRST), SUBJECT)


def consent(
    rig: Rig,
    given: Tokens,
    carries: list[Connection],
    *,
    login: str = "fake",
    known: Grant | None = None,
) -> Grant:
    """Store what a consent gave `acme`, to a grant that is new or `known`."""
    rig.vault.create_tenant("acme")
    id_ = known.id if known else new_id("gra")
    obtained_ms, expires_ms = lifetime_ms(given)
    new = Grant(
        id=id_,
        tenant="acme",
        login=login,
        subject=id_.encode()[:16],
        scopes=["read"],
        sealed=rig.parts.tokens.seal("acme", id_, given),
        version=1,
        created_at_ms=now_ms(),
        obtained_at_ms=obtained_ms,
        expires_at_ms=expires_ms,
    )
    Grants(rig.database).consented(new, [connection.id for connection in carries])
    return Grants(rig.database).get(id_)


def take(rig: Rig, seconds: float = 60) -> Taken:
    """The one row that is due."""
    (row,) = DueRows(rig.database, seconds=seconds).take([REFRESH], 5)
    return row


def run_due(rig: Rig) -> None:
    """Run all that is due, as a worker does."""
    wait(rig.parts.scheduler.run_due() + rig.parts.send_scheduler.run_due())


refresh = run_due


def come_due(rig: Rig) -> None:
    """Let every row that waits come due, with all that is known of it."""
    with rig.database.write() as connection:
        waits = sa.update(due).where(due.c.due_at_ms.is_not(None))
        connection.execute(waits.values(due_at_ms=rig.database.clock_ms() - 1))


def status(rig: Rig, connection: Connection) -> tuple[str, str]:
    """Status and reason."""
    found = Connections(rig.database).get(connection.id)
    return found.status, found.status_reason


def said(rig: Rig) -> list[tuple[str, Any]]:
    """What the feed says of connections: type and reason."""
    found = rig.messages()
    return [
        (m.type.removeprefix("cleverbox.connection."), m.data.reason)
        for m in found
        if m.type.startswith("cleverbox.connection.")
    ]
