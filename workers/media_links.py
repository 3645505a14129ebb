"""Stored media for a provider to fetch: what a send says of an attachment."""

import time
from collections.abc import Callable
from typing import Final

from contracts.errors import Permanent
from contracts.sending import Attached
from storage.media import MediaRows, stored
from token_vault import Vault, media_url, open_media

LINK_S: Final = 3600
"""How long a provider may fetch it; it mostly does at once."""


class MediaLinks:
    """Makes links that end by themselves. Safe to share between threads."""

    def __init__(
        self,
        rows: MediaRows,
        vault: Vault,
        public_url: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`clock`: Unix time."""
        self._rows, self._vault, self._public_url, self._clock = rows, vault, public_url, clock

    def media(self, tenant: str, attachment_id: str) -> Attached:
        """An attachment of the tenant's, uploaded or received, as it is put into an `Outgoing`.

        Raises `NotFound`, `NotStored` (not yet), `Gone`, `VaultError`, `StoreUnavailable`, and
        `Permanent` for what is no file.
        """
        row = stored(self._rows.of_attachment(attachment_id, tenant))
        its = open_media(self._vault.tenant(tenant), row.id, row.sealed).attachment
        if its.kind not in ("image", "video", "audio", "file", "sticker"):
            raise Permanent(f"{its.kind} is nothing that is sent")
        until_s = int(self._clock()) + LINK_S
        url = media_url(self._public_url, self._vault.deployment(), row.id, until_s)
        return Attached(its.kind, url, its.mime_type, its.name)
