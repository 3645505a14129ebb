"""Connect sessions: people on their way through the pages on which they connect an account.

A session is known by the hash of its link's token. What a step changes it changes by comparing: a
state is taken once, and an answer that comes after the person has begun anew changes nothing.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from contracts.errors import NotFound
from storage.connecting_schema import connect_sessions
from storage.database import Database, now_ms

NEW: Final = "new"
"""Nobody has been asked yet; or the last try has ended, and `problem` says how."""
ASKED: Final = "asked"
"""The person is in the provider's dialog."""
ANSWERED: Final = "answered"
"""The dialog's answer came, and its code is being exchanged."""
GRANTED: Final = "granted"
"""Consent is given; accounts are to be picked."""
CONNECTED: Final = "connected"

LIFE_MS: Final = 3_600_000
STATE_MS: Final = 600_000
"""How long somebody may be in a provider's dialog, unless its login says otherwise."""
EXCHANGE_MS: Final = 90_000
"""After so long an exchange that has not ended never will: its process is gone."""
PICK_MS: Final = 600_000
"""How long somebody has at least to pick accounts."""

MOST_AGAIN: Final = 20
"""So many people may be on their way to consent once more for one connection: its link, which makes
a session for whoever follows it, may be known to many."""


class Session(NamedTuple):
    """A session's row; see `storage.connecting_schema`. `until_ms` is when the step under way is
    over: with `stage` it tells one try from the next. Of a session that has connected it is when.
    """

    id: str
    tenant: str
    business: str
    provider: str
    login: str
    features: Sequence[str]
    return_url: str | None
    connection: str | None
    created_at_ms: int
    expires_at_ms: int
    stage: str = NEW
    problem: str = ""
    browser: bytes | None = None
    state: bytes | None = None
    until_ms: int | None = None
    sealed: bytes | None = None
    policy: str = ""
    language: str = ""
    connected: Sequence[str] = ()


class Asked(NamedTuple):
    """A dialog that is about to begin: hashes of the browser's cookie and of the state. `life_ms`:
    how long somebody may be in it.
    """

    browser: bytes
    state: bytes
    sealed: bytes
    policy: str
    language: str
    life_ms: int = STATE_MS


class ConnectSessions:
    """The sessions of one database. Those whose time is over count as gone."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, new: Session) -> None:
        """Store `new`, whose id is new. Of those for one connection the oldest make room."""
        row = {_column(name): value for name, value in new._asdict().items()}
        with self._database.write() as connection:
            if new.connection is not None:
                connection.execute(_beyond(new.connection, MOST_AGAIN - 1))
            connection.execute(sa.insert(connect_sessions).values(row))

    def get(self, id: str) -> Session:  # noqa: A002
        """Raises `NotFound`."""
        found = self._find(connect_sessions.c.id == id)
        if found is None:
            raise NotFound("no such connect session, or its hour is over")
        return found

    def by_state(self, state: bytes) -> Session | None:
        """Whose state this is, not taken yet; to tell why it cannot be."""
        return self._find(connect_sessions.c.state == state)

    def ask(self, id: str, asked: Asked) -> None:  # noqa: A002
        """Somebody goes to the provider's dialog; every try before is void. The session lasts until
        what they do there can be answered and picked from, also when its hour is over by then.

        Raises `NotFound` when the session is over, or has connected already.
        """
        begun_ms = now_ms() - LIFE_MS  # its link does not get longer by being followed
        c = connect_sessions.c
        open_ = (c.id == id, c.stage != CONNECTED, c.created_at_ms > begun_ms)
        values: dict[str, Any] = {**asked._asdict(), "stage": ASKED, "problem": ""}
        over_ms = now_ms() + values.pop("life_ms")
        lasts_ms = over_ms + EXCHANGE_MS + PICK_MS
        ends = connect_sessions.c.expires_at_ms
        until = {
            "state_until_ms": over_ms,
            "expires_at_ms": sa.case((ends < lasts_ms, lasts_ms), else_=ends),
        }
        with self._database.write() as connection:
            mine = sa.update(connect_sessions).where(*open_, _living())
            if connection.execute(mine.values(values | until)).rowcount != 1:
                raise NotFound("no such connect session, or its hour is over")

    def take(self, login: str, state: bytes, browser: bytes) -> Session | None:
        """The session whose dialog has answered: of several answers with a state one gets it, in
        the browser that was sent there, in time. Its state is gone afterwards.
        """
        now = now_ms()
        c = connect_sessions.c
        which = (c.state == state, c.browser == browser, c.login == login, c.stage == ASKED)
        values = {"state": None, "stage": ANSWERED, "state_until_ms": now + EXCHANGE_MS}
        taken = sa.update(connect_sessions).where(*which, c.state_until_ms > now, _living())
        with self._database.write() as connection:
            row = connection.execute(taken.values(values).returning(*_columns())).first()
        return Session(*row) if row else None

    def grant(self, answered: Session, sealed: bytes) -> bool:
        """What was granted waits until accounts are picked; whether this try still counts."""
        return self._move(answered, {"stage": GRANTED, "sealed": sealed, "problem": ""})

    def end(self, tried: Session, problem: str) -> bool:
        """The try has ended with `problem`, and nothing is kept of it; whether it still counted."""
        return self._move(tried, {"stage": NEW, "sealed": None, "state": None, "problem": problem})

    def _move(self, seen: Session, values: dict[str, Any]) -> bool:
        with self._database.write() as connection:
            return move(connection, seen, values)

    def _find(self, which: sa.ColumnElement[bool]) -> Session | None:
        with self._database.read() as connection:
            row = connection.execute(sa.select(*_columns()).where(which, _living())).first()
        return Session(*row) if row else None


def move(connection: sa.Connection, seen: Session, values: dict[str, Any]) -> bool:
    """Within a transaction: change a session if it still is in the step in which it was seen."""
    c = connect_sessions.c
    step = (c.id == seen.id, c.stage == seen.stage, c.state_until_ms == seen.until_ms)
    same = sa.update(connect_sessions).where(*step, c.browser == seen.browser, _living())
    return connection.execute(same.values(values)).rowcount == 1


def _beyond(connection_id: str, most: int) -> sa.Delete:
    """Those for a connection that have not connected, but for the newest; what somebody else holds
    is left to them.
    """
    c = connect_sessions.c
    its = sa.select(c.id).where(c.connection == connection_id, c.stage != CONNECTED)
    newest_first = its.order_by(c.created_at_ms.desc(), c.id)
    # SQLite has no OFFSET without LIMIT
    old = newest_first.offset(most).limit(1_000).with_for_update(skip_locked=True)
    return sa.delete(connect_sessions).where(c.id.in_(old))


def _living() -> sa.ColumnElement[bool]:
    return connect_sessions.c.expires_at_ms > now_ms()


def _column(field: str) -> str:
    return "state_until_ms" if field == "until_ms" else field


def _columns() -> list[sa.Column[Any]]:
    return [connect_sessions.c[_column(field)] for field in Session._fields]
