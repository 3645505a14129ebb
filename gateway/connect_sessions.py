"""`/v1/connect-sessions`: links on which a tenant's people connect their accounts."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from starlette.responses import Response

from contracts.errors import InvalidInput, KeyDestroyed, Misconfigured, NotFound
from contracts.settings import Settings, is_loopback
from gateway.auth import tenant_of
from gateway.connect.browsers import new_token
from gateway.connect.opening import Opening
from gateway.connecting import check_tenant
from gateway.operations import CRM, Call, Nothing, Operation, answer
from gateway.shapes import ConnectionId, ProviderName, Tenant, Text, Time, time_of
from gateway.threads import Threads
from storage.connect_sessions import ConnectSessions, Session
from storage.connections import Connections
from token_vault import Vault

Features = Annotated[
    list[Text], Meta(min_length=1, max_length=50, description="Default: all of the provider's.")
]
Business = Annotated[
    str, Meta(min_length=1, max_length=100, description="The tenant's name, as people know it.")
]
Again = Annotated[
    ConnectionId,
    Meta(description="To consent again to what this connection lacks; nothing is picked."),
]
Language = Annotated[Literal["en", "uk"], Meta(description="Default: the browser's.")]


class NewConnectSession(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be connected, for whom, and where the person goes afterwards."""

    tenant: Tenant
    provider: ProviderName
    return_url: Annotated[
        str, Meta(min_length=1, max_length=2000, description="One that the operator has allowed.")
    ]
    features: Features | None = None
    business: Business | None = None
    connection: Again | None = None
    language: Language | None = None


class ConnectLink(msgspec.Struct, frozen=True):
    """Give `url` to the one person who is to connect: whoever has it may use it, for an hour."""

    url: str
    expires_at: Time


class ConnectSessionCalls:
    """What the CRM core does to have accounts connected."""

    def __init__(
        self,
        settings: Settings,
        opening: Opening,
        sessions: ConnectSessions,
        connections: Connections,
        vault: Vault,
        threads: Threads,
    ) -> None:
        self._settings, self._opening, self._sessions = settings, opening, sessions
        self._connections, self._vault, self._threads = connections, vault, threads

    async def create(self, call: Call[Nothing, Nothing, NewConnectSession]) -> Response:
        """A link to the connect pages."""
        tenant_of(call.key, call.body.tenant)
        made = await self._threads.run(self._create, call.body)
        return answer(made, 201)

    def _create(self, new: NewConnectSession) -> ConnectLink:
        tenant = check_tenant(new.tenant)
        if not self._settings.may_return_to(new.return_url):
            raise InvalidInput("return_url: not among GATEWAY_RETURN_URLS")
        if not self._settings.public_url.startswith("https:") and not is_loopback(
            self._settings.public_url
        ):
            raise Misconfigured("GATEWAY_PUBLIC_URL must be https for people to connect accounts")
        token = new_token()
        session = self._session(token, tenant, new)
        business = new.business or session.business
        if not business.isprintable():
            raise InvalidInput("business: printable characters")
        self._vault.create_tenant(tenant)
        self._sessions.add(
            session._replace(
                business=business, return_url=new.return_url, language=new.language or ""
            )
        )
        url = f"{self._settings.public_url.rstrip('/')}/connect/{token}"
        return ConnectLink(url, time_of(session.expires_at_ms))

    def _session(self, token: str, tenant: str, new: NewConnectSession) -> Session:
        if new.connection is None:
            return self._opening.of_provider(token, tenant, new.provider, new.features)
        missing = f"no connection {new.connection}"
        connection = self._connections.get(new.connection)
        if (connection.tenant, connection.provider) != (tenant, new.provider):
            raise NotFound(missing)
        return self._opening.of_connection(token, connection)

    def operations(self) -> tuple[Operation, ...]:
        """This part of the table."""
        return (
            Operation(
                name="createConnectSession",
                method="POST",
                path="/v1/connect-sessions",
                roles=CRM,
                summary="A link on which somebody connects an account",
                text="Open it in the browser of the person who looks after the account. The pages "
                "say what will be read and why, ask at the provider, have the accounts picked and "
                "lead back to `return_url`, with `result` (`connected` or `cancelled`) and each "
                "`connection` in its query.",
                body=NewConnectSession,
                example_body='{"tenant":"acme","provider":"facebook",'
                '"return_url":"https://crm.example/settings"}',
                answers={201: ConnectLink},
                errors=(NotFound, KeyDestroyed),
                endpoint=self.create,
            ),
        )
