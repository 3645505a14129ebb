"""Gmail: a mailbox at Google. It is connected, and does not receive yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from contracts.accounts import Choice, Offers
from contracts.connector import Connector, Feature

if TYPE_CHECKING:
    import httpx

    from contracts.login import Granted

__all__ = ["Gmail"]

_READ: Final = "https://www.googleapis.com/auth/gmail.readonly"
_SEND: Final = "https://www.googleapis.com/auth/gmail.send"


class Gmail(Connector, Offers):
    """Source: https://developers.google.com/workspace/gmail/api/auth/scopes."""

    name, channel, title = "gmail", "email", "Gmail"
    login: ClassVar[str] = "google"
    features: ClassVar[tuple[Feature, ...]] = (Feature("read", (_READ,)), Feature("send", (_SEND,)))

    def accounts(self, client: httpx.Client, granted: Granted) -> list[Choice]:
        """See `Offers.accounts`: one, by its address in lower case. Who may only send
        cannot ask Gmail for it.
        """
        address = granted.email or (_READ in granted.scopes and _address(client, granted))
        return [Choice(address.lower(), address)] if address else []


def _address(client: httpx.Client, granted: Granted) -> str | None:
    from connectors.kit.google.services import execute, gmail

    profile = execute(gmail(client).users().getProfile(userId="me"), granted.tokens.subject)
    return str(profile["emailAddress"]) if profile.get("emailAddress") else None
