"""The edge's way out to providers, while somebody connects an account: made when first needed."""

import threading
from typing import TYPE_CHECKING

from contracts.gates import Keeper
from contracts.settings import Settings

if TYPE_CHECKING:
    import httpx

    from connectors.kit.transport.transport import Transport


class Outward:
    """One transport per edge. Until it is asked for, nothing of HTTP clients is loaded."""

    def __init__(self, settings: Settings, keeper: Keeper) -> None:
        self._settings, self._keeper = settings, keeper
        self._lock = threading.Lock()
        self._transport: Transport | None = None

    def client(self, auth: "httpx.Auth | None") -> "httpx.Client":
        """A client for calls without a token, or with the one that `auth` carries."""
        with self._lock:
            if self._transport is None:
                from connectors.kit.transport.transport import Transport

                settings = self._settings
                self._transport = Transport(
                    allow=settings.allowed_networks,
                    sandbox_url=settings.sandbox_url,
                    keeper=self._keeper,
                )
            return self._transport.client(auth)

    def close(self) -> None:
        """Close its connections, if it ever had any."""
        if self._transport is not None:
            self._transport.close()
