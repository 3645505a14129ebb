"""Phone numbers as accounts: which of them a consent makes available, how they are registered, and
the subscription of the WhatsApp Business Account (WABA) that they are part of.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final

from connectors.kit.meta.paths import path_of
from connectors.kit.meta.settings import MetaSettings
from contracts.accounts import Choice, Offers, Registers, Subscribed, Subscribes
from contracts.errors import Permanent, PermissionMissing
from contracts.login import Granted

if TYPE_CHECKING:
    import httpx

    from connectors.kit.meta.graph import Graph

FIELDS: Final[Mapping[str, frozenset[str]]] = {"messages": frozenset({"messages"})}
"""Feature → the webhook fields that it needs. They are chosen in the app's dashboard, for all."""

MANAGEMENT: Final = "whatsapp_business_management"
_MOST_AT_ONCE: Final = 100


class Numbers(Offers, Registers, Subscribes):
    """Sources: https://developers.facebook.com/docs/whatsapp/embedded-signup/onboarding-customers-as-a-tech-provider,
    https://developers.facebook.com/docs/whatsapp/business-management-api/manage-phone-numbers and
    https://developers.facebook.com/docs/graph-api/reference/whats-app-business-account/subscribed_apps.
    """

    login: ClassVar[str] = "whatsapp"
    settings: MetaSettings

    def accounts(self, client: httpx.Client, granted: Granted) -> list[Choice]:
        """See `Offers.accounts`: the numbers of the WABAs that the token itself names. What the
        browser says was chosen is not asked.
        """
        choices: list[Choice] = []
        for waba in sorted(granted.targets.get(MANAGEMENT, ())):
            choices += _numbers(self._graph(client, waba), waba)
        return sorted(choices, key=lambda one: (bool(one.hindrance), one.name, one.account))

    def register(self, client: httpx.Client, account: str) -> None:
        """See `Registers.register`. A number that lives in the WhatsApp Business app as well is
        left alone: registering would take it out of there.
        """
        graph = self._graph(client, account)
        shown = graph.get(path_of(account), fields="platform_type,is_on_biz_app")
        if shown.get("platform_type") == "CLOUD_API" or shown.get("is_on_biz_app"):
            return
        pin = self.pin(account)
        try:
            graph.put(path_of(account, "register"), messaging_product="whatsapp", pin=pin)
        except Permanent as error:  # another PIN, too many tries: its owner's to mend
            raise PermissionMissing(str(error), code=error.code) from None

    def pin(self, account: str) -> str:
        """The PIN of two-step verification with which we register a number: always the same, and
        kept nowhere. See ADR 38.
        """
        secret = self.settings.app_secret.reveal().encode()
        digest = hmac.digest(secret, b"whatsapp-pin/" + account.encode(), hashlib.sha256)
        return f"{int.from_bytes(digest[:8], 'big') % 1_000_000:06}"

    def parent(self, client: httpx.Client, account: str) -> str:
        waba = _waba(self._graph(client, account), account)
        return "" if waba == account else waba

    def subscribe(self, client: httpx.Client, account: str, features: Collection[str]) -> None:
        """See `Subscribes.subscribe`. Which fields are delivered is set in the app's dashboard."""
        graph = self._graph(client, account)
        graph.put(path_of(_waba(graph, account), "subscribed_apps"))

    def inspect(self, client: httpx.Client, account: str, features: Collection[str]) -> Subscribed:
        graph = self._graph(client, account)
        if self._shows(graph, _waba(graph, account)):
            return Subscribed(on=True)
        wanted = (FIELDS.get(feature, frozenset()) for feature in features)
        return Subscribed(on=False, missing=frozenset[str]().union(*wanted))

    def unsubscribe(self, client: httpx.Client, account: str) -> None:
        """See `Subscribes.unsubscribe`. Raises `Permanent` for a number that was connected without
        its WABA, when that has other numbers, or may not be asked: others may be connected as well.
        """
        graph = self._graph(client, account)
        waba = _waba(graph, account)
        if waba != account and [one.account for one in _numbers(graph, waba)] != [account]:
            raise Permanent("its WhatsApp Business Account has other numbers, and stays subscribed")
        if self._shows(graph, waba):
            graph.delete(path_of(waba, "subscribed_apps"))

    def _shows(self, graph: Graph, waba: str) -> bool:
        """Whether our own app is subscribed."""
        if self.settings.app_id is None:
            raise Permanent("META_APP_ID is not set, so our own subscription cannot be told")
        subscribed = graph.each(path_of(waba, "subscribed_apps"))
        apps = (one.get("whatsapp_business_api_data") for one in subscribed)
        return self.settings.app_id in [str(app.get("id")) for app in apps if isinstance(app, dict)]

    def _graph(self, client: httpx.Client, asset: str) -> Graph:
        from connectors.kit.meta.graph import Graph

        return Graph(client, self.settings.graph_version, asset)


def _waba(graph: Graph, account: str) -> str:
    """The WABA of a number that was connected without it: every node's health names it. Where Graph
    tells none, `account` is taken for one.

    Source: https://developers.facebook.com/docs/whatsapp/cloud-api/health-status.
    """
    health = graph.get(path_of(account), fields="health_status").get("health_status")
    entities = health.get("entities") if isinstance(health, dict) else None
    for entity in entities or ():
        if isinstance(entity, dict) and entity.get("entity_type") == "WABA" and entity.get("id"):
            return str(entity["id"])
    return account


def _numbers(graph: Graph, waba: str) -> list[Choice]:
    """A WABA that may not be asked is still shown: it was shared in the dialog."""
    asked = "id,display_phone_number,verified_name"
    try:
        told = [*graph.each(path_of(waba, "phone_numbers"), fields=asked, limit=_MOST_AT_ONCE)]
    except Permanent:
        return [Choice(waba, "", hindrance="no-access")]
    return [_choice(number, waba) for number in told if number.get("id")]


def _choice(number: Mapping[str, Any], waba: str) -> Choice:
    name, display = number.get("verified_name"), number.get("display_phone_number")
    shown = ", ".join(text for text in (name, display) if isinstance(text, str) and text)
    return Choice(str(number["id"]), shown, parent=waba)
