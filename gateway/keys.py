"""`/v1/keys`: API keys, shown once and stored hashed."""

from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.responses import Response

from contracts.errors import NotFound
from gateway.auth import Auth, tenant_of
from gateway.connecting import check_tenant
from gateway.operations import ADMIN, Call, Nothing, Operation, answer
from gateway.shapes import ById, Tenant, Time, time_of
from gateway.threads import Threads
from storage.api_keys import ApiKey, ApiKeys, Role


class NewKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key to make; without a tenant it is good for all of them."""

    role: Role
    tenant: Tenant | None = None
    name: Annotated[str, Meta(max_length=200, description="For people.")] = ""


class Key(msgspec.Struct, frozen=True):
    """A key without its text."""

    id: str
    name: str
    role: Role
    tenant: str | None
    created_at: Time
    revoked_at: Time | None


class MadeKey(Key, frozen=True):
    """`key` is its text; it is not stored, and never shown again."""

    key: str


class Keys(msgspec.Struct, frozen=True):
    """Oldest first, revoked ones too."""

    keys: list[Key]


class KeyCalls:
    """What admins do with keys. An admin of one tenant deals with that tenant's keys alone."""

    def __init__(self, keys: ApiKeys, auth: Auth, threads: Threads) -> None:
        self._keys = keys
        self._auth = auth
        self._threads = threads

    async def listed(self, call: Call[Nothing, Nothing, Nothing]) -> Response:
        """All that the caller may see."""
        return answer(Keys([_shown(key) for key in await self._visible(call.key)]))

    async def create(self, call: Call[Nothing, Nothing, NewKey]) -> Response:
        """Make a key."""
        body = call.body
        tenant = tenant_of(call.key, body.tenant)
        if tenant is not None:
            check_tenant(tenant)
        key, clear = await self._threads.run(self._keys.create, body.role, tenant, body.name)
        return answer(MadeKey(key=clear, **msgspec.structs.asdict(_shown(key))), 201)

    async def revoke(self, call: Call[Nothing, ById, Nothing]) -> Response:
        """Revoke for good."""
        wanted = call.path.id
        if wanted not in {key.id for key in await self._visible(call.key)}:
            raise NotFound("no such key")
        key = await self._threads.run(self._keys.revoke, wanted)
        self._auth.forget()
        return answer(_shown(key))

    async def _visible(self, caller: ApiKey) -> list[ApiKey]:
        found = await self._threads.run(self._keys.list)
        return [key for key in found if caller.tenant in (None, key.tenant)]

    def operations(self) -> tuple[Operation, ...]:
        """This part of the table."""
        return (
            Operation(
                name="listKeys",
                method="GET",
                path="/v1/keys",
                roles=ADMIN,
                summary="API keys",
                answers={200: Keys},
                endpoint=self.listed,
            ),
            Operation(
                name="createKey",
                method="POST",
                path="/v1/keys",
                roles=ADMIN,
                summary="Make an API key",
                text="The answer holds its text: the only time that it is shown.",
                body=NewKey,
                example_body='{"role":"crm","tenant":"acme","name":"CRM core"}',
                answers={201: MadeKey},
                endpoint=self.create,
            ),
            Operation(
                name="revokeKey",
                method="DELETE",
                path="/v1/keys/{id}",
                roles=ADMIN,
                summary="Revoke an API key",
                text="For good, and within five seconds on every edge; once more changes nothing.",
                path_parts=ById,
                answers={200: Key},
                errors=(NotFound,),
                endpoint=self.revoke,
            ),
        )


def _shown(key: ApiKey) -> Key:
    return Key(
        key.id,
        key.name,
        key.role,
        key.tenant,
        time_of(key.created_at_ms),
        time_of(key.revoked_at_ms) if key.revoked_at_ms else None,
    )
