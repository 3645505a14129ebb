"""Pages as accounts: which of them a consent makes available, and what they deliver to us."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, ClassVar, Final

from connectors.kit.meta.paths import path_of
from connectors.kit.meta.settings import MetaSettings
from contracts.accounts import Choice, Offers, Subscribed, Subscribes
from contracts.errors import Permanent
from contracts.login import Granted

if TYPE_CHECKING:
    import httpx

    from connectors.kit.meta.graph import Graph

FIELDS: Final[Mapping[str, frozenset[str]]] = {
    "messages": frozenset(
        {
            "messages",
            "message_deliveries",
            "message_echoes",
            "message_edits",
            "message_reactions",
            "message_reads",
            "messaging_account_linking",
            "messaging_handovers",
            "messaging_optins",
            "messaging_policy_enforcement",
            "messaging_postbacks",
            "messaging_referrals",
            "response_feedback",
            "standby",
        }
    ),
    "comments": frozenset({"feed", "mention"}),
    "leads": frozenset({"leadgen"}),
}
"""Feature → the webhook fields of a Page that it needs. Instagram's names for some of the same
(`messaging_seen`, `message_edit`) are refused here."""


class Pages(Offers, Subscribes):
    """Sources: https://developers.facebook.com/docs/graph-api/reference/user/accounts and
    https://developers.facebook.com/docs/graph-api/reference/page/subscribed_apps.
    """

    login: ClassVar[str] = "meta"
    settings: MetaSettings

    def accounts(self, client: httpx.Client, granted: Granted) -> list[Choice]:
        """See `Offers.accounts`. Each has the Page's own token, which all calls for it take."""
        from connectors.facebook.pages import pages

        return pages(self._graph(client, granted.tokens.subject), granted)

    def subscribe(self, client: httpx.Client, account: str, features: Collection[str]) -> None:
        """See `Subscribes.subscribe`. Graph replaces the whole list: what is there is named again,
        since other tenants may need it. Two that do so at once may undo each other, which the next
        inspection finds.
        """
        graph = self._graph(client, account)
        fields = _wanted(features) | (self._shown(graph, account) or frozenset())
        graph.put(path_of(account, "subscribed_apps"), subscribed_fields=",".join(sorted(fields)))

    def inspect(self, client: httpx.Client, account: str, features: Collection[str]) -> Subscribed:
        shown = self._shown(self._graph(client, account), account)
        if shown is None:
            return Subscribed(on=False, missing=_wanted(features))
        return Subscribed(on=True, missing=_wanted(features) - shown)

    def unsubscribe(self, client: httpx.Client, account: str) -> None:
        graph = self._graph(client, account)
        if self._shown(graph, account) is not None:
            graph.delete(path_of(account, "subscribed_apps"))

    def _shown(self, graph: Graph, account: str) -> frozenset[str] | None:
        """The fields of our own app's subscription, or None without one."""
        if self.settings.app_id is None:
            raise Permanent("META_APP_ID is not set, so our own subscription cannot be told")
        for app in graph.each(path_of(account, "subscribed_apps")):
            if str(app.get("id")) == self.settings.app_id:
                return frozenset(map(str, app.get("subscribed_fields") or ()))
        return None

    def _graph(self, client: httpx.Client, asset: str) -> Graph:
        from connectors.kit.meta.graph import Graph

        return Graph(client, self.settings.graph_version, asset)


def _wanted(features: Collection[str]) -> frozenset[str]:
    return frozenset().union(*(FIELDS.get(feature, frozenset()) for feature in features))
