"""Plans how connections turn when what is wrong with them changes, and what the feed says of it."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import structlog
from msgspec import UNSET

from contracts.causes import PAUSED, SCOPES, Causes
from contracts.connector import Event
from contracts.content import Content
from contracts.content.account import ConnectionDegraded, ConnectionNeedsReauth
from contracts.errors import Unavailable, VaultError
from storage.connections import Connection
from storage.database import now_ms
from storage.due import Taken
from storage.grants import Turned
from storage.turns import Append
from token_vault import Vault, reconnect_url
from workers.normalizing import Normalizer
from workers.standing import Known, Said, Standing, standing, told

log = structlog.get_logger()


class Change(NamedTuple):
    """What is wrong with a connection now. `missing`: features chosen that do not work."""

    connection: Connection
    causes: Causes
    missing: Sequence[str]


class Plan(NamedTuple):
    """Connections that turn, and the messages that say so: for one transaction. `look`: those that
    are to be looked at.
    """

    turned: Sequence[Turned] = ()
    appends: Sequence[Append] = ()
    look: Collection[str] = ()


class Turning:
    """Makes plans of changes. Raises `Unavailable`."""

    def __init__(
        self, normalizer: Normalizer, vault: Vault, public_url: str, channels: Mapping[str, str]
    ) -> None:
        """`channels`: by provider, of those too that are off."""
        self._normalizer = normalizer
        self._vault = vault
        self._public_url = public_url
        self._channels = channels

    def plan(
        self, row: Taken, changes: Iterable[Change], *, begins: bool = False, lifts: bool = False
    ) -> Plan:
        """For the job of `row`. A pending connection stays so, unless it `begins` or its owner is
        needed; a paused one, unless the job `lifts` the pause.
        """
        turned: list[Turned] = []
        appends: list[Append] = []
        for change in changes:
            connection = change.connection
            becomes = _becomes(change, begins=begins, lifts=lifts)
            turned.append(Turned(connection, *becomes, change.causes, change.missing))
            was = Known(connection.status, connection.causes, connection.missing)
            now = Known(becomes.status, change.causes, change.missing)
            for content in told(was, now):
                said = self._content(content, becomes.reason, change)
                appends += self.say(
                    said, connection, f"{row.kind}|{row.key}|{said.type}|{row.ticket}"
                )
        return Plan(turned, appends)

    def say(self, content: Content, connection: Connection, key: str) -> Sequence[Append]:
        """`content` as a message of the connection, now; none where its tenant has no keys more.
        `key` tells it from others that may be said within the month.
        """
        at_ms = now_ms()
        event = Event(content, key, datetime.fromtimestamp(at_ms / 1000, UTC))
        channel = self._channels.get(connection.provider)
        try:
            if channel is not None:
                return [self._normalizer.append(event, at_ms, channel, connection)]
            log.warning("connection.not_said", connection=connection.id, reason="unknown provider")
        except Unavailable:
            raise
        except VaultError as error:  # what one connection cannot be told must not stop the others
            log.warning("connection.not_said", connection=connection.id, reason=error.reason)
        return []

    def _content(self, content: Said, reason: str, change: Change) -> Content:
        """Who can mend it finds the link in it."""
        if content not in (ConnectionNeedsReauth, ConnectionDegraded):
            return content()
        connection = change.connection
        is_owners = content is ConnectionNeedsReauth or SCOPES in change.causes
        link = reconnect_url(
            self._public_url,
            self._vault.deployment(),
            connection.id,
            connection.receives_from_ms,
        )
        return content(
            reason=reason,
            missing_features=tuple(change.missing) or UNSET,
            reconnect_url=link if is_owners else UNSET,
        )


def _becomes(change: Change, *, begins: bool, lifts: bool) -> Standing:
    connection, becomes = change.connection, standing(change.causes)
    if connection.status == PAUSED and not lifts:
        return Standing(PAUSED, connection.status_reason)
    if connection.status == "pending" and not begins and becomes.status != "needs_reauth":
        return becomes._replace(status="pending")
    return becomes
