"""Asks who new contacts are, beside the way of messages, and says what is new."""

import time
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

import msgspec
import structlog
from msgspec import UNSET

from connectors.kit.shape import digest
from contracts.connector import Connector, Event
from contracts.content import ContactChanged, Profile
from contracts.errors import (
    GatewayError,
    KeyDestroyed,
    NotFound,
    Permanent,
    PermissionMissing,
    Reauthorize,
    Retryable,
)
from contracts.profiles import Known, TellsProfiles
from storage import due
from storage.connections import Connection, Connections
from storage.database import now_ms
from storage.drain import DrainStore
from storage.due import DueRows, Taken
from storage.pausing import require_unpaused
from storage.profiles import AGE_S, PROFILE, Contact, Profiles
from storage.turns import RECEIVING, Append, Asked, Turn
from token_vault import Purpose, TenantKeys, Vault, open_contact
from workers.calling import Accounts
from workers.normalizing import Normalizer, account_details, utc
from workers.retrying import told, until_stored

log = structlog.get_logger()

ATTEMPTS: Final = 5
"""Then a contact is left alone until they do something."""
DENIED_S: Final = 6 * 3_600.0
"""A connection that may not ask is not asked for by a worker for so long."""


class Profiling:
    """The job of a `profile` row. Nothing is kept over the call but the row."""

    def __init__(
        self,
        profiles: Profiles,
        connections: Connections,
        rows: DueRows,
        store: DrainStore,
        accounts: Accounts,
        vault: Vault,
        normalizer: Normalizer,
        connectors: Mapping[str, Connector],
    ) -> None:
        self._profiles, self._connections = profiles, connections
        self._rows, self._store = rows, store
        self._accounts, self._vault, self._normalizer = accounts, vault, normalizer
        self._tells = {n: one for n, one in connectors.items() if isinstance(one, TellsProfiles)}
        self._channels = {n: one.channel for n, one in connectors.items()}
        self._denied: dict[str, float] = {}

    def run(self, row: Taken) -> None:
        """Raises `Paused` while its connection is, `LeaseLost`, `Unavailable`, and what may succeed
        later.
        """
        contact = self._profiles.find(row.key)
        if contact is None:  # erased
            self._rows.remove(row)
            return
        try:
            connection = self._connections.get(contact.connection)
            require_unpaused(connection)
            if self._is_wanted(contact, connection):
                self._ask(row, contact, connection)
            else:
                self._rows.remove(row)
        except (NotFound, KeyDestroyed):
            self._rows.remove(row)

    def _is_wanted(self, contact: Contact, connection: Connection) -> bool:
        if connection.status not in RECEIVING:
            return False
        if self._denied.get(connection.id, 0.0) > time.monotonic():
            return False
        return contact.asked is None or now_ms() - contact.asked.at_ms > AGE_S * 1000

    def _ask(self, row: Taken, contact: Contact, connection: Connection) -> None:
        asked_at_ms = now_ms()
        keys = self._vault.tenant(connection.tenant)
        try:
            known = self._asked(contact, connection, keys)
        except (PermissionMissing, Reauthorize, NotFound) as error:
            self._deny(row, connection, error)
            return
        except Permanent:  # this one's is not to be had
            known = Known()
        except Retryable as error:
            if row.attempts + 1 < ATTEMPTS:
                raise
            log.info("profile.given_up", connection=connection.id, reason=told(error))
            self._rows.remove(row)
            return
        sealed = keys.seal(Purpose.PROFILE, contact.id.encode(), msgspec.json.encode(known))
        asked = Asked(
            contact.id, connection.tenant, connection.id, contact.contact, asked_at_ms, sealed
        )
        appends = self._news(contact, connection, keys, known, asked_at_ms)
        until_stored(self._rows.seconds / 4)(self._write, row, asked, appends)

    def _asked(self, contact: Contact, connection: Connection, keys: TenantKeys) -> Known:
        connector = self._tells.get(connection.provider)
        if connector is None:
            raise NotFound("nobody tells profiles there")
        who = open_contact(keys, contact.id, contact.sealed)
        account = account_details(connection, keys).account
        client = self._accounts.client_for(connection, job=PROFILE)
        return connector.profile(client, account, who)

    def _deny(self, row: Taken, connection: Connection, error: GatewayError) -> None:
        """The account may not ask, or has no token: the next contacts do not try it either."""
        self._denied[connection.id] = time.monotonic() + DENIED_S
        log.info("profile.denied", connection=connection.id, reason=told(error))
        self._rows.remove(row)

    def _news(
        self,
        contact: Contact,
        connection: Connection,
        keys: TenantKeys,
        known: Known,
        at_ms: int,
    ) -> list[Append]:
        """The message that says what is new; none where nothing is, or nothing is known."""
        before = _before(contact, keys)
        if _told(known) in (_told(before), _told(Known())):
            return []
        who = open_contact(keys, contact.id, contact.sealed)
        said = Profile(id=who, name=known.name or UNSET, picture=known.picture or UNSET)
        key = f"profile:{who}:{digest(msgspec.json.encode(_told(known)))}"
        event = Event(ContactChanged(contact=said), key, utc(at_ms), who)
        channel = self._channels[connection.provider]
        return [self._normalizer.append(event, at_ms, channel, connection)]

    def _write(self, row: Taken, asked: Asked, appends: list[Append]) -> None:
        self._store.write(
            Turn(first=lambda open_: due.end(open_, row), appends=appends, asked=[asked])
        )


def _before(contact: Contact, keys: TenantKeys) -> Known:
    if contact.asked is None or not contact.asked.sealed:
        return Known()
    plain = keys.open(Purpose.PROFILE, contact.id.encode(), contact.asked.sealed)
    return msgspec.json.decode(plain, type=Known)


def _told(known: Known) -> tuple[str, str]:
    """What tells one profile from another: a picture's address is signed anew each time."""
    return known.name, urlsplit(known.picture).path
