"""Who writes to a Page: needs Meta's "Business Asset User Profile Access"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from connectors.kit.meta.messaging.profiles import OF_PAGES, known
from connectors.kit.meta.paths import path_of
from connectors.kit.meta.settings import MetaSettings
from contracts.profiles import Known, TellsProfiles

if TYPE_CHECKING:
    import httpx


class PageProfiles(TellsProfiles):
    """Source: https://developers.facebook.com/docs/messenger-platform/identity/user-profile."""

    settings: MetaSettings

    def profile(self, client: httpx.Client, account: str, contact: str) -> Known:
        """See `TellsProfiles.profile`."""
        from connectors.kit.meta.graph import Graph

        graph = Graph(client, self.settings.graph_version, account)
        return known(graph.get(path_of(contact), fields=OF_PAGES))
