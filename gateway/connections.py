"""`/v1/providers` and `/v1/connections`: what can be connected, and what is."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from starlette.responses import Response

from connectors.registry import PROVIDERS, Registry
from contracts.connector import Connector, Receives
from contracts.content import Content
from contracts.errors import InvalidInput, NotFound
from gateway.auth import require_tenant, tenant_of
from gateway.connecting import Connected, Connecting
from gateway.explaining import explain
from gateway.facts import FactFinder
from gateway.operations import CRM_OR_OPERATOR, Call, Nothing, Operation, answer
from gateway.shapes import ById, LastId, Limit, ProviderName, Tenant, Text, Time, time_of
from gateway.threads import Threads
from storage.activity import Activity, ActivityStore
from storage.connections import Connection, Connections
from storage.inspections import Subscription


class ConnectionQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which connections; `after` is the last id of the page before."""

    tenant: Tenant | None = None
    provider: ProviderName | None = None
    status: Text | None = None
    after: LastId | None = None
    limit: Limit = 100


class ConnectionState(msgspec.Struct, frozen=True):
    """A connection. `account` (the provider's id) and `name` are null for an erased tenant, and
    where they do not open.
    """

    id: str
    tenant: str
    provider: str
    status: str
    status_reason: str
    account: str | None
    name: str | None
    calls_out: Annotated[bool, Meta(description="Whether it has a grant to call the provider.")]
    scopes: Annotated[
        list[str],
        Meta(description="The provider's scopes of its grant; a token added by hand tells none."),
    ]
    declined_scopes: Annotated[
        list[str], Meta(description="Scopes that were asked for and are not granted.")
    ]
    features: Annotated[
        list[str],
        Meta(description="Those chosen; where nobody chose, what its scopes are enough for."),
    ]
    missing_features: Annotated[list[str], Meta(description="Those chosen that do not work now.")]
    token_obtained_at: Annotated[
        Time | None, Meta(description="When its tokens were given, or last found good.")
    ]
    token_expires_at: Annotated[
        Time | None, Meta(description="Null where they have no end that is known.")
    ]
    last_event_at: Annotated[
        Time | None, Meta(description="When something was last received; null: never.")
    ]
    created_at: Time
    changed_at: Time


class HealthSentence(msgspec.Struct, frozen=True):
    """What is so, and what to do about it; `do` is empty where there is nothing to do."""

    says: str
    do: str


class SubscriptionState(msgspec.Struct, frozen=True):
    """What the provider delivers. `state`: `wanted`, `on`, `missing` (all or some of it), `off`.
    `checked_at`: when it was last found to be all that we want.
    """

    state: str
    missing_fields: list[str]
    detail: str
    checked_at: Time | None


class ConnectionDetails(ConnectionState, frozen=True):
    """A connection, and how it is in words: its status first, then what is wrong with it."""

    health: list[HealthSentence]
    subscriptions: list[SubscriptionState]


class ConnectionList(msgspec.Struct, frozen=True):
    """Oldest first; a full page may have another after it."""

    connections: list[ConnectionState]
    has_more: bool


class FeatureState(msgspec.Struct, frozen=True):
    """What a tenant can ask for, and the provider's scopes that it needs."""

    name: str
    scopes: list[str]


class ProviderState(msgspec.Struct, frozen=True):
    """A provider; `missing` names the setting without which it is off."""

    name: str
    title: str
    channel: str
    on: bool
    missing: str | None
    features: list[FeatureState]
    message_types: list[str]


class ProviderList(msgspec.Struct, frozen=True):
    """Every provider of this build."""

    providers: list[ProviderState]


class ConnectionCalls:
    """What the CRM core and operators see of connections."""

    def __init__(
        self,
        connections: Connections,
        activity: ActivityStore,
        connecting: Connecting,
        facts: FactFinder,
        registry: Registry,
        threads: Threads,
    ) -> None:
        self._activity = activity
        self._facts = facts
        self._connections = connections
        self._connecting = connecting
        self._registry = registry
        self._threads = threads

    async def providers(self, _: Call[Nothing, Nothing, Nothing]) -> Response:
        """All of this build, on or off."""
        off = self._registry.off
        return answer(ProviderList([_provider(line.connector, off) for line in PROVIDERS]))

    async def listed(self, call: Call[ConnectionQuery, Nothing, Nothing]) -> Response:
        """Connections of a tenant, or of all."""
        query = call.query
        try:
            found = await self._threads.run(
                self._connections.list,
                tenant=tenant_of(call.key, query.tenant),
                provider=query.provider,
                status=query.status,
                after=query.after,
                limit=query.limit,
            )
        except NotFound:
            raise InvalidInput("query: after is not the id of such a connection") from None
        opened = await self._threads.run(self._opened, found)
        return answer(ConnectionList(opened, len(found) == query.limit))

    async def get(self, call: Call[Nothing, ById, Nothing]) -> Response:
        """One connection."""
        missing = f"no connection {call.path.id}"
        found = await self._threads.run(self._connections.get, call.path.id)
        require_tenant(call.key, found.tenant, missing)
        return answer(await self._threads.run(self._details, found))

    def _opened(self, found: Sequence[Connection]) -> list[ConnectionState]:
        heard = self._activity.of([connection.id for connection in found])
        return [
            ConnectionState(**_state(opened, heard.get(opened.connection.id)))
            for opened in self._connecting.open(found)
        ]

    def _details(self, found: Connection) -> ConnectionDetails:
        (opened,) = self._connecting.open([found])
        facts = self._facts.find(opened)
        return ConnectionDetails(
            **_state(opened, facts.activity),
            health=[HealthSentence(says, do) for says, do in explain(facts)],
            subscriptions=[_subscription(facts.subscription)] if facts.subscription else [],
        )

    def operations(self) -> tuple[Operation, ...]:
        """This part of the table."""
        return (
            Operation(
                name="listProviders",
                method="GET",
                path="/v1/providers",
                roles=CRM_OR_OPERATOR,
                summary="Providers of this build",
                answers={200: ProviderList},
                endpoint=self.providers,
            ),
            Operation(
                name="listConnections",
                method="GET",
                path="/v1/connections",
                roles=CRM_OR_OPERATOR,
                summary="Connected accounts",
                query=ConnectionQuery,
                example="/v1/connections?tenant=acme&limit=100",
                answers={200: ConnectionList},
                endpoint=self.listed,
            ),
            Operation(
                name="getConnection",
                method="GET",
                path="/v1/connections/{id}",
                roles=CRM_OR_OPERATOR,
                summary="One connected account",
                path_parts=ById,
                answers={200: ConnectionDetails},
                errors=(NotFound,),
                endpoint=self.get,
            ),
        )


def _provider(connector: type[Connector], off: Mapping[str, str]) -> ProviderState:
    return ProviderState(
        connector.name,
        connector.title,
        connector.channel,
        connector.name not in off,
        off.get(connector.name),
        [FeatureState(feature.name, list(feature.scopes)) for feature in connector.features],
        sorted(content.type for content in _emits(connector)),
    )


def _emits(connector: type[Connector]) -> tuple[type[Content], ...]:
    return connector.emits if issubclass(connector, Receives) else ()


def _state(opened: Connected, heard: Activity | None) -> dict[str, Any]:
    """The fields of a `ConnectionState`."""
    connection, details, granted = opened
    scopes = granted.scopes if granted else frozenset()
    return {
        "id": connection.id,
        "tenant": connection.tenant,
        "provider": connection.provider,
        "status": connection.status,
        "status_reason": connection.status_reason,
        "account": details.account if details else None,
        "name": details.name if details else None,
        "calls_out": opened.calls_out,
        "scopes": sorted(scopes),
        "declined_scopes": sorted(granted.declined) if granted else [],
        "features": list(connection.features) or _features(connection.provider, scopes),
        "missing_features": list(connection.missing),
        "token_obtained_at": _time_or_none(granted and granted.obtained_at_ms),
        "token_expires_at": _time_or_none(granted and granted.expires_at_ms),
        "last_event_at": _time_or_none(heard and heard.last_at_ms),
        "created_at": time_of(connection.created_at_ms),
        "changed_at": time_of(connection.changed_at_ms),
    }


def _subscription(found: Subscription) -> SubscriptionState:
    checked_at = _time_or_none(found.checked_at_ms)
    return SubscriptionState(found.state, list(found.missing), found.detail, checked_at)


def _time_or_none(unix_ms: int | None) -> Time | None:
    return None if unix_ms is None else time_of(unix_ms)


def _features(provider: str, scopes: frozenset[str]) -> list[str]:
    """What `scopes` are enough for; none for a provider that this build does not have."""
    known = (line.connector for line in PROVIDERS if line.connector.name == provider)
    return [
        f.name for connector in known for f in connector.features if scopes.issuperset(f.scopes)
    ]
