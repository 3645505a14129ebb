"""Meta's media that are to be had without a token, as Messenger and Instagram give them."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from connectors.kit.media import opened
from contracts.media import KeepsMedia, Media

if TYPE_CHECKING:
    import httpx

CDN: Final = frozenset(
    {"fbcdn.net", ".fbcdn.net", "fbsbx.com", ".fbsbx.com", "cdninstagram.com", ".cdninstagram.com"}
)
"""Where Meta serves what people send to each other."""


class PublicMedia(KeepsMedia):
    """The place is a URL that works until Meta removes or re-signs it: fetch it at once."""

    media_hosts: ClassVar[frozenset[str]] = CDN

    def open(self, client: httpx.Client, media: Media) -> httpx.Response:
        return opened(client, media.place)
