"""`/meta/deauthorize`, `/meta/data-deletion`: somebody removed the app, or wants data deleted.

Source: https://developers.facebook.com/docs/development/create-an-app/app-dashboard/data-deletion-callback.
"""

from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from connectors.kit.meta.signed_request import SignedRequests
from contracts.errors import BadSignature, InvalidInput, TooLarge
from contracts.signals import Told
from gateway.connect.requests import one, read_form
from gateway.metrics import Metrics
from gateway.signals.telling import Telling
from gateway.threads import Threads

DEAUTHORIZE: Final = "deauthorize"
DELETION: Final = "deletion"


class MetaCallbacks:
    """Forms with a signed request, by either app of ours. Errors are problem documents."""

    def __init__(
        self,
        requests: SignedRequests,
        telling: Telling,
        threads: Threads,
        public_url: str,
        metrics: Metrics,
    ) -> None:
        self._requests, self._telling, self._threads = requests, telling, threads
        self._public_url = public_url
        self._refused = metrics.signals_refused

    def routes(self) -> list[Route]:
        """None while no app is set up that could sign."""
        if not self._requests.is_on:
            return []
        return [
            Route("/meta/deauthorize", self.deauthorize, methods=["POST"]),
            Route("/meta/data-deletion", self.data_deletion, methods=["POST"]),
        ]

    async def deauthorize(self, request: Request) -> Response:
        """The consent is gone: 200 once that is durable, also for somebody whom we do not know."""
        told = await self._read(request, DEAUTHORIZE)
        await self._threads.run(self._telling.keep, told)
        return Response(status_code=200)

    async def data_deletion(self, request: Request) -> Response:
        """As Meta wants it answered: where the person sees how it stands, and with which code."""
        told = await self._read(request, DELETION)
        kept = await self._threads.run(self._telling.keep, told, coded=True)
        body = {
            "url": f"{self._public_url}/privacy/deletions/{kept.code}",
            "confirmation_code": kept.code,
        }
        return Response(msgspec.json.encode(body), media_type="application/json")

    async def _read(self, request: Request, kind: str) -> Told:
        try:
            signed = one(await read_form(request), "signed_request")
            return self._requests.read(signed, kind)
        except (BadSignature, InvalidInput, TooLarge) as error:
            self._refused.labels("meta", error.reason).inc()
            raise
