"""Stored media as responses: opened piece by piece in threads, so that none is in memory whole."""

from collections.abc import AsyncIterator, Iterator
from itertools import chain
from typing import Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from contracts.content import Attachment
from contracts.errors import Gone, NotFound, UnknownKey
from contracts.media_types import UNKNOWN
from gateway import problems
from gateway.media.ranges import Part, part_of
from gateway.threads import Threads
from storage.media import MediaRow, stored
from storage.objects import ObjectStore
from token_vault import MediaDetails, ObjectKey, Vault, open_media, span

_ALWAYS: Final = {
    "x-content-type-options": "nosniff",
    "content-security-policy": "sandbox; default-src 'none'",
    "accept-ranges": "bytes",
}
"""Strangers made what is served: no browser runs any of it."""


class Serving:
    """Serves media from an object store."""

    def __init__(self, objects: ObjectStore, vault: Vault, threads: Threads) -> None:
        """`threads`: of its own, since a store may be slow."""
        self._objects, self._vault, self._threads = objects, vault, threads

    async def response(self, row: MediaRow | None, request: Request) -> Response:
        """The bytes of `row`, as `request` asks for them. Raises `NotFound`, `NotStored`, `Gone`,
        `KeyDestroyed`, `Tampered`, `Unavailable`.
        """
        found = stored(row)
        details = await self._threads.run(self._details, found)
        headers = _headers(details.attachment)
        if request.headers.get("if-none-match") in (headers["etag"], "*"):
            return Response(status_code=304, headers=headers)
        size = found.size or 0
        part = part_of(_asked(request, headers["etag"]), size)
        if part is None:
            headers = {"content-range": f"bytes */{size}"}
            return problems.respond(416, "range", "No such part", headers=headers)
        headers["content-length"] = str(part.length)
        if not part.whole:
            end = part.first + part.length - 1
            headers["content-range"] = f"bytes {part.first}-{end}/{size}"
        status = 200 if part.whole else 206
        if request.method == "HEAD":
            return Response(status_code=status, headers=headers)
        pieces = await self._threads.run(self._begin, found, details, part)
        return StreamingResponse(self._each(pieces), status, headers)

    def _details(self, row: MediaRow) -> MediaDetails:
        return open_media(self._vault.tenant(row.tenant), row.id, row.sealed)

    def _begin(self, row: MediaRow, details: MediaDetails, part: Part) -> Iterator[bytes]:
        """With the first piece read already: until then it can be said what is wrong."""
        if details.key is None or row.object is None:
            raise UnknownKey("media without a key")
        size = row.size or 0
        at = span(size, part.first, part.length)
        try:
            sealed = self._objects.read(row.object, at.start, at.length)
        except NotFound:
            raise Gone("its bytes are lost") from None
        key = ObjectKey(details.key, row.tenant, row.id)
        pieces = key.open(sealed, size, part.first, part.length)
        return chain([next(pieces, b"")], pieces)

    async def _each(self, pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
        while (piece := await self._threads.run(next, pieces, None)) is not None:
            yield piece


def _headers(attachment: Attachment) -> dict[str, str]:
    name = attachment.name or attachment.id
    return {
        **_ALWAYS,
        "content-type": attachment.mime_type or UNKNOWN,
        "content-disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}",
        "etag": f'"{attachment.sha256}"',
    }


def _asked(request: Request, etag: str) -> str | None:
    """A part is of what the caller has already: of another it gets all (RFC 9110, 13.1.5)."""
    condition = request.headers.get("if-range")
    return request.headers.get("range") if condition in (None, etag) else None
