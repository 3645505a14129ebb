"""What callers attach by its address: the provider fetches it from there, we never do."""

import ipaddress
import mimetypes
from typing import Final
from urllib.parse import urlsplit

from contracts.errors import InvalidInput
from contracts.sending import Attached, Kind
from gateway.send_shapes import AttachmentBody

_KINDS: Final[dict[str, Kind]] = {"image": "image", "video": "video", "audio": "audio"}


def attached(it: AttachmentBody) -> Attached:
    """Its kind is guessed by the address's ending where it is not said. Raises `InvalidInput`."""
    check_url(it.url)
    mime_type = it.mime_type or mimetypes.guess_type(urlsplit(it.url).path)[0]
    kind = it.kind or _KINDS.get((mime_type or "").partition("/")[0], "file")
    return Attached(kind, it.url, mime_type, it.name)


def check_url(url: str) -> None:
    """Public, as far as its words tell: https, a name or a public address, no user. Raises
    `InvalidInput`.
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
