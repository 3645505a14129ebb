"""What the state of a grant means for its connections, and the feed's messages that say so."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

import structlog

from contracts.connector import Event
from contracts.content.account import (
    ConnectionDegraded,
    ConnectionNeedsReauth,
    ConnectionRecovered,
)
from contracts.errors import Unavailable, VaultError
from storage.connections import Connection, Grant
from storage.database import now_ms
from storage.due import Taken
from storage.grants import TOKEN_REASON, Grants, Turned
from storage.turns import Append
from workers.normalizing import Normalizer

log = structlog.get_logger()

Content = type[ConnectionDegraded] | type[ConnectionNeedsReauth] | type[ConnectionRecovered]

WORKING: Final = ("pending", "active", "degraded")
"""Statuses that a refused grant turns into `needs_reauth`. A paused connection stays paused."""


class Plan(NamedTuple):
    """Connections that turn, and the messages that say so: for one transaction."""

    turned: Sequence[Turned] = ()
    appends: Sequence[Append] = ()


class GrantStates:
    """Plans the turns of a grant's connections. Raises `Unavailable`."""

    def __init__(self, grants: Grants, normalizer: Normalizer, channels: Mapping[str, str]) -> None:
        """`channels`: by provider, of those too that are off."""
        self._grants = grants
        self._normalizer = normalizer
        self._channels = channels

    def refused(self, grant: Grant, row: Taken, reason: str) -> Plan:
        """Only the owner can mend it: `needs_reauth`."""
        concerned = [c for c in self._grants.carried(grant.id) if c.status in WORKING]
        return self._plan(concerned, row, "needs_reauth", reason, ConnectionNeedsReauth)

    def expired(self, grant: Grant, row: Taken, reason: str) -> Plan:
        """The token has ended, and the provider gives no newer one now: `degraded`."""
        concerned = [c for c in self._grants.carried(grant.id) if c.status == "active"]
        reason = f"{TOKEN_REASON}{reason}"
        return self._plan(concerned, row, "degraded", reason, ConnectionDegraded)

    def renewed(self, grant: Grant, row: Taken, obtained_at: datetime) -> Plan:
        """The tokens work: `active` again, where tokens were missing since before they were
        obtained, and no other grant of the connection is refused.
        """
        obtained_ms = int(obtained_at.timestamp() * 1000)
        lame = [
            c
            for c in self._grants.carried(grant.id)
            if _lacks_token(c) and c.changed_at_ms <= obtained_ms
        ]
        beside = self._grants.refused_beside(grant.id, [c.id for c in lame]) if lame else ()
        concerned = [c for c in lame if c.id not in beside]
        return self._plan(concerned, row, "active", "", ConnectionRecovered)

    def _plan(
        self,
        concerned: Iterable[Connection],
        row: Taken,
        becomes: str,
        reason: str,
        content: Content,
    ) -> Plan:
        at_ms = now_ms()
        turned: list[Turned] = []
        appends: list[Append] = []
        for connection in concerned:
            turned.append(Turned(connection.id, connection.status, becomes, reason))
            event = Event(
                content(reason=reason or None),
                f"grant|{row.key}|{becomes}|{row.ticket}",
                datetime.fromtimestamp(at_ms / 1000, UTC),
            )
            appends += self._message(event, at_ms, connection)
        return Plan(turned, appends)

    def _message(self, event: Event, at_ms: int, connection: Connection) -> list[Append]:
        channel = self._channels.get(connection.provider)
        try:
            if channel is not None:
                return [self._normalizer.append(event, at_ms, channel, connection)]
            log.warning("grant.not_said", connection=connection.id, reason="unknown provider")
        except Unavailable:
            raise
        except VaultError as error:  # what one connection cannot be told must not stop the others
            log.warning("grant.not_said", connection=connection.id, reason=error.reason)
        return []


def _lacks_token(connection: Connection) -> bool:
    if connection.status == "degraded":
        return connection.status_reason.startswith(TOKEN_REASON)
    return connection.status == "needs_reauth"
