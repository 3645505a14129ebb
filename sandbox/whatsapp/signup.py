"""Embedded Signup: the SDK's script, and the dialog that it opens over the app's own page.

Source: WhatsApp, "Embedded Signup", implementation: `FB.login` with a Configuration gives a code of
30 seconds to the page that called it, and a window message `WA_EMBEDDED_SIGNUP` tells what was set
up. There is no redirect.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from sandbox.facebook.state import Consent
from sandbox.facebook.world import Person
from sandbox.fields import BadField, JsonObject
from sandbox.oauth import dialog
from sandbox.oauth.answers import answer_of
from sandbox.oauth.apps import NAME
from sandbox.oauth.dialog import Choice, Tick
from sandbox.oauth.params import Params, pairs_of, query_pairs
from sandbox.whatsapp.state import WhatsApp
from sandbox.whatsapp.world import SCOPES, Number

BRAND = "facebook"
STATIC = Path(__file__).parent.parent / "static"
PATH = "/v{version:float}/dialog/whatsapp"
STRANGER: JsonObject = {"phone_number_id": "999999999999999", "waba_id": "888888888888888"}
"""What the window message names when it lies: anybody can post one."""
WITH_SCRIPT = dialog.CONTENT_POLICY + "; script-src 'self'"


@dataclass(frozen=True)
class Asked:
    """What an address of the dialog asks for. `origin`: of the page that opened it."""

    origin: str
    person: Person | None


class Signup:
    """`sdk.js`, and the dialog in a window of its own. `lies`: it names what nobody shared."""

    def __init__(self, whatsapp: WhatsApp) -> None:
        self._whatsapp, self._facebook = whatsapp, whatsapp.facebook
        self.lies = False

    def routes(self) -> list[Route]:
        """Return the routes; browsers come by the sandbox's own host."""
        return [
            Route("/{locale}/sdk.js", self.sdk, methods=["GET"]),
            Route(PATH, self.show, methods=["GET"]),
            Route(PATH, self.decide, methods=["POST"]),
        ]

    async def sdk(self, _request: Request) -> Response:
        """GET: the script of https://connect.facebook.net/en_US/sdk.js, as far as this needs it."""
        return FileResponse(STATIC / "sdk.js", media_type="text/javascript")

    async def show(self, request: Request) -> Response:
        """GET: who it is, then which numbers to share."""
        try:
            asked = self._asked(await pairs_of(request))
        except BadField as error:
            return dialog.refusal(BRAND, "This signup cannot go on", str(error))
        if asked.person is None:
            people = self._facebook.world.people.values()
            choices = [Choice(one.id, one.name, one.email) for one in people]
            return dialog.chooser(request, BRAND, f"Log in to {NAME} as", choices)
        numbers = self._offered(asked.person)
        ticks = [
            Tick("number", one.id, f"{one.name} · {one.display}", _hint(one), ticked=not place)
            for place, one in enumerate(numbers)
        ]
        may = [Tick("scope", name, name, fixed=True) for name in SCOPES]
        intro = f"{NAME} asks you, {asked.person.name}, to share a WhatsApp Business Account."
        groups = (("What it may do", may), ("Which numbers", ticks))
        return dialog.consent(BRAND, f"Connect WhatsApp to {NAME}", intro, groups)

    async def decide(self, request: Request) -> Response:
        """POST: the window tells the page that opened it, and closes."""
        try:
            asked = self._asked(query_pairs(request))
            answer = await answer_of(request, ("number",))
            if asked.person is None:
                raise BadField("nobody is logged in")
            offered = self._offered(asked.person)
            ticked = answer.among("number", [one.id for one in offered])
            chosen = [one for one in offered if one.id in ticked]
            if answer.agreed and len({one.waba.business for one in chosen}) != 1:
                raise BadField("choose numbers of one business")
        except BadField as error:
            return dialog.refusal(BRAND, "This signup cannot go on", str(error))
        if not answer.agreed:
            return _closing(asked, "CANCEL", {"current_step": "PHONE_NUMBER_SETUP"}, None)
        for number in chosen:
            system = self._whatsapp.share(number.waba, set(SCOPES))
        code = self._facebook.signup_codes.issue("", Consent(system, is_system=True), "AQB{}")
        return _closing(asked, _event(chosen[0]), self._told(chosen[0]), code)

    def _told(self, number: Number) -> JsonObject:
        ids = {"phone_number_id": number.id, "waba_id": number.waba.id}
        return {**(STRANGER if self.lies else ids), "business_id": number.waba.business}

    def _offered(self, person: Person) -> list[Number]:
        wabas = self._whatsapp.run_by(person)
        return [number for waba in wabas for number in self._whatsapp.numbers_of(waba)]

    def _asked(self, pairs: Sequence[tuple[str, str]]) -> Asked:
        given = Params(pairs, BadField)
        app = self._facebook.app
        if not app.is_called(given.need("client_id")):
            raise BadField("Invalid App ID: The provided app ID does not look like a valid app ID.")
        given.need("config_id")
        if given.need("response_type") != "code":
            raise BadField("response_type must be code: the token is a system user's")
        if not given.flag("override_default_response_type"):
            raise BadField("override_default_response_type must be true")
        given.ignore("extras")
        origin = given.need("origin")
        if origin not in {_origin(uri) for uri in app.redirect_uris}:
            raise BadField(
                "JSSDK Unknown Host domain: the domain of the page is not among the app's"
            )
        person = given.optional(dialog.PERSON)
        given.finish()
        found = None if person is None else self._facebook.world.people.get(person)
        if person is not None and found is None:
            raise BadField("There is no such person.")
        return Asked(origin, found)


def _closing(asked: Asked, event: str, data: JsonObject, code: str | None) -> Response:
    """A page whose script tells the opener; `code` None: it was cancelled."""
    told = {"type": "WA_EMBEDDED_SIGNUP", "event": event, "data": data, "version": "3"}
    body = (
        f'<p id="signup" data-origin="{escape(asked.origin)}" data-code="{escape(code or "")}" '
        f'data-told="{escape(json.dumps(told))}">This window closes by itself.</p>\n'
        '<script src="/static/signup.js"></script>\n'
    )
    page = dialog.show(BRAND, "Done", body)
    page.headers["content-security-policy"] = WITH_SCRIPT
    return page


def _event(number: Number) -> str:
    return "FINISH_WHATSAPP_BUSINESS_APP_ONBOARDING" if number.on_app else "FINISH"


def _hint(number: Number) -> str:
    where = "stays in the WhatsApp Business app" if number.on_app else "for the API alone"
    return f"WABA {number.waba.id}, {where}"


def _origin(uri: str) -> str:
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc}"
