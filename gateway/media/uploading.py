"""Media to be sent: taken piece by piece from a request into the object store."""

import asyncio
import secrets
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Final, NamedTuple

import msgspec
from starlette.requests import ClientDisconnect, Request

from contracts.content import Attachment
from contracts.errors import Conflict, GatewayError, InvalidInput, TooLarge, UnknownKey
from contracts.media_types import kind_of, mime_type_of
from gateway.threads import Threads
from storage.database import now_ms
from storage.media import MEDIA, MediaRows, Outcome
from storage.media_schema import STORED
from storage.objects import ObjectStore
from storage.objects.intake import Intake
from storage.turns import NewMedia
from token_vault import (
    MediaDetails,
    ObjectKey,
    TenantKeys,
    Vault,
    media_id,
    new_object_key,
    new_object_name,
    seal_media,
)

WITHIN: Final = timedelta(hours=1)
"""An upload that is not whole by then is ended."""
STALLED_S: Final = 30.0
"""How long the next piece may take."""


class Upload(NamedTuple):
    """What is being uploaded: for whom, and what the caller says of it."""

    tenant: str
    declared: str | None
    name: str | None


class Uploading:
    """Stores uploads."""

    def __init__(
        self,
        rows: MediaRows,
        objects: ObjectStore,
        vault: Vault,
        threads: Threads,
        limits: Mapping[str, int],
        *,
        days: int,
    ) -> None:
        """`threads`: of its own, since they wait for senders. `limits`: bytes by kind. `days`: how
        long they are kept.
        """
        self._rows, self._objects, self._vault = rows, objects, vault
        self._threads, self._limits = threads, limits
        self._keep_ms = days * 86_400_000

    async def store(self, upload: Upload, request: Request) -> Attachment:
        """Store the body of `request`. Raises `InvalidInput`, `TooLarge`, `Conflict` when it took
        too long, `KeyDestroyed`, `Unavailable`.
        """
        pieces = _pieces(request, asyncio.get_running_loop())
        return await self._threads.run(self._store, upload, pieces)

    def _store(self, upload: Upload, pieces: Iterator[bytes]) -> Attachment:
        try:
            keys = self._vault.tenant(upload.tenant)
        except UnknownKey:
            raise InvalidInput("tenant: there is none of that name") from None
        attachment = Attachment(id=f"att_{secrets.token_hex(16)}", kind="unknown", name=upload.name)
        id_ = media_id(keys, attachment.id)
        sealed = seal_media(keys, id_, MediaDetails(attachment=attachment))
        new = NewMedia(id_, attachment.id, upload.tenant, sealed)
        name = new_object_name(self._vault.deployment())
        self._rows.begin_upload(new, name, now_ms() + WITHIN // timedelta(milliseconds=1))
        try:
            return self._filled(upload, attachment, id_, name, keys, pieces)
        except Conflict:
            self._objects.delete(name)  # its row was ended before it was there
            raise
        except GatewayError:
            self._rows.due.schedule(MEDIA, id_, now_ms())  # it is ended now, not in an hour
            raise

    def _filled(
        self,
        upload: Upload,
        attachment: Attachment,
        id: str,  # noqa: A002 (a row's)
        name: str,
        keys: TenantKeys,
        pieces: Iterator[bytes],
    ) -> Attachment:
        key, intake = new_object_key(), Intake(max(self._limits.values()))
        sealing = ObjectKey(key, upload.tenant, id)
        self._objects.put(name, sealing.seal(intake.pieces(pieces)))
        done = self._described(attachment, upload, intake)
        sealed = seal_media(keys, id, MediaDetails(attachment=done, key=key))
        ends_ms = now_ms() + self._keep_ms
        self._rows.end_upload(Outcome(STORED, sealed, intake.size, "", ends_ms), id)
        return done

    def _described(self, attachment: Attachment, upload: Upload, intake: Intake) -> Attachment:
        mime_type = mime_type_of(intake.head, upload.declared)
        kind = kind_of(mime_type)
        if not intake.size:
            raise InvalidInput("body: empty")
        if intake.size > self._limits[kind]:
            raise TooLarge(f"{kind}: more than {self._limits[kind] >> 20} MiB")
        return msgspec.structs.replace(
            attachment,
            kind=kind,
            mime_type=mime_type,
            size=intake.size,
            stored=True,
            sha256=intake.sha256,
        )


def _pieces(request: Request, loop: asyncio.AbstractEventLoop) -> Iterator[bytes]:
    """The body, for a thread: it asks for the next piece when it is done with the last, so that a
    sender who is faster than the store waits.
    """
    stream = request.stream()

    async def following() -> bytes | None:
        return await anext(stream, None)

    while True:
        coming = asyncio.run_coroutine_threadsafe(following(), loop)
        try:
            piece = coming.result(STALLED_S)
        except (ClientDisconnect, TimeoutError):
            coming.cancel()
            raise InvalidInput("body: ended early") from None
        if piece is None:
            return
        yield piece
