"""Puts the parts that listen to signals together, for one edge."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from starlette.routing import Route

from gateway.parts import Parts
from gateway.signals.deletions import DeletionPage
from gateway.signals.google import GoogleEvents, GoogleKeys
from gateway.signals.meta import MetaCallbacks
from gateway.signals.telling import Telling
from storage.signals import Signals

if TYPE_CHECKING:
    import httpx


class Listening:
    """Callbacks of the providers that are on, and the page that Meta shows people."""

    def __init__(self, parts: Parts, client: "Callable[[], httpx.Client]") -> None:
        """`client` makes one for calls without a token."""
        registry, threads, metrics = parts.registry, parts.threads, parts.metrics
        signals = Signals(parts.database)
        telling = Telling(signals, parts.vault, parts.jobs, metrics)
        public_url = parts.settings.public_url.rstrip("/")
        self._meta = MetaCallbacks(registry.signed_requests, telling, threads, public_url, metrics)
        keys = GoogleKeys(client)
        self._google = GoogleEvents(registry.security_events, keys, telling, metrics)
        self._page = DeletionPage(signals, threads)

    def routes(self) -> list[Route]:
        """All of them."""
        return [*self._meta.routes(), *self._google.routes(), *self._page.routes()]

    def close(self) -> None:
        """Let what is under way end."""
        self._google.close()
