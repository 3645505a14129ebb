"""How a connect session begins: for accounts to be picked, or for one that needs consent again."""

from collections.abc import Collection

from connectors.registry import Registry
from contracts.accounts import Offers
from contracts.connector import Connector
from contracts.errors import InvalidInput, NotFound
from contracts.login import OAuthLogin
from gateway.connect.browsers import digest
from gateway.connect.journey import Stray
from gateway.connecting import Connecting
from storage.connect_sessions import LIFE_MS, Session
from storage.connections import Connection, Connections
from storage.database import now_ms
from token_vault import Vault, named_by, reconnects

ENDED = ("revoking", "revoked")


class Opening:
    """Makes sessions, which their caller stores."""

    def __init__(
        self, registry: Registry, connections: Connections, connecting: Connecting, vault: Vault
    ) -> None:
        self._registry, self._vault = registry, vault
        self._connections, self._connecting = connections, connecting

    def offers(self) -> dict[str, Connector]:
        """The providers that people can connect here: those that are on, with their login."""
        return {
            name: connector
            for name, connector in self._registry.connectors.items()
            if isinstance(connector, Offers) and self._asks(connector.login)
        }

    def _asks(self, name: str) -> bool:
        login = self._registry.logins.get(name)
        return isinstance(login, OAuthLogin) and not login.lacks

    def of_provider(
        self, token: str, tenant: str, provider: str, features: Collection[str] | None
    ) -> Session:
        """For accounts that are to be picked; `features` None: the provider's usual ones.

        Raises `InvalidInput` for what this gateway does not offer.
        """
        connector = self.offers().get(provider)
        if connector is None:
            on = ", ".join(sorted(self.offers())) or "none is on"
            raise InvalidInput(f"provider: one of those that people can connect here: {on}")
        names = [feature.name for feature in connector.features]
        if features is not None and (not features or not set(features) <= set(names)):
            raise InvalidInput(f"features: some of {', '.join(names)}")
        return _session(token, tenant, connector, features or connector.usual_features())

    def of_link(self, token: str, link: str) -> Session:
        """For what the connection of a reconnect link lacks.

        Raises `NotFound` for a link that we did not make, or made for a life of the connection that
        is over, and `Stray` for one whose connection has ended.
        """
        connection = self._connections.get(named_by(link))
        keys, since_ms = self._vault.deployment(), connection.receives_from_ms
        if not reconnects(keys, link, connection.id, since_ms):
            raise NotFound("no such reconnect link")
        if connection.status in ENDED:
            raise Stray("ended")
        return self.of_connection(token, connection)

    def of_connection(self, token: str, connection: Connection) -> Session:
        """For what a connection lacks: the features that are missing, or all of them when its
        tokens are refused. Raises `NotFound` for one that has ended, or whose provider is off.
        """
        connector = self.offers().get(connection.provider)
        if connector is None or connection.status in ENDED:
            raise NotFound(f"connection {connection.id} cannot be consented to again")
        every = connection.features or connector.usual_features()
        lacks = connection.missing if connection.status != "needs_reauth" else ()
        session = _session(token, connection.tenant, connector, lacks or every)
        (opened,) = self._connecting.open([connection])
        business = opened.details.business if opened.details else ""
        return session._replace(connection=connection.id, business=business or connection.tenant)


def _session(token: str, tenant: str, connector: Connector, features: Collection[str]) -> Session:
    assert isinstance(connector, Offers)  # noqa: S101 - `offers` has no others
    now = now_ms()
    return Session(
        id=digest(token).hex(),
        tenant=tenant,
        business=tenant,
        provider=connector.name,
        login=connector.login,
        features=sorted(set(features)),
        return_url=None,
        connection=None,
        created_at_ms=now,
        expires_at_ms=now + LIFE_MS,
    )
