"""`/connect/…` and the providers' way back: the pages that people see, and what they send."""

from collections.abc import Callable
from importlib.resources import files
from typing import Final

import msgspec
import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from contracts.errors import GatewayError, InvalidInput, KeyDestroyed, NotFound, TooLarge
from gateway.connect.browsers import Browser, Cookies, is_token, new_token
from gateway.connect.journey import Answer, Journey, Stray
from gateway.connect.opening import Opening
from gateway.connect.rendering import ASSETS, SAFE, Texts
from gateway.connect.requests import Visit, Words, one, read_form
from gateway.connect.views import Views
from gateway.metrics import Metrics
from gateway.seldom import Seldom
from gateway.threads import Threads
from storage.connect_sessions import CONNECTED, Session

log = structlog.get_logger()

_TYPES: Final = {
    "connect.css": "text/css",
    "status.js": "text/javascript",
    "signup.js": "text/javascript",
}

Later = Callable[[], Response]
"""What is left to do where providers are asked."""
Shown = Callable[[Visit], Response | Later]


class ConnectPages:
    """What a browser asks of `/connect` and `/oauth`."""

    def __init__(
        self,
        journey: Journey,
        opening: Opening,
        views: Views,
        cookies: Cookies,
        threads: Threads,
        at_providers: Threads,
        metrics: Metrics,
    ) -> None:
        """`at_providers`: threads in which providers are asked, so that nothing else waits for one
        that is slow. Only answers that are a browser's own get there.
        """
        self._journey, self._opening, self._views = journey, opening, views
        self._cookies, self._calls = cookies, metrics.calls
        self._threads, self._at_providers = threads, at_providers
        self._strays = Seldom("connect.stray")

    def routes(self) -> list[Route]:
        """The pages; none asks for a key, the address or the cookie is what opens them."""
        return [
            Route(f"{ASSETS}/{{name}}", self.asset, methods=["GET"]),
            self._route("GET", "/connect/again/{token}", self._again),
            self._route("POST", "/connect/again/{token}", self._ask_again),
            self._route("GET", "/connect/{token}", self._session),
            self._route("GET", "/connect/{token}/status", self._status),
            self._route("POST", "/connect/{token}/ask", self._ask),
            self._route("POST", "/connect/{token}/pick", self._pick),
            self._route("GET", "/oauth/{login}/callback", self._callback),
            self._route("POST", "/oauth/{login}/callback", self._callback),
        ]

    async def asset(self, request: Request) -> Response:
        """Style and script of the pages."""
        name = request.path_params["name"]
        if name not in _TYPES:
            raise HTTPException(404)
        body = files("gateway.connect").joinpath("assets", name).read_bytes()
        headers = {"cache-control": "max-age=3600", "x-content-type-options": "nosniff"}
        return Response(body, headers=headers, media_type=_TYPES[name])

    # -- a session -----------------------------------------------------------------------------

    def _session(self, visit: Visit) -> Response:
        session, browser = self._found(visit)
        page = self._views.session(session, browser, visit.language(session))
        if browser.fresh:
            visit.keep(page, browser)
        return page

    def _status(self, visit: Visit) -> Response:
        """How the connections stand, for the script of the success page; times, never content."""
        session, browser = self._found(visit)
        if session.stage != CONNECTED or session.browser != browser.hash:
            raise NotFound("nothing to see")
        told = [
            {"id": s.id, "state": s.state, "arrived_at": s.arrived_at}
            for s in self._views.standing(session)
        ]
        body = msgspec.json.encode({"connections": told})
        return Response(body, headers=SAFE, media_type="application/json")

    def _ask(self, visit: Visit) -> Response:
        session, browser = self._found(visit)
        if not visit.is_sent_by(browser):
            raise Stray("form")
        if session.stage == CONNECTED:  # the back button, after all was done
            return _to(f"/connect/{browser.token}")
        language = visit.language(session)
        return self._views.ask(session, self._journey.ask(session, browser, language), language)

    def _pick(self, visit: Visit) -> Response:
        session, browser = self._found(visit)
        if not visit.is_sent_by(browser) or session.browser != browser.hash:
            raise Stray("form")
        language = visit.language(session)
        try:
            self._journey.pick(session, _picked(visit.form, self._journey.parts(session)))
        except InvalidInput:  # nothing was picked
            return self._views.session(session, browser, language, nothing=True)
        except NotFound:
            log.info("connect.picked_twice")  # a double click: the page shows how it stands
        return _to(f"/connect/{browser.token}?lang={language}")

    def _found(self, visit: Visit) -> tuple[Session, Browser]:
        token = visit.path["token"]
        if not is_token(token):
            raise NotFound("no such connect session")
        browser = visit.browser(token)
        return self._journey.sessions.get(browser.id), browser

    # -- consent once more ---------------------------------------------------------------------

    def _again(self, visit: Visit) -> Response:
        link = visit.path["token"]
        session, browser = self._opening.of_link(link, link), visit.browser(link)
        texts = self._views.texts(session, visit.language())
        page = self._views.start(session, browser, texts, f"/connect/again/{link}")
        if browser.fresh:
            visit.keep(page, browser)
        return page

    def _ask_again(self, visit: Visit) -> Response:
        """A session is made when somebody means it: links in messages are looked at by machines."""
        link, token = visit.path["token"], new_token()
        if not visit.is_sent_by(visit.browser(link)):
            raise Stray("form")
        session, browser = self._opening.of_link(token, link), visit.browser(token)
        self._journey.sessions.add(session)
        language = visit.language()
        answer = self._views.ask(session, self._journey.ask(session, browser, language), language)
        visit.keep(answer, browser)
        return answer

    # -- the provider's answer -----------------------------------------------------------------

    def _callback(self, visit: Visit) -> Later:
        """By a redirect's query; or by the form of the page from which a window was opened."""
        told = visit.form or visit.query
        error = one(told, "error") or one(told, "error_code")
        answer = Answer(visit.path["login"], one(told, "state"), one(told, "code"), error)
        browser, session = self._journey.taken(answer, visit.known)

        def exchanged() -> Response:
            self._journey.answered(answer, session)
            return _to(f"/connect/{browser.token}")

        return exchanged

    # -- all of them ---------------------------------------------------------------------------

    def _route(self, method: str, path: str, show: Shown) -> Route:
        name = show.__name__.strip("_")

        async def endpoint(request: Request) -> Response:
            response = await self._answer(request, show)
            self._calls.labels(f"connect.{name}", response.status_code).inc()
            return response

        return Route(path, endpoint, methods=[method], name=f"connect-{method}-{name}")

    async def _answer(self, request: Request, show: Shown) -> Response:
        visit = Visit(request, self._cookies, {})
        try:
            if request.method == "POST":
                visit.form = await read_form(request)
            shown = await self._threads.run(show, visit)
            return shown if isinstance(shown, Response) else await self._at_providers.run(shown)
        except Stray as error:
            self._strays.note(kind=error.kind)
            return self._stray(visit, error.kind, 400)
        except (NotFound, KeyDestroyed):
            return self._stray(visit, "gone", 404)
        except (InvalidInput, TooLarge):
            return self._stray(visit, "form", 400)
        except GatewayError as error:
            log.warning("connect.away", reason=error.reason)
            return self._stray(visit, "away", 503)
        except Exception:
            log.exception("connect.fault")
            return self._stray(visit, "fault", 500)

    def _stray(self, visit: Visit, kind: str, status: int) -> Response:
        links = [f"/connect/{token}" for token in visit.tokens()] if kind in _LED_BACK else []
        return self._views.stray(kind, Texts(visit.language()), status, links)


_LED_BACK: Final = frozenset({"unknown", "late"})


def _picked(form: Words, parts: dict[int, list[str]]) -> dict[int, frozenset[str] | None]:
    """Numbers of the picked accounts, with the ids of their picked parts."""
    picked: dict[int, frozenset[str] | None] = {}
    for text in form.get("account", ()):
        if text.isascii() and text.isdigit() and (number := int(text[:9])) in parts:
            ids = parts[number]
            ticked = {int(n[:9]) for n in form.get(f"part.{number}", ()) if _is_number(n)}
            picked[number] = frozenset(ids[n] for n in ticked if n < len(ids))
    return picked


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _to(url: str) -> Response:
    return RedirectResponse(url, 303, SAFE)
