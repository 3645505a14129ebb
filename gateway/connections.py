"""`/v1/providers` and `/v1/connections`: what can be connected, and what is."""

from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.responses import Response

from connectors.registry import PROVIDERS, Registry
from contracts.connection import AccountDetails
from contracts.connector import Connector
from contracts.errors import NotFound
from gateway.auth import require_tenant, tenant_of
from gateway.connecting import Connecting
from gateway.operations import CRM_OR_OPERATOR, Call, Nothing, Operation, answer
from gateway.shapes import ById, Tenant, Text, Time, time_of
from gateway.threads import Threads
from storage.connections import Connection, Connections


class ConnectionQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which connections."""

    tenant: Tenant | None = None
    provider: Text | None = None
    status: Text | None = None


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
    created_at: Time
    changed_at: Time


class ConnectionList(msgspec.Struct, frozen=True):
    """Oldest first."""

    connections: list[ConnectionState]


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
        self, connections: Connections, connecting: Connecting, registry: Registry, threads: Threads
    ) -> None:
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
        found = await self._threads.run(
            self._connections.list,
            tenant=tenant_of(call.key, query.tenant),
            provider=query.provider,
            status=query.status,
        )
        return answer(ConnectionList(await self._threads.run(self._opened, found)))

    async def get(self, call: Call[Nothing, ById, Nothing]) -> Response:
        """One connection."""
        missing = f"no connection {call.path.id}"
        found = await self._threads.run(self._connections.get, call.path.id)
        require_tenant(call.key, found.tenant, missing)
        (state,) = await self._threads.run(self._opened, [found])
        return answer(state)

    def _opened(self, found: Sequence[Connection]) -> list[ConnectionState]:
        return [_state(*opened) for opened in self._connecting.open(found)]

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
                answers={200: ConnectionState},
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
        sorted(content.type for content in connector.emits),
    )


def _state(
    connection: Connection, details: AccountDetails | None, calls_out: bool
) -> ConnectionState:
    return ConnectionState(
        connection.id,
        connection.tenant,
        connection.provider,
        connection.status,
        connection.status_reason,
        details.account if details else None,
        details.name if details else None,
        calls_out,
        time_of(connection.created_at_ms),
        time_of(connection.changed_at_ms),
    )
