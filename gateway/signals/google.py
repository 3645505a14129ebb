"""`/webhooks/google-risc`: Google's security events, and the keys that sign them."""

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from connectors.kit.google.security_events import CONFIGURATION, SecurityEvents
from contracts.errors import BadSignature, InvalidInput, ProviderError, Unavailable
from gateway.metrics import Metrics
from gateway.signals.telling import Telling
from gateway.threads import Threads

if TYPE_CHECKING:
    import httpx

log = structlog.get_logger()

PATH: Final = "/webhooks/google-risc"
_CAP: Final = 64 << 10
_AT_ONCE: Final = 2
_MOST_WAITING: Final = 200
_FRESH_S: Final = 3_600.0
"""Google changes its keys about once a day, and announces new ones ahead."""
_SELDOM_S: Final = 60.0
"""How often Google may be asked, when it is away or a key id is unknown: anybody can invent one."""
_SOON_S: Final = 5.0
"""The same while there are no keys at all, and every event has to wait."""


class GoogleKeys:
    """Google's public keys by id, kept for an hour."""

    def __init__(
        self,
        client: Callable[[], "httpx.Client"],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client, self._clock = client, clock
        self._keys: dict[str, Any] = {}
        self._fetched_at: float | None = None
        self._asked_at: float | None = None
        self._lock = threading.Lock()

    def key_of(self, kid: str) -> Any:
        """Raises `BadSignature` for a key that Google does not have, `Unavailable` when it could
        not be asked.
        """
        with self._lock:
            is_wanted = kid not in self._keys or self._is_over(self._fetched_at, _FRESH_S)
            if is_wanted and self._is_over(self._asked_at, _SELDOM_S if self._keys else _SOON_S):
                self._asked_at = self._clock()
                self._ask()
            if kid in self._keys:
                return self._keys[kid]
            if self._fetched_at is None or self._fetched_at < (self._asked_at or 0):
                raise Unavailable("Google's signing keys cannot be fetched")
            raise BadSignature("security event: signed with a key that Google does not have")

    def _is_over(self, since: float | None, seconds: float) -> bool:
        return since is None or self._clock() - since > seconds

    def _ask(self) -> None:
        from jwt import PyJWKSet, PyJWTError

        try:
            client = self._client()
            keys = _json(client, str(_json(client, CONFIGURATION)["jwks_uri"]))
            found = {key.key_id: key.key for key in PyJWKSet.from_dict(keys).keys if key.key_id}
        except (ProviderError, PyJWTError, KeyError, TypeError, AttributeError) as error:
            log.warning("google_keys.not_fetched", error=type(error).__name__)
        else:
            self._keys, self._fetched_at = found, self._clock()


def _json(client: "httpx.Client", url: str) -> Any:
    """Raises `ProviderError`, and `KeyError` for an address that is none of Google's."""
    host = urlsplit(url).hostname or ""
    if not url.startswith("https://") or not host.endswith((".google.com", ".googleapis.com")):
        raise KeyError(host)
    answer = client.get(url)
    if answer.status_code != 200:
        raise ProviderError(f"Google answered {answer.status_code}")
    try:
        return answer.json()
    except ValueError:
        raise ProviderError("Google answered with something else than JSON") from None


class GoogleEvents:
    """Takes the tokens: 202 once they are durable, 400 for what is none of Google's for us.

    Source: https://developers.google.com/identity/protocols/risc#create_your_event_receiver.
    """

    def __init__(
        self,
        events: SecurityEvents | None,
        keys: GoogleKeys,
        telling: Telling,
        metrics: Metrics,
    ) -> None:
        self._events, self._keys, self._telling = events, keys, telling
        self._threads = Threads(_AT_ONCE, _MOST_WAITING)  # a slow Google holds up nobody else
        self._refused = metrics.signals_refused

    def routes(self) -> list[Route]:
        """None while there is no OAuth client of Google's."""
        return [Route(PATH, self.receive, methods=["POST"])] if self._events is not None else []

    def close(self) -> None:
        """Let events under way end."""
        self._threads.close()

    async def receive(self, request: Request) -> Response:
        """One token. Raises `Unavailable`, which Google tries again after."""
        try:
            await self._threads.run(self._keep, await _body(request))
        except (BadSignature, InvalidInput) as error:
            self._refused.labels("google", error.reason).inc()
            return PlainTextResponse(f"{error}\n", 400)
        return Response(status_code=202)

    def _keep(self, token: bytes) -> None:
        if self._events is None:
            raise InvalidInput("no OAuth client is set up")
        for told in self._events.read(token, self._keys.key_of):
            self._telling.keep(told)


async def _body(request: Request) -> bytes:
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > _CAP:
                raise InvalidInput("security event: too long")
    except ClientDisconnect:
        raise InvalidInput("security event: ended early") from None
    return bytes(body).strip()
