"""Gathers what is known of a connection, for who explains it."""

from collections.abc import Mapping
from typing import Final

from connectors.registry import PROVIDERS
from contracts.accounts import Offers
from contracts.gates import Gate
from contracts.settings import Settings
from gateway.connecting import Connected
from gateway.explaining import Facts, Rest
from storage.activity import ActivityStore
from storage.database import Database, now_ms
from storage.due import DueRows
from storage.gates import GateStore
from storage.grants import RECONCILE, REFRESH, Grants
from storage.inspections import Inspections, Subscription
from storage.pausing import PAUSE, Pauses
from token_vault import Vault, gate_names, reconnect_url

_APPS: Final = {
    line.connector.name: line.connector.login
    for line in PROVIDERS
    if issubclass(line.connector, Offers)
}
"""Provider → whose app calls it: logins are named after their hosts."""


class FactFinder:
    """Reads one deployment's database; calls nobody."""

    def __init__(
        self, database: Database, vault: Vault, settings: Settings, off: Mapping[str, str]
    ) -> None:
        """`off`: provider → missing setting."""
        self._grants, self._inspections = Grants(database), Inspections(database)
        self._activity, self._rows = ActivityStore(database), DueRows(database)
        self._pauses = Pauses(database)
        self._vault, self._settings, self._off = vault, settings, off
        self._gates, self._gate_name = GateStore(database), gate_names(vault)

    def find(self, connected: Connected) -> Facts:
        """Raises `Unavailable`."""
        connection = connected.connection
        grants = self._grants.of_connection(connection.id)
        rows = {grant.id: self._rows.standing(REFRESH, grant.id) for grant in grants}
        return Facts(
            connection,
            grants,
            self._subscription(connected),
            self._activity.of([connection.id]).get(connection.id),
            self._rows.standing(RECONCILE, connection.id),
            {id_: row for id_, row in rows.items() if row is not None},
            self._inspections.accepted([grant.id for grant in grants]),
            self._settings.policy_version or "",
            self._off.get(connection.provider),
            reconnect_url(
                self._settings.public_url,
                self._vault.deployment(),
                connection.id,
                connection.receives_from_ms,
            ),
            now_ms(),
            self._rests(connected),
            self._pauses.of(connection.id),
            self._pauses.waits(connection.id),
            self._rows.standing(PAUSE, connection.id),
            self._settings.dedup_days,
        )

    def _rests(self, connected: Connected) -> list[Rest]:
        provider = connected.connection.provider
        gates = [Gate(_APPS[provider])] if provider in _APPS else []
        if connected.details is not None:
            gates.append(Gate(provider, connected.details.account))
        found = [(gate, self._gates.of(self._gate_name(gate))) for gate in gates]
        return [Rest(one[0], not gate.asset, one[1]) for gate, one in found if one is not None]

    def _subscription(self, connected: Connected) -> Subscription | None:
        if connected.details is None:
            return None
        provider = connected.connection.provider
        route = self._vault.deployment().hash("route", provider, connected.details.subscribed)
        return self._inspections.subscription(provider, route, connected.connection.id)
