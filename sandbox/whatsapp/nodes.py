"""Graph's nodes of WhatsApp: WABAs, numbers, files; and who may ask for them.

Sources: Graph API reference, "WhatsApp Business Account" and "Phone number"; Cloud API, "Health
status".
"""

from collections.abc import Callable, Mapping, Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Scope

from sandbox.facebook import errors
from sandbox.facebook.graph import VERSION, Caller, Graph, fields_of, no_field
from sandbox.fields import JsonObject, present
from sandbox.oauth.apps import NAME
from sandbox.oauth.params import Params
from sandbox.whatsapp.errors import CloudError
from sandbox.whatsapp.media import Medium
from sandbox.whatsapp.state import WhatsApp
from sandbox.whatsapp.world import MANAGEMENT, MESSAGING, TRIES_KEPT, TRIES_WITHIN_S, Number, Waba

NUMBER_FIELDS = "verified_name,code_verification_status,display_phone_number,quality_rating,id"


class Owned(Route):
    """A route for objects that WhatsApp has; of others the next route of this path knows."""

    def __init__(
        self, path: str, endpoint: Callable[..., object], method: str, owns: Callable[[str], bool]
    ) -> None:
        super().__init__(f"{VERSION}/{{object}}{path}", endpoint, methods=[method])
        self._owns = owns

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Starlette's question whether this route is meant."""
        match, child = super().matches(scope)
        if match is Match.NONE or self._owns(child["path_params"]["object"]):
            return match, child
        return Match.NONE, {}


class Gate:
    """Who calls, and which WABA, number or file they mean."""

    def __init__(self, graph: Graph, whatsapp: WhatsApp) -> None:
        self.graph, self.whatsapp = graph, whatsapp

    def waba(self, request: Request, caller: Caller) -> Waba:
        """Return the WABA that is asked for. Raises `GraphError`."""
        waba = self.whatsapp.wabas[request.path_params["object"]]
        self._check(request, caller, waba, MANAGEMENT)
        return waba

    def number(self, request: Request, caller: Caller, scope: str = MESSAGING) -> Number:
        """Return the number that is asked for. Raises `GraphError`."""
        number = self.whatsapp.numbers[request.path_params["object"]]
        self._check(request, caller, number.waba, scope)
        return number

    def medium(self, request: Request, caller: Caller) -> Medium:
        """Return the file that is asked for. Raises `GraphError`."""
        medium = self.whatsapp.media.find(request.path_params["object"])
        if medium is None:
            raise errors.missing(request.path_params["object"], request.method.lower())
        self._check(request, caller, medium.number.waba, MESSAGING)
        return medium

    def _check(self, request: Request, caller: Caller, waba: Waba, scope: str) -> None:
        grant = caller.token.person.grant if caller.token is not None else None
        if grant is None or waba.id not in grant.wabas:
            raise errors.missing(request.path_params["object"], request.method.lower())
        if scope not in grant.granted:
            if scope == MESSAGING:
                raise CloudError(131005, f"Missing {MESSAGING}.")
            raise errors.lacks(scope, "manage the object")


class WhatsAppNodes:
    """What one reads and sets of WABAs and numbers."""

    def __init__(self, gate: Gate) -> None:
        self._gate, self._graph, self._whatsapp = gate, gate.graph, gate.whatsapp

    def routes(self) -> list[Route]:
        """Return the routes on Graph's host; they come before those of Pages and people."""
        wabas, numbers = self._is_waba, self._is_number
        return [
            Owned("/phone_numbers", self.numbers, "GET", wabas),
            Owned("/subscribed_apps", self.subscription, "GET", wabas),
            Owned("/subscribed_apps", self.subscribe, "POST", wabas),
            Owned("/subscribed_apps", self.unsubscribe, "DELETE", wabas),
            Owned("/register", self.register, "POST", numbers),
            Owned("", self.number, "GET", numbers),
            Owned("", self.waba, "GET", wabas),
        ]

    async def waba(self, request: Request) -> Response:
        """GET `?fields`: a WABA."""
        caller, params = await self._graph.call(request)
        waba = self._gate.waba(request, caller)
        asked = fields_of(params.optional("fields"), "id,name")
        params.finish()
        known: JsonObject = {
            "id": waba.id,
            "name": waba.name,
            "currency": "EUR",
            "health_status": self._health("AVAILABLE", {}, waba),
        }
        if strange := [name for name in asked if name not in known]:
            raise no_field(strange[0], "WhatsAppBusinessAccount")
        return errors.answer(request, {name: known[name] for name in (*asked, "id")})

    async def numbers(self, request: Request) -> Response:
        """GET `?fields&limit&after`: the numbers of a WABA."""
        caller, params = await self._graph.call(request)
        waba = self._gate.waba(request, caller)
        asked = fields_of(params.optional("fields"), NUMBER_FIELDS)
        limit, after = params.integer("limit", 25, 1, 100), params.optional("after")
        params.finish()
        every = self._whatsapp.numbers_of(waba)
        start = next((n + 1 for n, one in enumerate(every) if one.id == after), 0)
        shown = every[start : start + limit]
        document: JsonObject = {"data": [self._number(one, asked) for one in shown]}
        if shown:
            document["paging"] = _paging(request, shown, len(every) > start + limit, asked, limit)
        return errors.answer(request, document)

    async def number(self, request: Request) -> Response:
        """GET `?fields`: a number."""
        caller, params = await self._graph.call(request)
        number = self._gate.number(request, caller, MANAGEMENT)
        asked = fields_of(params.optional("fields"), NUMBER_FIELDS)
        params.finish()
        return errors.answer(request, self._number(number, asked))

    async def register(self, request: Request) -> Response:
        """POST `{messaging_product, pin}`: a number that is new gets this PIN."""
        caller, params = await self._graph.call(request)
        number = self._gate.number(request, caller, MANAGEMENT)
        need_product(params)
        pin = params.need("pin")
        params.finish()
        if not (pin.isascii() and pin.isdecimal() and len(pin) == 6):
            raise errors.parameter("Param pin must be 6 characters long.")
        self._count_try(number)
        if number.pin not in (None, pin):
            raise CloudError(133005, "Two step verification PIN mismatch.")
        number.pin, number.registered, number.on_app = pin, True, False
        return errors.answer(request, {"success": True})

    async def subscription(self, request: Request) -> Response:
        """GET: `{"data": [{whatsapp_business_api_data: {id, name, link}}]}`."""
        caller, params = await self._graph.call(request)
        waba = self._gate.waba(request, caller)
        params.finish()
        app = {"id": self._graph.facebook.app.id, "name": NAME, "link": "https://example.com/"}
        override = present(override_callback_uri=waba.override[0] if waba.override else None)
        own: JsonObject = {"whatsapp_business_api_data": app, **override}
        return errors.answer(request, {"data": [own] if waba.subscribed else []})

    async def subscribe(self, request: Request) -> Response:
        """POST: the app gets the webhooks of this WABA; at another address with an override."""
        caller, params = await self._graph.call(request)
        waba = self._gate.waba(request, caller)
        url, token = params.optional("override_callback_uri"), params.optional("verify_token")
        params.finish()
        if (url is None) != (token is None):
            raise errors.parameter("override_callback_uri and verify_token belong together")
        waba.subscribed = True
        waba.override = (url, token) if url is not None and token is not None else None
        return errors.answer(request, {"success": True})

    async def unsubscribe(self, request: Request) -> Response:
        """DELETE: no webhooks of this WABA any more."""
        caller, params = await self._graph.call(request)
        waba = self._gate.waba(request, caller)
        params.finish()
        waba.subscribed = False
        return errors.answer(request, {"success": True})

    def _count_try(self, number: Number) -> None:
        now = self._whatsapp.clock.now()
        lately = [at for at in number.tried_at if now - at < TRIES_WITHIN_S]
        if len(lately) >= TRIES_KEPT:
            raise CloudError(133016, "There were too many registration attempts for this number.")
        number.tried_at.append(now)

    def _number(self, number: Number, asked: dict[str, tuple[str, ...]]) -> JsonObject:
        known: JsonObject = {
            "id": number.id,
            "display_phone_number": number.display,
            "verified_name": number.name,
            "quality_rating": "GREEN",
            "code_verification_status": "VERIFIED",
            "platform_type": "CLOUD_API" if number.registered else "NOT_APPLICABLE",
            "is_on_biz_app": number.on_app,
            "is_pin_enabled": number.pin is not None,
            "status": "CONNECTED" if number.registered else "PENDING",
            "health_status": self._health_of(number),
        }
        if strange := [name for name in asked if name not in known]:
            raise no_field(strange[0], "WhatsAppBusinessPhoneNumber")
        return {name: known[name] for name in (*asked, "id")}

    def _health_of(self, number: Number) -> JsonObject:
        state = "AVAILABLE" if number.registered else "BLOCKED"
        return self._health(state, {"PHONE_NUMBER": number.id}, number.waba)

    def _health(self, state: str, own: Mapping[str, str], waba: Waba) -> JsonObject:
        """WABA, business and app are named whatever node is asked."""
        app = self._graph.facebook.app.id
        told = {**own, "WABA": waba.id, "BUSINESS": waba.business, "APP": app}
        entities = [
            {"entity_type": kind, "id": id_, "can_send_message": state}
            for kind, id_ in told.items()
        ]
        return {"can_send_message": state, "entities": entities}

    def _is_waba(self, object_id: str) -> bool:
        return object_id in self._whatsapp.wabas

    def _is_number(self, object_id: str) -> bool:
        return object_id in self._whatsapp.numbers


def need_product(params: Params) -> None:
    """Every call of the Cloud API says that it means WhatsApp."""
    if params.need("messaging_product") != "whatsapp":
        raise errors.parameter("Param messaging_product must be one of {WHATSAPP}")


def _paging(
    request: Request,
    shown: Sequence[Number],
    more: bool,
    asked: dict[str, tuple[str, ...]],
    limit: int,
) -> JsonObject:
    paging: JsonObject = {"cursors": {"before": shown[0].id, "after": shown[-1].id}}
    if more:
        query = f"fields={','.join(asked)}&limit={limit}&after={shown[-1].id}"
        paging["next"] = f"https://graph.facebook.com{request.url.path}?{query}"
    return paging
