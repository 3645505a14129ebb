"""`/v1/attachments`: stored media, and media to send; `/media/{token}`: what providers fetch."""

import time
from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from contracts.errors import (
    Conflict,
    GatewayError,
    Gone,
    InvalidInput,
    KeyDestroyed,
    NotFound,
    NotStored,
    Tampered,
    TooLarge,
)
from gateway import problems
from gateway.auth import tenant_of
from gateway.media.serving import Serving
from gateway.media.uploading import Upload, Uploading
from gateway.operations import CRM, Call, Nothing, Operation, answer
from gateway.shapes import ById, Tenant
from gateway.threads import Threads
from storage.media import MediaRow, MediaRows
from token_vault import Vault, media_of


class OfTenant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose; a key of all tenants may leave it out."""

    tenant: Tenant | None = None


class NewUpload(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose it is (a key of all tenants has to say), and how it is called."""

    tenant: Tenant | None = None
    name: Annotated[str, Meta(min_length=1, max_length=200)] | None = None


class Uploaded(msgspec.Struct, frozen=True):
    """Name `id` in a message to send."""

    id: str
    kind: str
    mime_type: str
    size: int
    sha256: str


class MediaCalls:
    """Media over HTTP."""

    def __init__(
        self,
        rows: MediaRows,
        serving: Serving,
        uploading: Uploading,
        vault: Vault,
        threads: Threads,
    ) -> None:
        self._rows, self._serving, self._uploading = rows, serving, uploading
        self._vault, self._threads = vault, threads

    async def one(self, call: Call[OfTenant, ById, Nothing]) -> Response:
        """The bytes of an attachment."""
        tenant = tenant_of(call.key, call.query.tenant)
        row = await self._threads.run(self._rows.of_attachment, call.path.id, tenant)
        return await self._serving.response(row, call.request)

    async def upload(self, call: Call[NewUpload, Nothing, Nothing]) -> Response:
        """Store what is to be sent."""
        tenant = tenant_of(call.key, call.query.tenant)
        if tenant is None:
            raise InvalidInput("query: tenant is missing, and the key has none")
        declared = call.request.headers.get("content-type")
        done = await self._uploading.store(Upload(tenant, declared, call.query.name), call.request)
        made = Uploaded(done.id, done.kind, done.mime_type or "", done.size or 0, done.sha256 or "")
        return answer(made, 201)

    async def public(self, request: Request) -> Response:
        """What a provider fetches, by a link that says for how long."""
        try:
            row = await self._threads.run(self._linked, request.path_params["token"])
            response = await self._serving.response(row, request)
        except GatewayError as error:
            response = await problems.of_gateway_error(request, error)
        response.headers["cache-control"] = "no-store"
        return response

    def _linked(self, token: str) -> MediaRow | None:
        named = media_of(self._vault.deployment(), token, time.time())
        if named is None:
            raise NotFound("no such link, or it is over")
        return self._rows.get(named)

    def routes(self) -> list[Route]:
        """What is not of the table: nobody needs a key for it."""
        return [Route("/media/{token}", self.public)]

    def operations(self) -> tuple[Operation, ...]:
        """This part of the table."""
        return (
            Operation(
                name="getAttachment",
                method="GET",
                path="/v1/attachments/{id}",
                roles=CRM,
                summary="The bytes of an attachment",
                text="As they were sent, once they are `stored`. Takes `Range` with one part, "
                "`If-Range` and `If-None-Match`; the `ETag` is their SHA-256.",
                query=OfTenant,
                path_parts=ById,
                answers={200: bytes, 206: bytes, 304: None},
                errors=(NotFound, NotStored, Gone, KeyDestroyed, Tampered),
                endpoint=self.one,
            ),
            Operation(
                name="createAttachment",
                method="POST",
                path="/v1/attachments",
                roles=CRM,
                summary="Media to send",
                text="The body is the file itself, and `Content-Type` its type.",
                query=NewUpload,
                takes_bytes=True,
                answers={201: Uploaded},
                errors=(TooLarge, KeyDestroyed, Conflict),
                endpoint=self.upload,
            ),
        )
