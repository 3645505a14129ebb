"""Settings of the Meta app, and when the Graph versions end."""

import re
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Final

import msgspec

from contracts.errors import Misconfigured
from contracts.tokens import Secret

SUNSETS: Final = {
    "v18.0": date(2026, 1, 26),
    "v19.0": date(2026, 5, 21),
    "v20.0": date(2026, 9, 24),
    "v21.0": date(2027, 1, 21),
    "v22.0": date(2027, 5, 20),
    "v23.0": date(2027, 10, 8),
    "v24.0": date(2028, 2, 18),
    "v25.0": date(2028, 7, 29),
}
"""Graph version → its last day, from Meta's changelog. A version that is over is answered by the
oldest live one without a word."""

_WARN_BEFORE: Final = timedelta(days=90)


class MetaSettings(msgspec.Struct, frozen=True, rename=lambda field: f"META_{field.upper()}"):
    """The Meta app, for what cannot be had without it. Deliveries are checked with `MetaApps`."""

    app_secret: Secret
    verify_token: Secret
    app_id: str | None = None
    """Tells echoes of our own sends from those of other apps."""
    login_config_id: str | None = None
    """The Configuration of Facebook Login for Business that says what the dialog asks for."""
    signup_config_id: str | None = None
    """The Configuration of WhatsApp's Embedded Signup; without it no number is connected by it."""
    graph_version: str = "v24.0"

    def __post_init__(self) -> None:
        _check_version(self.graph_version)

    def findings(self, today: date) -> Iterator[str]:
        """What an operator should know, in words."""
        sunset = SUNSETS.get(self.graph_version)
        if sunset and sunset <= today:
            yield f"META_GRAPH_VERSION {self.graph_version} ended on {sunset}"
        elif sunset and sunset - today <= _WARN_BEFORE:
            yield f"META_GRAPH_VERSION {self.graph_version} ends on {sunset}"
        if self.app_id is None:
            yield "META_APP_ID is not set: echoes of our own sends look like another app's"


class MetaApps(msgspec.Struct, frozen=True, rename="upper"):
    """The apps that deliver to `/webhooks/meta`: the Meta app, the Instagram app, or both.

    With Instagram's own login, an app of Meta's dashboard has a second id and secret for that.
    """

    meta_verify_token: Secret
    """Answers the handshake, of whichever app."""
    meta_graph_version: str = "v24.0"
    """Instagram's own host counts its versions as Graph does."""
    meta_app_id: str | None = None
    meta_app_secret: Secret | None = None
    meta_app_secret_previous: Secret | None = None
    """Still valid while the secret is being rotated."""
    instagram_app_id: str | None = None
    instagram_app_secret: Secret | None = None
    instagram_app_secret_previous: Secret | None = None

    def __post_init__(self) -> None:
        _check_version(self.meta_graph_version)

    @property
    def secrets(self) -> tuple[tuple[str, Secret], ...]:
        """Name and secret of those that are set, in the order in which they are tried."""
        named = {
            "meta": self.meta_app_secret,
            "meta-previous": self.meta_app_secret_previous,
            "instagram": self.instagram_app_secret,
            "instagram-previous": self.instagram_app_secret_previous,
        }
        return tuple((name, secret) for name, secret in named.items() if secret is not None)

    @property
    def ids(self) -> frozenset[str]:
        """Of our own apps: echoes of our own sends name one of them."""
        return frozenset(filter(None, (self.meta_app_id, self.instagram_app_id)))


def _check_version(version: str) -> None:
    if not re.fullmatch(r"v\d+\.\d+", version):
        raise Misconfigured("META_GRAPH_VERSION must look like v24.0")
