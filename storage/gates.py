"""Gates that rate limits have closed: a row each, shared by all processes, and a process's view.

Looking costs one query in `FRESH_S` at most, and closing one write each time a gate is closed:
never one for each call.
"""

import threading
import time
from collections.abc import Callable
from typing import Final

import sqlalchemy as sa
import structlog
from sqlalchemy.dialects import postgresql, sqlite

from contracts.errors import GatewayError
from contracts.gates import Gate
from storage.database import Database, now_ms
from storage.schema import metadata

log = structlog.get_logger()

FRESH_S: Final = 2.0
"""What other processes closed is known so soon."""
FIRST_S: Final = 60.0
"""A gate is closed for so long where nobody says how long, and twice as long each time after,"""
LONGEST_S: Final = 1800.0
"""at most so long;"""
FORGETS_S: Final = 3600.0
"""as long as it was closed within the hour over which limits are counted."""
_KEPT_MS: Final = 86_400_000

# `gate`: keyed hash of what the limit is on; `times`: how often in a row it was closed.
gates = sa.Table(
    "gates",
    metadata,
    sa.Column("gate", sa.LargeBinary(16), primary_key=True),
    sa.Column("provider", sa.Text, nullable=False),
    sa.Column("until_ms", sa.BigInteger, nullable=False, index=True),
    sa.Column("times", sa.Integer, nullable=False),
    sa.Column("why", sa.Text, nullable=False),
)

Named = Callable[[Gate], bytes]
"""A gate's keyed hash."""


class GateStore:
    """The closed gates of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def closed(self) -> dict[bytes, int]:
        """Those that are closed now → until when."""
        query = sa.select(gates.c.gate, gates.c.until_ms).where(gates.c.until_ms > now_ms())
        with self._database.read() as connection:
            return {row.gate: row.until_ms for row in connection.execute(query)}

    def of(self, gate: bytes) -> tuple[int, str] | None:
        """Until when it is closed, and why; None for one that is open."""
        query = sa.select(gates.c.until_ms, gates.c.why).where(gates.c.gate == gate)
        with self._database.read() as connection:
            row = connection.execute(query.where(gates.c.until_ms > now_ms())).first()
        return None if row is None else (row.until_ms, row.why)

    def close(self, gate: bytes, provider: str, after_s: float | None, why: str) -> int:
        """Close it, or leave it closed for as long as it is; returns until when."""
        now = now_ms()
        with self._database.write() as connection:
            known = connection.execute(sa.select(gates).where(gates.c.gate == gate)).first()
            lately = known is not None and known.until_ms > now - FORGETS_S * 1000
            times = known.times if known is not None and lately else 0
            pause_s = min(FIRST_S * 2 ** min(times, 16), LONGEST_S)
            times += after_s is None
            until = now + int((pause_s if after_s is None else after_s) * 1000)
            if known is not None and known.until_ms > max(now, until - 1000):
                return int(known.until_ms)
            self._put(connection, gate, provider, until, times, why)
            connection.execute(sa.delete(gates).where(gates.c.until_ms < now - _KEPT_MS))
        return until

    def _put(
        self,
        connection: sa.Connection,
        gate: bytes,
        provider: str,
        until: int,
        times: int,
        why: str,
    ) -> None:
        insert = (postgresql if self._database.is_postgresql else sqlite).insert(gates)
        row = insert.values(gate=gate, provider=provider, until_ms=until, times=times, why=why)
        later = row.on_conflict_do_update(
            index_elements=["gate"],
            set_={"until_ms": until, "times": times, "why": why},
            where=gates.c.until_ms < until,
        )
        connection.execute(later)


class SharedGates:
    """One process's view of the gates of all (`Keeper`). Safe to share between threads.

    With the database away it goes by what it knows, and what it closes is closed for itself.
    """

    def __init__(
        self,
        store: GateStore,
        named: Named,
        closed: Callable[[Gate, str], None] = lambda gate, why: None,
        fresh_s: float = FRESH_S,
    ) -> None:
        """`closed` hears of each gate that this process closes, and why."""
        self._store, self._named, self._tell = store, named, closed
        self._fresh_s = fresh_s
        self._until: dict[bytes, int] = {}
        self._fresh_until = 0.0
        self._looking, self._changing = threading.Lock(), threading.Lock()

    def closed_s(self, gate: Gate) -> float:
        """See `Keeper`."""
        self._look()
        try:
            until = self._until.get(self._named(gate), 0)
        except GatewayError:  # a key is away: then there is no token to call with either
            return 0.0
        return max(0, until - now_ms()) / 1000

    def close(self, gate: Gate, after_s: float | None, why: str) -> None:
        """See `Keeper`. Of calls that were under way together only the first one closes it."""
        left_s = self.closed_s(gate)
        if left_s > 0 and (after_s is None or after_s <= left_s + 1):
            return
        try:
            name = self._named(gate)
            self._note(name, now_ms() + int((FIRST_S if after_s is None else after_s) * 1000))
            self._note(name, self._store.close(name, gate.provider, after_s, why))
        except GatewayError as error:
            log.warning("gate.not_shared", provider=gate.provider, reason=error.reason)
        log.warning("gate.closed", provider=gate.provider, app=not gate.asset, why=why)
        self._tell(gate, why)

    def _look(self) -> None:
        """What others closed; one thread looks, the others go by what is known."""
        if time.monotonic() < self._fresh_until or not self._looking.acquire(blocking=False):
            return
        try:
            found = self._store.closed()
            with self._changing:
                own = {gate: until for gate, until in self._until.items() if until > now_ms()}
                self._until = own | found
        except GatewayError as error:
            log.warning("gate.not_seen", reason=error.reason)
        finally:
            self._fresh_until = time.monotonic() + self._fresh_s
            self._looking.release()

    def _note(self, name: bytes, until_ms: int) -> None:
        with self._changing:
            self._until[name] = until_ms
