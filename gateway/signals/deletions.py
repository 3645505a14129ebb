"""`/privacy/deletions/{code}`: how a request to delete somebody's data stands, in words."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from contracts.errors import NotFound
from gateway.connect.rendering import Renderer, Texts
from gateway.connect.requests import one, words
from gateway.connect.texts import chosen
from gateway.shapes import time_of
from gateway.signals.meta import DELETION
from gateway.signals.telling import is_code
from gateway.threads import Threads
from storage.signals import Signal, Signals


class DeletionPage:
    """A page for whoever has the code; it names nobody."""

    def __init__(self, signals: Signals, threads: Threads) -> None:
        self._signals, self._threads = signals, threads
        self._renderer = Renderer()

    def routes(self) -> list[Route]:
        """The code in the address is what opens it."""
        return [Route("/privacy/deletions/{code}", self.show, methods=["GET"])]

    async def show(self, request: Request) -> Response:
        """404 for a code that we never gave, or that is too old."""
        accepted = request.headers.get("accept-language", "")
        asked = one(words(request.scope["query_string"]), "lang")
        texts = Texts(chosen(asked, "", accepted))
        code = request.path_params["code"]
        try:
            found = await self._threads.run(self._found, code)
        except NotFound:
            return self._renderer.page("deletion", texts, status=404, state="unknown", code="")
        return self._renderer.page(
            "deletion",
            texts,
            state=_state(found),
            code=code,
            received_at=time_of(found.received_at_ms),
            finished_at=time_of(found.finished_at_ms) if found.finished_at_ms else "",
        )

    def _found(self, code: str) -> Signal:
        if not is_code(code):
            raise NotFound("no such code")
        found = self._signals.by_code(code)
        if found.kind != DELETION:
            raise NotFound("no such code")
        return found


def _state(signal: Signal) -> str:
    if signal.state != "done":
        return "received"
    return "done" if signal.ended else "nothing"
