"""Who writes to a professional account: told once they have agreed by writing to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from connectors.kit.meta.messaging.profiles import OF_INSTAGRAM, known
from connectors.kit.meta.paths import path_of
from connectors.kit.meta.settings import MetaApps
from contracts.errors import Retryable
from contracts.profiles import Known, TellsProfiles

if TYPE_CHECKING:
    import httpx


class ProfessionalProfiles(TellsProfiles):
    """Source: https://developers.facebook.com/docs/instagram-platform/instagram-api-with-instagram-login/messaging-api/user-profile."""

    settings: MetaApps

    def profile(self, client: httpx.Client, account: str, contact: str) -> Known:
        """See `TellsProfiles.profile`."""
        from connectors.kit.instagram.calls import API
        from connectors.kit.meta.errors import error_of, refusal
        from connectors.kit.transport.failures import read

        url = f"{API}/{self.settings.meta_graph_version}/{path_of(contact)}"
        response = client.get(url, params={"fields": OF_INSTAGRAM})
        if response.status_code != 200 or error_of(response.content):
            raise refusal(read(response), account)
        try:
            return known(msgspec.json.decode(response.content, type=dict[str, Any]))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise Retryable("Instagram answered with something else than a profile") from None
