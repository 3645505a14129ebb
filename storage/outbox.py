"""The outbox: what is to go out, in the order of its conversation, and what became of it.

A send is `queued`, then `sending` from before its call until the answer is stored, then `sent`,
`failed`, or `unknown`: nobody can tell, and it is never sent again. The due row of its line is its
lease: who has that alone moves it on, but for the provider's own word (an echo, a status).
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from contracts.errors import GatewayError, KeyReused, LeaseLost, NotFound
from storage import due
from storage.database import Database, now_ms
from storage.grants import RECONCILE
from storage.schema import connections, erased_contacts
from storage.schema import due as due_rows
from storage.sending_schema import OPEN, State, sends, threads

SEND: Final = "send"
"""The kind of a line's due row; its key is the line."""
SETTLE: Final = "settle"
"""The kind of the due row of a send whose outcome has to be told or ended; its key is the send."""


DEADLINE_MS: Final = 3_600_000
"""What could not be sent for so long has failed."""


class Forestalled(GatewayError):
    """The provider's own word of the send was quicker: that is its outcome."""

    reason = "forestalled"


class Send(NamedTuple):
    """A send's row; see the table. `sealed` is empty once its contact was erased."""

    id: str
    tenant: str
    connection: str
    line: str
    number: int
    conversation: str
    contact: bytes | None
    scope: str
    key: bytes
    request: bytes
    state: State
    attempts: int
    reason: str
    code: str
    detail: str
    message: bytes | None
    said: bool
    until_ms: int
    created_at_ms: int
    changed_at_ms: int
    sealed: bytes


class KnownThread(NamedTuple):
    """A conversation: whose, with whom (sealed, and as a keyed hash), and about when they last
    acted (0: not known).
    """

    id: str
    tenant: str
    connection: str
    contact: bytes
    acted_at_ms: int
    sealed: bytes


class Becomes(NamedTuple):
    """What a send turns into, committed with the due row of its line held (`row`) or, for one whose
    outcome is ended, that of itself.

    `again_at_ms`: the row comes due then, and is let go. `settle_at_ms`: so is the send's own row.
    `look`: its connection is looked at, since the provider refused its grant. `ends`: the row is
    done for good. `contact`: who has got it, as the provider's answer tells (None: as it was).
    """

    row: due.Taken
    send: Send
    state: State
    reason: str = ""
    code: str = ""
    detail: str = ""
    message: bytes | None = None
    contact: bytes | None = None
    sealed: bytes | None = None
    said: bool = False
    ends: bool = False
    again_at_ms: int | None = None
    settle_at_ms: int | None = None
    look: bool = False

    def commit(self, connection: sa.Connection) -> None:
        """As a turn's first step: due rows, the connection, the send. Raises `LeaseLost`, and
        `Forestalled`.
        """
        if self.look:
            due.ask(connection, RECONCILE, self.send.connection, now_ms())
        if self.ends:
            due.end(connection, self.row)
        elif self.again_at_ms is None:
            due.check(connection, self.row)
        else:
            due.pause(connection, self.row, self.again_at_ms)
        if self.settle_at_ms is not None:
            due.schedule(connection, SETTLE, self.send.id, self.settle_at_ms)
        _hold_off_erasing(connection, self.send)
        change(connection, self.send, self._values())
        stay_erased(connection, [self.send.id])

    def _values(self) -> dict[str, Any]:
        values: dict[str, Any] = {
            "state": self.state,
            "reason": self.reason,
            "code": self.code[:_LONGEST],
            "detail": self.detail[:_LONGEST],
            "said": self.said,
            "changed_at_ms": now_ms(),
        }
        told = {"message": self.message, "contact": self.contact, "sealed": self.sealed}
        return values | learnt(told)


class Outbox:
    """The outbox of one database. Methods raise `StoreUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._insert = postgresql.insert if database.is_postgresql else sqlite.insert

    def thread(self, conversation: str) -> KnownThread | None:
        """Whom a conversation is with."""
        columns = [threads.c[name] for name in KnownThread._fields]
        with self._database.read() as connection:
            row = connection.execute(sa.select(*columns).where(threads.c.id == conversation))
            found = row.first()
        return KnownThread(*found) if found else None

    def before(self, scope: str, key: bytes, request: bytes) -> Send | None:
        """What the same call made before. Raises `KeyReused` when it was another request."""
        query = sa.select(sends).where(sends.c.scope == scope, sends.c.key == key)
        with self._database.read() as connection:
            row = connection.execute(query).first()
        if row is None:
            return None
        found = Send(*row)
        if found.request != request:
            raise KeyReused("this Idempotency-Key came before, with another request")
        return found

    def accept(self, new: Send) -> Send:
        """Store it at the end of its line, which comes due; or what the same call made before.

        Of calls at once with one key a single one is stored. One whose contact was erased since it
        was drafted is stored without its words. Raises `KeyReused`.
        """
        with self._database.write() as connection:
            _queue(connection, new)
            _hold_off_erasing(connection, new)
            last = sa.select(sa.func.max(sends.c.number)).where(sends.c.line == new.line)
            number = (connection.scalar(last) or 0) + 1
            row = self._insert(sends).values(new._replace(number=number)._asdict())
            row = row.on_conflict_do_nothing(index_elements=["scope", "key"])
            made = connection.execute(row.returning(sends.c.id)).first()
            stay_erased(connection, [new.id])
        if made is not None:
            return new._replace(number=number)
        return self.before(new.scope, new.key, new.request) or self.accept(new)

    def get(self, send_id: str) -> Send:
        """Raises `NotFound`."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(sends).where(sends.c.id == send_id)).first()
        if row is None:
            raise NotFound(f"no send {send_id}")
        return Send(*row)

    def next(self, line: str) -> Send | None:
        """The first of a line that is still to go out, or was on its way when somebody died."""
        query = sa.select(sends).where(sends.c.line == line, sends.c.state.in_(OPEN))
        with self._database.read() as connection:
            row = connection.execute(query.order_by(sends.c.number).limit(1)).first()
        return Send(*row) if row else None

    def begin(self, row: due.Taken, send: Send, lease_s: float) -> Send:
        """On disk before the call: from now on nobody else makes it. The line stays ours for
        `lease_s`. Raises `LeaseLost`.
        """
        begun = send._replace(state="sending", attempts=send.attempts + 1)
        values = {"state": begun.state, "attempts": begun.attempts, "changed_at_ms": now_ms()}
        with self._database.write() as connection:
            due.renew(connection, row, self._database.clock_ms() + int(lease_s * 1000))
            try:
                change(connection, send, values)
            except Forestalled as error:
                raise LeaseLost(str(error)) from None
        return begun

    def rest(self, row: due.Taken) -> None:
        """The line is empty: its row goes, unless something came meanwhile. Raises `LeaseLost`."""
        idle = sa.and_(
            due_rows.c.kind == row.kind,
            due_rows.c.key == row.key,
            due_rows.c.ticket == row.ticket,
            due_rows.c.again_at_ms.is_(None),
        )
        with self._database.write() as connection:
            if connection.execute(sa.delete(due_rows).where(idle)).rowcount != 1:
                due.finish(connection, row, now_ms())

    def known(self, hashes: Collection[bytes], ids: Collection[str]) -> Sequence[Send]:
        """The sends of messages that receipts name, and those that were named themselves."""
        which = sa.or_(sends.c.message.in_(hashes), sends.c.id.in_(ids))
        with self._database.read() as connection:
            return [Send(*row) for row in connection.execute(sa.select(sends).where(which))]

    def prune(self, before_ms: int) -> int:
        """Remove what was asked for before then, and is over; how many."""
        old = sa.and_(sends.c.created_at_ms < before_ms, sends.c.state.not_in(OPEN))
        removed = 0
        while True:
            with self._database.write() as connection:
                some = sa.select(sends.c.id).where(old).limit(_CHUNK)
                count = connection.execute(sa.delete(sends).where(sends.c.id.in_(some))).rowcount
            removed += count
            if count < _CHUNK:
                return removed


def _queue(connection: sa.Connection, new: Send) -> None:
    """Have its line come due, locked until the commit. One that waits after a failure goes on
    waiting: what is new comes after what waits.
    """
    waits = sa.select(due_rows.c.key).where(
        due_rows.c.kind == SEND,
        due_rows.c.key == new.line,
        due_rows.c.ticket.is_(None),
        due_rows.c.due_at_ms > new.created_at_ms,
    )
    if connection.scalar(waits.with_for_update()) is None:
        due.ask(connection, SEND, new.line, new.created_at_ms)


def change(connection: sa.Connection, send: Send, values: dict[str, Any]) -> None:
    """Within a transaction: change a send that is still in the state in which it was read. Raises
    `Forestalled`.
    """
    same = sa.and_(sends.c.id == send.id, sends.c.state == send.state)
    if connection.execute(sa.update(sends).where(same).values(values)).rowcount != 1:
        raise Forestalled(f"send {send.id} has changed")


def learnt(kept: Mapping[str, bytes | None]) -> dict[str, Any]:
    """What is written of `kept`: what is known (None: as it was), and of one that was erased
    meanwhile no words.
    """
    values: dict[str, Any] = {name: value for name, value in kept.items() if value is not None}
    if "sealed" in values:
        blank = sends.c.sealed == b""
        values["sealed"] = sa.case((blank, sends.c.sealed), else_=values["sealed"])
    return values


def stay_erased(connection: sa.Connection, ids: Collection[str]) -> None:
    """Within a transaction that holds erasing off: blank those whose contact was erased since they
    were asked for. Whom they went to may have become known only now.
    """
    mark = sa.exists().where(
        erased_contacts.c.tenant == sends.c.tenant,
        erased_contacts.c.contact == sends.c.contact,
        erased_contacts.c.erased_at_ms >= sends.c.created_at_ms,
    )
    connection.execute(sa.update(sends).where(sends.c.id.in_(ids), mark).values(sealed=b""))


def _hold_off_erasing(connection: sa.Connection, send: Send) -> None:
    """Until the commit: who erases takes all connections of the tenant."""
    share = sa.select(connections.c.id).where(connections.c.id == send.connection)
    connection.execute(share.with_for_update(read=True)).all()


_CHUNK: Final = 2_000
_LONGEST: Final = 300
