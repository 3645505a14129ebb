"""The API by which the page and tests play WhatsApp: people who write, and the bad days."""

from dataclasses import asdict

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.api import Json, read_body, read_fields, read_kind
from sandbox.fields import JsonObject
from sandbox.messenger import digits
from sandbox.misbehave import count_of
from sandbox.people import psid_for
from sandbox.whatsapp.bubbles import PAGE
from sandbox.whatsapp.payloads import EXAMPLES
from sandbox.whatsapp.room import Room
from sandbox.whatsapp.state import WhatsApp
from sandbox.whatsapp.world import Number, Person

ARMS = ("refuse", "fail", "backwards")


class WhatsAppApi:
    """The endpoints, under `/api/whatsapp`; a number's are those of a Page under another name."""

    def __init__(self, whatsapp: WhatsApp, room: Room) -> None:
        self._whatsapp, self._room = whatsapp, room

    def routes(self) -> list[Route]:
        """Return the routes."""
        base = "/api/whatsapp"
        contact = f"{base}/{{number}}/contacts/{{psid}}"
        return [
            Route(f"{base}/numbers", self.list_numbers, methods=["GET"]),
            Route(f"{base}/numbers", self.add_number, methods=["POST"]),
            Route(f"{base}/wabas", self.add_waba, methods=["POST"]),
            Route(f"{base}/wabas/{{waba}}/unsubscribe", self.unsubscribe, methods=["POST"]),
            Route(f"{base}/kinds", self.kinds, methods=["GET"]),
            Route(f"{base}/sends", self.arm, methods=["POST"]),
            Route(f"{base}/tokens", self.token, methods=["POST"]),
            Route(f"{base}/{{number}}/contacts", self.add_contact, methods=["POST"]),
            Route(f"{contact}/conversation", self.conversation, methods=["GET"]),
            Route(f"{contact}/messages", self.message, methods=["POST"]),
            Route(f"{contact}/events", self.event, methods=["POST"]),
            Route(f"{contact}/burst", self.burst, methods=["POST"]),
            Route(f"{PAGE}/{{media}}", self.file, methods=["GET"]),
        ]

    async def list_numbers(self, _request: Request) -> Response:
        """GET: the numbers with their people."""
        every = self._whatsapp.numbers.values()
        return Json({"numbers": [_number(one) for one in every]})

    async def add_waba(self, request: Request) -> Response:
        """POST `{id, name, managers?, business?}`."""
        fields = await read_fields(request)
        waba_id, name = digits(fields.text("id"), "id"), fields.text("name")
        managers, business = fields.optional_texts("managers"), fields.optional_text("business")
        fields.finish()
        first = list(self._whatsapp.facebook.world.people)[:1]
        self._whatsapp.add_waba(waba_id, name, first if managers is None else managers, business)
        return Json({"id": waba_id}, status_code=201)

    async def add_number(self, request: Request) -> Response:
        """POST `{id, waba, display, name, on_app?, pin?}`; `pin`: one that its owner has set."""
        fields = await read_fields(request)
        number = self._whatsapp.add_number(
            fields.text("waba"),
            digits(fields.text("id"), "id"),
            fields.text("display"),
            fields.text("name"),
            on_app=fields.flag("on_app"),
        )
        number.pin = fields.optional_text("pin")
        fields.finish()
        return Json(_number(number), status_code=201)

    async def unsubscribe(self, request: Request) -> Response:
        """POST: the subscription of a WABA vanishes, and nobody is told."""
        (await read_fields(request)).finish()
        self._whatsapp.waba(request.path_params["waba"]).subscribed = False
        return Json({})

    async def kinds(self, _request: Request) -> Response:
        """GET: every kind of event with example fields; an empty `mid` is for you to fill."""
        return Json({"kinds": EXAMPLES})

    async def arm(self, request: Request) -> Response:
        """POST `{kind, code?, count?}`: how the next sends go wrong; see the README."""
        fields = await read_fields(request)
        kind, count = fields.choice("kind", ARMS), count_of(fields)
        code = fields.integer("code", 131026)
        fields.finish()
        self._room.arm(kind, code, count)
        return Json({}, status_code=202)

    async def token(self, request: Request) -> Response:
        """POST `{wabas}`: a system user's token, as an admin makes one in the business settings."""
        fields = await read_fields(request)
        wabas = fields.optional_texts("wabas") or []
        fields.finish()
        return Json({"access_token": self._whatsapp.token(wabas)}, status_code=201)

    async def add_contact(self, request: Request) -> Response:
        """POST `{name, wa_id?, username?}`: with neither they get a stable number."""
        fields = await read_fields(request)
        name, wa_id = fields.text("name"), fields.text("wa_id", "")
        username = fields.text("username", "")
        fields.finish()
        number = self._number(request)
        if not wa_id and not username:
            wa_id = psid_for(number.id, name)[:12]
        if wa_id:
            digits(wa_id, "wa_id")
        person = number.add(name, wa_id, username)
        return Json(_person(person), status_code=201)

    async def conversation(self, request: Request) -> Response:
        """GET: the bubbles, oldest first."""
        number, key = self._number(request), request.path_params["psid"]
        person = number.people.get(key) or number.find(key)
        bubbles = person.conversation.bubbles if person is not None else ()
        return Json({"bubbles": [asdict(bubble) for bubble in bubbles]})

    async def message(self, request: Request) -> Response:
        """POST a message of the person: 202 `{kind, mid, delivery}`."""
        return await self._happen(request, "message", await read_body(request))

    async def event(self, request: Request) -> Response:
        """POST `{kind, …}`: 202 `{kind, mid, delivery}`."""
        kind, given = await read_kind(request, EXAMPLES)
        return await self._happen(request, kind, given)

    async def burst(self, request: Request) -> Response:
        """POST `{count, text?}`: 202 `{mids}`."""
        fields = await read_fields(request)
        count, text = count_of(fields), fields.text("text", "Burst")
        fields.finish()
        psid = request.path_params["psid"]
        mids = await self._room.burst(self._number(request), psid, text, count)
        return Json({"mids": mids}, status_code=202)

    async def file(self, request: Request) -> Response:
        """GET: a file of the conversation, for the page."""
        medium = self._whatsapp.media.find(request.path_params["media"])
        if medium is None:
            raise HTTPException(404, "there is no such file, or it is no longer kept")
        return Response(medium.content, media_type=medium.mime_type)

    async def _happen(self, request: Request, kind: str, given: JsonObject) -> Response:
        psid = request.path_params["psid"]
        mid, post = await self._room.happen(self._number(request), psid, kind, given)
        return Json({"kind": kind, "mid": mid, "delivery": post.id}, status_code=202)

    def _number(self, request: Request) -> Number:
        return self._whatsapp.number(request.path_params["number"])


def _number(number: Number) -> JsonObject:
    people = [_person(one) for one in number.people.values()]
    told = {"id": number.id, "name": number.name, "display": number.display}
    return {**told, "waba": number.waba.id, "contacts": people}


def _person(person: Person) -> JsonObject:
    told: JsonObject = {"psid": person.psid, "name": person.name}
    return {**told, "wa_id": person.wa_id, "user_id": person.bsuid}
