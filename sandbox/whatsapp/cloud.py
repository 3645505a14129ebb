"""The Cloud API: sending messages, and files up and down.

Sources: WhatsApp Cloud API, "Messages" and "Media".
"""

import json
from email.message import Message
from typing import cast

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.facebook import errors
from sandbox.facebook.errors import GraphError
from sandbox.facebook.graph import not_found
from sandbox.fields import BadField, JsonObject
from sandbox.oauth.params import Params, body_of
from sandbox.oauth.provider import MOST_BYTES, bearer_of
from sandbox.whatsapp.bubbles import Sent
from sandbox.whatsapp.errors import CloudError
from sandbox.whatsapp.media import PATH, Medium
from sandbox.whatsapp.nodes import Gate, Owned, need_product
from sandbox.whatsapp.outgoing import check
from sandbox.whatsapp.payloads import new_wamid
from sandbox.whatsapp.room import Room
from sandbox.whatsapp.world import Number, Person

LARGEST = {"image": 5 << 20, "audio": 16 << 20, "video": 16 << 20, "sticker": 500 << 10}
"""By the first half of the MIME type; documents may be larger than the sandbox takes."""


class CloudApi:
    """`/{number}/messages`, `/{number}/media` and `/{media}`."""

    def __init__(self, gate: Gate, room: Room) -> None:
        self._gate, self._graph, self._whatsapp = gate, gate.graph, gate.whatsapp
        self._room = room

    def routes(self) -> list[Route]:
        """Return the routes on Graph's host."""
        numbers, media = self._is_number, self._is_medium
        return [
            Owned("/messages", self.send, "POST", numbers),
            Owned("/media", self.upload, "POST", numbers),
            Owned("", self.medium, "GET", media),
            Owned("", self.drop, "DELETE", media),
        ]

    def file_routes(self) -> list[Route]:
        """Return the routes of the host where files are."""
        return [Route(PATH, self.file, methods=["GET"]), *not_found()]

    # -- messages -----------------------------------------------------------------------------

    async def send(self, request: Request) -> Response:
        """POST a message, or `{status: read, message_id}`. 200 says that it was taken, no more."""
        caller, params = await self._graph.call(request)
        number = self._gate.number(request, caller)
        need_product(params)
        if params.optional("status") is not None:
            return self._read(request, number, params)
        kind = params.optional("type") or "text"
        said = _said(params, kind)
        to, opaque = _recipient(params), params.optional("biz_opaque_callback_data")
        params.finish()
        if self._room.refusals:
            raise CloudError(self._room.refusals.popleft())
        if not number.registered:
            raise CloudError(133010, "The number is not registered on the platform.")
        check(number, self._whatsapp.media, kind, said.get(kind))
        person, wamid = number.recipient(_plain(to)), new_wamid()
        await self._room.sent(number, person, Sent(wamid, said, opaque))
        return errors.answer(request, _taken(to, person, wamid))

    def _read(self, request: Request, number: Number, params: Params) -> Response:
        """The business has read a message, and may show that it is typing."""
        wamid = params.need("message_id")
        params.ignore("typing_indicator")
        params.finish()
        everybody = number.people.values()
        if not any(one.conversation.find(wamid) for one in everybody):
            raise CloudError(131009, "Message ID is not valid.")
        return errors.answer(request, {"success": True})

    # -- files --------------------------------------------------------------------------------

    async def upload(self, request: Request) -> Response:
        """POST `multipart/form-data` with `messaging_product`, `type` and `file`: `{"id"}`."""
        parts = _multipart(request, await body_of(request, MOST_BYTES))
        params = Params(
            [
                (name, body.decode("utf-8", "replace"))
                for name, (_, body) in parts.items()
                if name != "file"
            ],
            errors.parameter,
        )
        caller = self._graph.caller(request, params)
        number = self._gate.number(request, caller)
        need_product(params)
        mime_type = params.optional("type")
        params.finish()
        if "file" not in parts:
            raise CloudError(131008, "Parameter 'file' is required.")
        told, content = parts["file"]
        mime_type = mime_type or told
        if len(content) > LARGEST.get(mime_type.partition("/")[0], MOST_BYTES):
            raise CloudError(131053, "The file is too big.")
        medium = self._whatsapp.media.upload(number, mime_type, content)
        return errors.answer(request, {"id": medium.id})

    async def medium(self, request: Request) -> Response:
        """GET: the address of a file, for five minutes."""
        caller, params = await self._graph.call(request)
        medium = self._gate.medium(request, caller)
        self._check_number(medium, params)
        return errors.answer(request, self._whatsapp.media.node(medium))

    async def drop(self, request: Request) -> Response:
        """DELETE a file."""
        caller, params = await self._graph.call(request)
        medium = self._gate.medium(request, caller)
        self._check_number(medium, params)
        self._whatsapp.media.drop(medium.id)
        return errors.answer(request, {"success": True})

    async def file(self, request: Request) -> Response:
        """GET the file itself: with the token, at an address that is not too old."""
        query = request.query_params
        medium = self._whatsapp.media.at(query.get("mid", ""), query.get("hash", ""))
        token = self._graph.facebook.tokens.find(bearer_of(request) or "")
        grant = token.person.grant if token is not None and token.ended is None else None
        if medium is None:
            return Response("URL signature expired", 404)
        if grant is None or medium.number.waba.id not in grant.wabas:
            return Response("Unauthorized", 401)
        return Response(medium.content, media_type=medium.mime_type)

    def _check_number(self, medium: Medium, params: Params) -> None:
        asked = params.optional("phone_number_id")
        params.finish()
        if asked not in (None, medium.number.id):
            raise errors.missing(medium.id)

    def _is_number(self, object_id: str) -> bool:
        return object_id in self._whatsapp.numbers

    def _is_medium(self, object_id: str) -> bool:
        return self._whatsapp.media.find(object_id) is not None


def _said(params: Params, kind: str) -> JsonObject:
    """The message's own part: its type, the object of that name, and what it answers."""
    said: JsonObject = {"type": kind, kind: _decoded(params.optional(kind), kind)}
    if (context := params.optional("context")) is not None:
        told = _decoded(context, "context")
        if not isinstance(told, dict) or not isinstance(told.get("message_id"), str):
            raise errors.parameter("Param context['message_id'] is required.")
        said["context"] = told
    return said


def _decoded(text: str | None, name: str) -> object:
    """Graph takes nested values as JSON, also within a form."""
    if text is None:
        return None
    try:
        return cast(object, json.loads(text))
    except (ValueError, RecursionError) as error:
        raise errors.parameter(f"Param {name} must be JSON") from error


def _recipient(params: Params) -> str:
    """A number in `to`, or a BSUID in `recipient`; `to` wins."""
    params.choice("recipient_type", ("individual",))
    to, recipient = params.optional("to"), params.optional("recipient")
    if to is None and recipient is None:
        raise errors.parameter("The parameter to is required.")
    return to or recipient or ""


def _plain(to: str) -> str:
    return "".join(filter(str.isdigit, to)) if to[:1] in "+0123456789" else to


def _taken(to: str, person: Person, wamid: str) -> JsonObject:
    named: JsonObject = {"input": to}
    if person.wa_id is not None:
        named["wa_id"] = person.wa_id
    else:
        named["user_id"] = person.bsuid
    return {"messaging_product": "whatsapp", "contacts": [named], "messages": [{"id": wamid}]}


def _multipart(request: Request, body: bytes) -> dict[str, tuple[str, bytes]]:
    """Return name → MIME type and content of each part (RFC 7578)."""
    kind = _header(request.headers.get("content-type", ""))
    boundary = kind.get_param("boundary", header="content-type")
    if kind.get_content_type() != "multipart/form-data" or not isinstance(boundary, str):
        raise GraphError("(#100) The parameter file is required.", 100)
    found: dict[str, tuple[str, bytes]] = {}
    for part in body.split(b"--" + boundary.encode())[1:-1]:
        head, blank, content = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        if not blank:
            raise BadField("the body is no multipart/form-data")
        message = _headers(head.decode("utf-8", "replace"))
        name = message.get_param("name", header="content-disposition")
        found[str(name)] = (message.get_content_type(), content.removesuffix(b"\r\n"))
    return found


def _header(content_type: str) -> Message:
    return _headers(f"Content-Type: {content_type}")


def _headers(text: str) -> Message:
    message = Message()
    for line in text.split("\r\n"):
        name, _, value = line.partition(":")
        message[name.strip()] = value.strip()
    return message
