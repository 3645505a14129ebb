"""Media of WhatsApp: an id, which names an address for five minutes; both want the token.

Source: https://developers.facebook.com/docs/whatsapp/cloud-api/reference/media. What somebody sent
can be had for 7 days.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, Any, ClassVar, Final

import msgspec

from connectors.kit.media import opened
from connectors.kit.meta.hosts import GRAPH_HOST, MEDIA_HOST
from connectors.kit.meta.settings import MetaSettings
from contracts.content import Attachment
from contracts.errors import Permanent, Retryable
from contracts.media import KeepsMedia, Media

if TYPE_CHECKING:
    import httpx

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
_SHA256_BYTES: Final = 32


class _Place(msgspec.Struct):
    url: str


class CloudMedia(KeepsMedia):
    """The place is the medium's id."""

    media_hosts: ClassVar[frozenset[str]] = frozenset({GRAPH_HOST, MEDIA_HOST})
    media_need_token: ClassVar[bool] = True
    settings: MetaSettings

    def open(self, client: httpx.Client, media: Media) -> httpx.Response:
        """See `KeepsMedia.open`."""
        from connectors.kit.meta.errors import error_of, refusal
        from connectors.kit.transport.failures import read

        if not _ID.fullmatch(media.place):  # it becomes a part of an address
            raise Permanent("the medium's id is none")
        response = client.get(
            f"https://{GRAPH_HOST}/{self.settings.graph_version}/{media.place}",
            extensions={"idempotent": True},
        )
        if response.status_code != 200 or error_of(response.content):
            raise refusal(read(response), media.place)
        try:
            place = msgspec.json.decode(response.content, type=_Place)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise Retryable("Graph answered with something else than a medium") from None
        return opened(client, place.url)


def to_fetch(attached: Attachment, told: dict[str, Any]) -> tuple[Media, ...]:
    """What is to be fetched of a medium that a message tells of; nothing without an id."""
    id_ = told.get("id")
    if not isinstance(id_, str | int) or isinstance(id_, bool) or id_ == "":
        return ()
    return (
        Media(
            attachment=attached.id,
            place=str(id_),
            mime_type=attached.mime_type,
            sha256=_hex(told.get("sha256")),
        ),
    )


def _hex(digest: object) -> str | None:
    """WhatsApp's base64 of a SHA-256 in hex; what is none is not compared."""
    try:
        raw = base64.b64decode(digest, validate=True) if isinstance(digest, str) else b""
    except (ValueError, binascii.Error):
        return None
    return raw.hex() if len(raw) == _SHA256_BYTES else None
