"""What callers attach: media that we keep, or what the provider fetches by its address."""

import ipaddress
import mimetypes
from typing import Final
from urllib.parse import urlsplit

from contracts.errors import Gone, InvalidInput, NotFound, NotSendable
from contracts.sending import Attached, Kind
from gateway.send_shapes import AttachmentBody
from storage.media import MediaRows, stored
from token_vault import TenantKeys, open_media

_KINDS: Final[dict[str, Kind]] = {"image": "image", "video": "video", "audio": "audio"}


class Enclosing:
    """Checks what is attached."""

    def __init__(self, rows: MediaRows) -> None:
        self._rows = rows

    def attached(self, keys: TenantKeys, it: AttachmentBody) -> Attached:
        """Raises `InvalidInput`, `NotSendable` for what we do not keep (any more), `NotStored`
        while it is still to be fetched.
        """
        if (it.id is None) == (it.url is None):
            raise InvalidInput("attachments: each has either an id or a url")
        return _by_url(it, it.url) if it.url is not None else self._kept(keys, it.id or "")

    def _kept(self, keys: TenantKeys, id_: str) -> Attached:
        try:
            row = stored(self._rows.of_attachment(id_, keys.tenant))
        except (NotFound, Gone) as error:
            raise NotSendable(f"attachments: {error}") from None
        its = open_media(keys, row.id, row.sealed).attachment
        if its.kind not in ("image", "video", "audio", "file", "sticker"):
            raise NotSendable(f"attachments: {its.kind} is nothing that is sent")
        return Attached(its.kind, "", its.mime_type, its.name, id_)


def _by_url(it: AttachmentBody, url: str) -> Attached:
    """Its kind is guessed by the address's ending where it is not said."""
    check_url(url)
    mime_type = it.mime_type or mimetypes.guess_type(urlsplit(url).path)[0]
    kind = it.kind or _KINDS.get((mime_type or "").partition("/")[0], "file")
    return Attached(kind, url, mime_type, it.name)


def check_url(url: str) -> None:
    """Public, as far as its words tell: https, a name or a public address, no user. We never fetch
    it. Raises `InvalidInput`.
    """
    try:
        parts = urlsplit(url)
        host, is_plain = parts.hostname or "", parts.username is None and parts.port in (None, 443)
    except ValueError:
        raise InvalidInput("attachments: url cannot be read") from None
    if parts.scheme != "https" or not is_plain or not _is_public(host):
        raise InvalidInput("attachments: url must be https, of a public host")


def _is_public(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return "." in host.strip(".") and not host.rstrip(".").endswith((".localhost", ".local"))
