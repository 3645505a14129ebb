"""Remembers what the edge had to refuse, until the store is back and can be told."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple, Protocol

import structlog

from contracts.errors import GatewayError
from gateway.seldom import Seldom

log = structlog.get_logger()

MOST_ROUTES: Final = 10_000
LOOK_S: Final = 1.0
QUIET_MS: Final = 1_000
"""A span ends when nothing was refused for so long."""
LONGEST_MS: Final = 60_000
"""A span that goes on is told in parts, where the store can be told at all."""
UNREAD_MS: Final = 60_000
"""What a dead edge has left and cannot be read is looked at again after this."""

Route = tuple[str, str]
ELSEWHERE: Final[Route] = ("", "")
"""Stands for all routes beyond the bound."""


class Span(NamedTuple):
    """When a route's deliveries were refused: first and last time, and how many."""

    provider: str
    route: str
    from_ms: int
    until_ms: int
    refused: int


class Notes(Protocol):
    """Outlives the process, as `gateway.spans.SpanFile` does; every call blocks."""

    def add(self, spans: Iterable[Span]) -> None: ...

    def clear(self) -> None: ...

    def tell_left(self, until_ms: int) -> None: ...


class Refused:
    """The spans of one process; bounded, so that a long outage cannot fill its memory."""

    def __init__(
        self, store: Callable[[Sequence[Span]], None], clock_ms: Callable[[], int], notes: Notes
    ) -> None:
        """`store` blocks, and raises `GatewayError` as long as the store is away."""
        self._store = store
        self._clock_ms = clock_ms
        self._notes = notes
        self._spans: dict[Route, list[int]] = {}
        self._noted: set[Route] = set()
        self._left_until_ms: int | None = clock_ms()
        self._not_noted = Seldom("refused.not_noted")
        self._left_again_ms = 0

    def __len__(self) -> int:
        return len(self._spans)

    def note(self, provider: str, route: str, at_ms: int) -> None:
        """One delivery for this route was answered 503."""
        key = (provider, route)
        span = self._spans.get(key)
        if span is None and len(self._spans) >= MOST_ROUTES:
            key = ELSEWHERE
            span = self._spans.get(key)
        if span is None:
            self._spans[key] = [at_ms, at_ms, 1]
        else:
            span[1] = at_ms
            span[2] += 1

    async def look(self) -> None:
        """One look: wait, tell the store of spans that are over, note the others."""
        await asyncio.sleep(LOOK_S)
        if self._spans:
            await self.flush()
        await self.keep()
        if self._left_until_ms is not None and self._clock_ms() >= self._left_again_ms:
            await self._tell_left(self._left_until_ms)

    async def keep(self) -> None:
        """Note what is not told yet, so that a kill does not forget it: each route once, until all
        is told; beyond the bound, all of them.
        """
        try:
            if not self._spans and self._noted:
                await asyncio.to_thread(self._notes.clear)
                self._noted.clear()
            elif ELSEWHERE not in self._noted and (new := self._spans.keys() - self._noted):
                spans = [Span(*route, *self._spans[route]) for route in new]
                if len(self._noted) + len(new) > MOST_ROUTES:
                    first = min(span.from_ms for span in spans)
                    spans = [Span(*ELSEWHERE, first, first, len(spans))]
                await asyncio.to_thread(self._notes.add, spans)
                self._noted.update(span[:2] for span in spans)
        except OSError as error:
            self._not_noted.note(error=error.strerror)

    async def _tell_left(self, until_ms: int) -> None:
        """What dead edges have left: once, when the store is there and all of it can be read."""
        try:
            await asyncio.to_thread(self._notes.tell_left, until_ms)
        except GatewayError as error:
            log.info("refused.left_not_stored", reason=error.reason)
        except OSError as error:
            log.warning("refused.left_unread", error=error.strerror, file=str(error.filename))
            self._left_again_ms = self._clock_ms() + UNREAD_MS
        else:
            self._left_until_ms = None

    async def flush(self, *, ended: bool = False) -> bool:
        """Store the spans that are over, or all with `ended`; False while the store is away."""
        now = self._clock_ms()
        over = {
            key: span
            for key, span in self._spans.items()
            if ended or now - span[1] >= QUIET_MS or now - span[0] >= LONGEST_MS
        }
        if not over:
            return True
        for key in over:
            del self._spans[key]
        try:
            told = [Span(*key, *span) for key, span in over.items()]
            await asyncio.to_thread(self._store, told)
        except BaseException as error:  # cancelled too; a gap told twice is one gap
            self._put_back(over)
            if not isinstance(error, GatewayError):
                raise
            log.info("refused.not_stored", reason=error.reason, routes=len(over))
            return False
        return True

    def _put_back(self, spans: dict[Route, list[int]]) -> None:
        for key, (first, last, count) in spans.items():
            newer = self._spans.get(key, [last, last, 0])
            self._spans[key] = [first, max(last, newer[1]), count + newer[2]]
