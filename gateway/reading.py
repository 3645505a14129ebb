"""Reads the message log for the CRM core: opened, put in sequence, waited for."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

import structlog

from contracts.errors import KeyDestroyed, Tampered, Unavailable, UnknownKey, VaultError
from contracts.messages import with_sequence
from gateway.fit import Fit
from gateway.metrics import Metrics
from gateway.threads import Threads
from gateway.wake import Wake
from storage.cursors import Cursor
from storage.log import Filter, MessageLog, Row
from storage.message_id import seal_id
from token_vault import Purpose, TenantKeys

log = structlog.get_logger()

MOST: Final = 1_000
LONGEST_S: Final = 30.0
MOST_WAITING: Final = 1_000
TOLD: Final = 20
"""The most positions that one line of the log names."""
_MESSAGE: Final = Purpose.MESSAGE


class Keys(Protocol):
    """What reading needs of the vault."""

    def tenant(self, tenant: str) -> TenantKeys: ...


class Answer(NamedTuple):
    """Messages as JSON, oldest first, and where to go on."""

    messages: list[bytes]
    next: Cursor
    has_more: bool

    @property
    def body(self) -> bytes:
        """The response: assembled from what was sealed, never decoded."""
        return b'{"messages":[%b],"next":"%b","has_more":%b}' % (
            b",".join(self.messages),
            str(self.next).encode(),
            b"true" if self.has_more else b"false",
        )


class Reader:
    """Pulls for one edge."""

    def __init__(
        self,
        log: MessageLog,
        vault: Keys,
        fit: Fit,
        wake: Wake,
        threads: Threads,
        metrics: Metrics,
    ) -> None:
        self._log = log
        self._vault = vault
        self._fit = fit
        self._wake = wake
        self._threads = threads
        self._waiting: Counter[str] = Counter()
        self._pulled = metrics.pulled
        self._unreadable = metrics.unreadable

    async def pull(
        self,
        after: Cursor,
        limit: int,
        only: Filter,
        wait_s: float = 0.0,
        who: str = "",
        gone: Callable[[], Awaitable[bool]] | None = None,
    ) -> Answer:
        """At most `limit` messages after `after`; with none there, wait up to `wait_s` for one.

        `who` is the caller, of whose calls 1,000 may wait at once; `gone` tells whether the caller
        still listens. Raises `LogRestored`, `CursorExpired`, `Unavailable` and, when the key store
        is another database's, `UnknownKey`.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait_s
        while True:
            ticket = self._wake.ticket()
            answer = await self._threads.run(self.read, after, limit, only)
            left = deadline - loop.time()
            if answer.messages or left <= 0 or self._wake.closed:
                return answer
            after = answer.next
            if not answer.has_more:
                await self._wait(who, ticket, left)
            if gone is not None and await gone():
                return answer

    async def _wait(self, who: str, ticket: asyncio.Event, seconds: float) -> None:
        if self._waiting[who] >= MOST_WAITING:
            raise Unavailable("too many calls of this key wait")
        self._waiting[who] += 1
        try:
            await self._wake.wait(ticket, seconds)
        finally:
            self._waiting[who] -= 1
            if not self._waiting[who]:
                del self._waiting[who]

    def read(self, after: Cursor, limit: int, only: Filter) -> Answer:
        """One look, blocking. What was erased, or does not open, is left out; the cursor goes past
        it.
        """
        page = self._log.read(after, limit, only)
        messages: list[bytes] = []
        known: dict[str, TenantKeys | VaultError] = {}  # for this page only: keys may be destroyed
        lost: dict[str, list[int]] = {}
        for position, _, owner, day, digest, sealed in page.rows:
            if sealed is None:
                continue
            keys = known.get(owner)
            if keys is None:
                keys = known[owner] = self._keys(owner)
            try:
                if isinstance(keys, VaultError):
                    raise keys
                plain = keys.open(_MESSAGE, seal_id(day, digest), sealed)
            except (KeyDestroyed, Tampered, UnknownKey) as error:
                lost.setdefault(error.reason, []).append(position)
            else:
                messages.append(with_sequence(plain, position))
        if lost:
            self._leave_out(lost)
        self._pulled.inc(len(messages))
        return Answer(messages, page.next, page.has_more)

    def open(self, row: Row) -> bytes:
        """One message. Raises `KeyDestroyed` when it was erased, or its tenant was, and `Tampered`
        when it does not open although the key store is the right one; else `UnknownKey`.
        """
        if row.sealed is None:
            raise KeyDestroyed("the message was erased")
        try:
            keys = self._vault.tenant(row.tenant)
            plain = keys.open(_MESSAGE, seal_id(row.day, row.hash), row.sealed)
        except (Tampered, UnknownKey) as error:
            self._leave_out({error.reason: [row.position]})
            raise Tampered("the stored message does not open") from error
        return with_sequence(plain, row.position)

    def _keys(self, tenant: str) -> TenantKeys | VaultError:
        try:
            return self._vault.tenant(tenant)
        except (KeyDestroyed, Tampered, UnknownKey) as error:
            return error

    def _leave_out(self, lost: Mapping[str, Sequence[int]]) -> None:
        """Count and tell what readers do not get. Raises `UnknownKey` instead when nothing opens:
        readers would be led past everything.
        """
        if lost.keys() - {KeyDestroyed.reason}:
            self._fit.check()
        for reason, positions in lost.items():
            self._unreadable.labels(reason).inc(len(positions))
            if reason != KeyDestroyed.reason:
                log.error(
                    "pull.unreadable",
                    reason=reason,
                    positions=positions[:TOLD],
                    count=len(positions),
                )
