"""The key under which this process seals raw items: one per UTC day, made ahead of midnight."""

import asyncio
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Final, NamedTuple, Protocol

import structlog

from contracts.errors import GatewayError, KeyUnavailable
from storage.database import now_ms
from storage.inbox import RunKey

log = structlog.get_logger()

DAY_MS: Final = 86_400_000
AHEAD_MS: Final = 600_000
"""How long before midnight the next day's key is made."""
GRACE_MS: Final = 3_600_000
"""How long after midnight yesterday's key still serves when today's cannot be made."""
RETRY_S: Final = 0.5
LOOK_S: Final = 30.0


class Sealer(Protocol):
    """What `token_vault.RunSealer` is to the edge."""

    @property
    def id(self) -> bytes: ...

    @property
    def wrapped(self) -> bytes: ...

    def seal(self, plaintext: bytes) -> tuple[int, bytes]: ...


class Run(NamedTuple):
    """A sealer and its key as it is stored beside the items."""

    sealer: Sealer
    key: RunKey


class RunKeys:
    """Keeps the run key of the day at hand, so that accepting never waits for the key store."""

    def __init__(
        self, make: Callable[[date], Sealer], clock_ms: Callable[[], int] = now_ms
    ) -> None:
        """`make` asks the vault; it blocks and raises `GatewayError`."""
        self._make = make
        self._clock_ms = clock_ms
        self._runs: dict[int, Run] = {}

    def at(self, time_ms: int) -> Run:
        """The run for an item received at `time_ms`. Raises `KeyUnavailable`."""
        day = time_ms // DAY_MS
        run = self._runs.get(day)
        if run is None and time_ms % DAY_MS < GRACE_MS:
            run = self._runs.get(day - 1)
        if run is None:
            raise KeyUnavailable("no run key for today: the key store does not answer")
        return run

    async def look(self) -> None:
        """One look: make what is needed, and wait until it is time for the next look."""
        complete = await self.renew()
        await asyncio.sleep(LOOK_S if complete else RETRY_S)

    def check(self) -> bool:
        """Whether deliveries can be sealed now. Raises `KeyUnavailable`."""
        self.at(self._clock_ms())
        return True

    async def renew(self) -> bool:
        """Make what is missing for today and, late in the day, tomorrow; True when all is there."""
        now = self._clock_ms()
        today = now // DAY_MS
        for day in sorted({today, (now + AHEAD_MS) // DAY_MS} - self._runs.keys()):
            try:
                sealer = await asyncio.to_thread(self._make, _date(day))
            except GatewayError as error:
                log.warning("run_key.unavailable", reason=error.reason, detail=str(error))
                return False
            self._runs[day] = Run(sealer, RunKey(sealer.id, day, sealer.wrapped))
        for old in [day for day in self._runs if day < today - 1]:
            del self._runs[old]
        return True


def _date(day: int) -> date:
    return datetime.fromtimestamp(day * 86_400, UTC).date()
