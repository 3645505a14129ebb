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
    """The Meta app: its secrets sign deliveries, its verify token answers the handshake."""

    app_secret: Secret
    verify_token: Secret
    app_secret_previous: Secret | None = None
    """Still valid while the secret is being rotated."""
    app_id: str | None = None
    """Tells echoes of our own sends from those of other apps."""
    login_config_id: str | None = None
    """The Configuration of Facebook Login for Business that says what the dialog asks for."""
    graph_version: str = "v24.0"

    def __post_init__(self) -> None:
        if not re.fullmatch(r"v\d+\.\d+", self.graph_version):
            raise Misconfigured("META_GRAPH_VERSION must look like v24.0")

    @property
    def secrets(self) -> tuple[tuple[str, Secret], ...]:
        """Name and secret, in the order in which they are tried."""
        if self.app_secret_previous is None:
            return (("meta", self.app_secret),)
        return (("meta", self.app_secret), ("meta-previous", self.app_secret_previous))

    def findings(self, today: date) -> Iterator[str]:
        """What an operator should know, in words."""
        sunset = SUNSETS.get(self.graph_version)
        if sunset and sunset <= today:
            yield f"META_GRAPH_VERSION {self.graph_version} ended on {sunset}"
        elif sunset and sunset - today <= _WARN_BEFORE:
            yield f"META_GRAPH_VERSION {self.graph_version} ends on {sunset}"
        if self.app_id is None:
            yield "META_APP_ID is not set: echoes of our own sends look like another app's"
