"""Professional accounts: the one of a consent, and what it delivers to us.

Calls go to graph.instagram.com, which facebook-sdk cannot reach.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final

import msgspec

from connectors.kit.meta.paths import path_of
from connectors.kit.meta.settings import MetaApps
from contracts.accounts import Choice, Offers, Subscribed, Subscribes
from contracts.errors import Retryable
from contracts.login import Granted

if TYPE_CHECKING:
    import httpx

FIELDS: Final[Mapping[str, frozenset[str]]] = {
    "messages": frozenset(
        {
            "messages",
            "message_edit",
            "message_reactions",
            "messaging_postbacks",
            "messaging_referral",
            "messaging_seen",
        }
    ),
    "comments": frozenset({"comments", "live_comments"}),
}
"""Feature → the webhook fields that it needs. Pages have other names for some of the same."""


class _App(msgspec.Struct):
    id: str | int | None = None
    subscribed_fields: list[str] = []


class _Apps(msgspec.Struct):
    data: list[_App] = []


class ProfessionalAccounts(Offers, Subscribes):
    """Source: https://developers.facebook.com/documentation/instagram-platform/webhooks/setup."""

    login: ClassVar[str] = "instagram"
    settings: MetaApps

    def accounts(self, client: httpx.Client, granted: Granted) -> list[Choice]:
        """See `Offers.accounts`: one, which the exchange has told already."""
        return [Choice(granted.tokens.subject, granted.name)]

    def subscribe(self, client: httpx.Client, account: str, features: Collection[str]) -> None:
        """See `Subscribes.subscribe`. One field switches on all that the app has in Meta's
        dashboard: what other tenants need stays.
        """
        fields = {"subscribed_fields": ",".join(sorted(_wanted(features)))}
        self._call(client, "POST", account, fields)

    def inspect(self, client: httpx.Client, account: str, features: Collection[str]) -> Subscribed:
        body = self._call(client, "GET", account)
        try:
            apps = msgspec.json.decode(body, type=_Apps, strict=False).data
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise Retryable("Instagram answered with something else than subscriptions") from None
        ours = [app for app in apps if app.id is None or str(app.id) in self.settings.ids]
        shown = frozenset(field for app in ours for field in app.subscribed_fields)
        return Subscribed(on=bool(ours), missing=_wanted(features) - shown)

    def unsubscribe(self, client: httpx.Client, account: str) -> None:
        self._call(client, "DELETE", account)

    def _call(
        self, client: httpx.Client, method: str, account: str, form: dict[str, Any] | None = None
    ) -> bytes:
        """All of them may be made twice."""
        from connectors.kit.instagram.calls import API
        from connectors.kit.meta.errors import error_of, refusal
        from connectors.kit.transport.failures import read

        path = path_of(account, "subscribed_apps")
        url = f"{API}/{self.settings.meta_graph_version}/{path}"
        response = client.request(method, url, data=form, extensions={"idempotent": True})
        if response.status_code != 200 or error_of(response.content):
            raise refusal(read(response), account)
        return response.content


def _wanted(features: Collection[str]) -> frozenset[str]:
    return frozenset().union(*(FIELDS.get(feature, frozenset()) for feature in features))
