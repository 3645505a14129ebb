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


def routes(parts: Parts, client: "Callable[[], httpx.Client]") -> list[Route]:
    """Callbacks of the providers that are on, and the page that Meta shows people."""
    registry, threads, metrics = parts.registry, parts.threads, parts.metrics
    signals = Signals(parts.database)
    telling = Telling(signals, parts.vault, parts.jobs, metrics)
    meta = MetaCallbacks(
        registry.signed_requests, telling, threads, parts.settings.public_url.rstrip("/")
    )
    google = GoogleEvents(registry.security_events, GoogleKeys(client), telling, threads, metrics)
    return [*meta.routes(), *google.routes(), *DeletionPage(signals, threads).routes()]
