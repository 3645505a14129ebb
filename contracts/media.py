"""Media that come with messages: what is to be fetched, and what a connector does to open it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Final

import msgspec

if TYPE_CHECKING:
    import httpx

LIMITS_MB: Final[Mapping[str, int]] = {
    "image": 25,
    "sticker": 5,
    "audio": 25,
    "video": 100,
    "file": 100,
}
"""How large media of each kind may be that are kept, in MiB: what the providers allow, or more."""


class Media(msgspec.Struct, frozen=True, kw_only=True):
    """One attachment that is to be fetched and kept.

    `attachment`: the id of an attachment of the event's content, which tells kind and name.
    `place`: the URL at the provider, or the provider's own id where it has to be asked for one. The
    others are the provider's word for it, where it gives one: `size` in bytes, `sha256` in
    lowercase hex.
    """

    attachment: str
    place: str
    mime_type: str | None = None
    size: int | None = None
    sha256: str | None = None


class KeepsMedia(ABC):
    """A connector whose events name media that are fetched and kept (`Event.media`).

    What the provider forbids to keep is in no `Event.media`: its URL stands in the message alone.
    """

    media_hosts: ClassVar[frozenset[str]]
    """Hosts that its media may come from, and with a leading dot all hosts below: `.fbcdn.net`.
    Calls to others are refused, wherever an answer or a redirect leads."""

    media_need_token: ClassVar[bool] = False
    """Whether the client carries the account's token; otherwise it carries none."""

    @abstractmethod
    def open(self, client: httpx.Client, media: Media) -> httpx.Response:
        """The answer of 200 whose body is the media, not read yet; who called closes it.

        `client` reaches `media_hosts` alone, over TLS. Raises the errors of `Login.refresh`, and
        `Permanent` for what is no longer there.
        """
