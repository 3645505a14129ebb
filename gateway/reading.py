"""Reads the message log for the CRM core: opened, put in sequence, waited for."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple, Protocol

from contracts.errors import KeyDestroyed
from contracts.messages import with_sequence
from gateway.metrics import Metrics
from gateway.threads import Threads
from gateway.wake import Wake
from storage.cursors import Cursor
from storage.log import Filter, MessageLog, Row
from storage.message_id import seal_id
from token_vault import Purpose, TenantKeys

MOST: Final = 1_000
LONGEST_S: Final = 30.0
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
        self, log: MessageLog, vault: Keys, wake: Wake, threads: Threads, metrics: Metrics
    ) -> None:
        self._log = log
        self._vault = vault
        self._wake = wake
        self._threads = threads
        self._pulled = metrics.pulled
        self._unreadable = metrics.unreadable

    async def pull(
        self,
        after: Cursor,
        limit: int,
        only: Filter,
        wait_s: float = 0.0,
        gone: Callable[[], Awaitable[bool]] | None = None,
    ) -> Answer:
        """At most `limit` messages after `after`; with none there, wait up to `wait_s` for one.

        `gone` tells whether the caller still listens. Raises `LogRestored`, `CursorExpired`,
        `Unavailable` and, for a tenant that this key store never knew, `UnknownKey`.
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
                await self._wake.wait(ticket, left)
                if gone is not None and await gone():
                    return answer

    def read(self, after: Cursor, limit: int, only: Filter) -> Answer:
        """One look, blocking. What was erased is left out; the cursor goes past it."""
        page = self._log.read(after, limit, only)
        messages: list[bytes] = []
        known: dict[str, TenantKeys | None] = {}  # for this page only: keys may be destroyed
        lost = 0
        for position, _, owner, day, digest, sealed in page.rows:
            if sealed is None:
                continue
            if owner not in known:
                known[owner] = self._keys(owner)
            keys = known[owner]
            if keys is None:
                lost += 1
                continue
            plain = keys.open(_MESSAGE, seal_id(day, digest), sealed)
            messages.append(with_sequence(plain, position))
        self._pulled.inc(len(messages))
        if lost:
            self._unreadable.inc(lost)
        return Answer(messages, page.next, page.has_more)

    def open(self, row: Row) -> bytes:
        """One message. Raises `KeyDestroyed` when it was erased, or its tenant was."""
        if row.sealed is None:
            raise KeyDestroyed("the message was erased")
        keys = self._vault.tenant(row.tenant)
        plain = keys.open(_MESSAGE, seal_id(row.day, row.hash), row.sealed)
        return with_sequence(plain, row.position)

    def _keys(self, tenant: str) -> TenantKeys | None:
        try:
            return self._vault.tenant(tenant)
        except KeyDestroyed:
            return None
