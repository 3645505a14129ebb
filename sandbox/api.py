"""The sandbox's own JSON API, for its page and for tests."""

import json
from collections.abc import Iterable
from dataclasses import asdict

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.delivery import Postman
from sandbox.entries import EXAMPLES, Entry
from sandbox.facebook.state import Facebook
from sandbox.fields import BadField, Fields, JsonObject
from sandbox.handshake import Handshake
from sandbox.instagram.payloads import EXAMPLES as INSTAGRAM_EXAMPLES
from sandbox.messenger import Messenger, UnknownPage, mid_of
from sandbox.misbehave import armed_kind, count_of
from sandbox.people import Contact, Page
from sandbox.wirelog import Post

BODY_LIMIT = 1024 * 1024
LONGEST_WAIT_S = 30.0
MOST_POSTS = 500


class Json(JSONResponse):
    """JSON in ASCII: a lone surrogate, which a person can be made to write, has no UTF-8."""

    def render(self, content: object) -> bytes:
        """Return compact ASCII JSON."""
        return json.dumps(content, separators=(",", ":")).encode("ascii")


class Api:
    """The endpoints; each turns a request into one call and the result into JSON."""

    def __init__(
        self, messenger: Messenger, postman: Postman, handshake: Handshake, facebook: Facebook
    ) -> None:
        self._messenger = messenger
        self._facebook = facebook
        self._postman = postman
        self._handshake = handshake

    def routes(self) -> list[Route]:
        """Return the routes, all under `/api`."""
        contact = "/api/pages/{page}/contacts/{psid}"
        return [
            Route("/api/pages", self.list_pages, methods=["GET"]),
            Route("/api/pages", self.add_page, methods=["POST"]),
            Route("/api/pages/{page}/contacts", self.add_contact, methods=["POST"]),
            Route(f"{contact}/conversation", self.conversation, methods=["GET"]),
            Route(f"{contact}/messages", self.message, methods=["POST"]),
            Route(f"{contact}/events", self.event, methods=["POST"]),
            Route(f"{contact}/burst", self.burst, methods=["POST"]),
            Route(f"{contact}/open", self.open, methods=["POST"]),
            Route("/api/kinds", self.kinds, methods=["GET"]),
            Route("/api/deliveries", self.deliveries, methods=["GET"]),
            Route("/api/deliveries/{id:int}", self.delivery, methods=["GET"]),
            Route("/api/deliveries/{id:int}/repeat", self.repeat, methods=["POST"]),
            Route("/api/misbehave", self.armed, methods=["GET"]),
            Route("/api/misbehave", self.misbehave, methods=["POST"]),
            Route("/api/handshake", self.handshake_state, methods=["GET"]),
            Route("/api/handshake", self.shake_hands, methods=["POST"]),
        ]

    async def list_pages(self, _request: Request) -> Response:
        """GET: the Pages, and the Instagram accounts, with their people."""
        every = self._messenger.pages.values()
        pages = [_page(page) for page in every if page.object == "page"]
        accounts = [_page(page) for page in every if page.object == "instagram"]
        url = self._handshake.webhook_url
        return Json({"pages": pages, "instagram": accounts, "webhook_url": url})

    async def add_page(self, request: Request) -> Response:
        """POST `{id, name, business_owned?, dormant?, instagram?, managers?}`."""
        fields = await read_fields(request)
        page_id, name = fields.text("id"), fields.text("name")
        owned, dormant = fields.flag("business_owned"), fields.flag("dormant")
        instagram, managers = fields.optional_text("instagram"), fields.optional_texts("managers")
        fields.finish()
        added = _page(self._messenger.add_page(page_id, name))
        self._facebook.add_page(
            page_id, name, managers, business_owned=owned, dormant=dormant, instagram=instagram
        )
        return Json(added, status_code=201)

    async def add_contact(self, request: Request) -> Response:
        """POST `{name, psid?}`."""
        fields = await read_fields(request)
        name, psid = fields.text("name"), fields.optional_text("psid")
        fields.finish()
        contact = self._messenger.add_contact(request.path_params["page"], name, psid)
        return Json(_contact(contact), status_code=201)

    async def conversation(self, request: Request) -> Response:
        """GET: the bubbles, oldest first."""
        page, psid = request.path_params["page"], request.path_params["psid"]
        contact = self._messenger.page(page).contacts.get(psid)
        bubbles = contact.conversation.bubbles if contact is not None else ()
        return Json({"bubbles": [asdict(bubble) for bubble in bubbles]})

    async def message(self, request: Request) -> Response:
        """POST a message of the contact: 202 `{kind, mid, delivery}`."""
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
        page, psid = request.path_params["page"], request.path_params["psid"]
        mids = await self._messenger.burst(page, psid, text, count, _media_url(request))
        return Json({"mids": mids}, status_code=202)

    async def open(self, request: Request) -> Response:
        """POST: the person looks at the conversation; `{read}`: how many messages were new."""
        (await read_fields(request)).finish()
        page, psid = request.path_params["page"], request.path_params["psid"]
        return Json({"read": await self._messenger.opened(page, psid)})

    async def kinds(self, _request: Request) -> Response:
        """GET: every kind of event with example fields; an empty `mid` is for you to fill."""
        return Json({"kinds": EXAMPLES, "instagram": INSTAGRAM_EXAMPLES})

    async def deliveries(self, request: Request) -> Response:
        """GET `?after&limit&wait`: posts changed after a revision; waits up to `wait` seconds."""
        after = int(number_of(request, "after", 0, 2**53))
        limit = int(number_of(request, "limit", 100, MOST_POSTS))
        log = self._postman.log
        after = after if after <= log.revision else 0  # a revision of an earlier run
        await log.wait(after, number_of(request, "wait", 0, LONGEST_WAIT_S))
        posts = log.since(after, limit)
        revision = posts[-1].revision if posts else after
        documents = [post.document() for post in posts]
        return Json({"run": log.run, "revision": revision, "deliveries": documents})

    async def delivery(self, request: Request) -> Response:
        """GET one post."""
        return Json(self._post(request).document())

    async def repeat(self, request: Request) -> Response:
        """POST: the same bytes go out once more."""
        _require_json(request)
        again = await self._postman.repeat(self._post(request))
        return Json({"delivery": again.id}, status_code=202)

    async def armed(self, _request: Request) -> Response:
        """GET: what is armed for how many of the next deliveries."""
        return Json({"armed": self._postman.misbehaviour.document()})

    async def misbehave(self, request: Request) -> Response:
        """POST `{kind, count?}`: 202 `{armed, deliveries}`."""
        fields = await read_fields(request)
        kind, count = fields.text("kind"), count_of(fields)
        fields.finish()
        posts = await self._misbehave(kind, count)
        armed = self._postman.misbehaviour.document()
        return Json({"armed": armed, "deliveries": [post.id for post in posts]}, status_code=202)

    async def handshake_state(self, _request: Request) -> Response:
        """GET: how the verification request went."""
        return Json(self._handshake.document())

    async def shake_hands(self, request: Request) -> Response:
        """POST: ask once more, now."""
        _require_json(request)
        await self._handshake.once()
        return Json(self._handshake.document())

    async def _happen(self, request: Request, kind: str, given: JsonObject) -> Response:
        page, psid = request.path_params["page"], request.path_params["psid"]
        entry, post = await self._messenger.happen(page, psid, kind, given, _media_url(request))
        return Json(_happened(entry, post), status_code=202)

    async def _misbehave(self, kind: str, count: int) -> list[Post]:
        if kind == "repeat":
            return await self._postman.repeat_last(count)
        if kind == "rebatch":
            return await self._postman.rebatch(count)
        if kind == "release":
            return await self._postman.release()
        if kind == "clear":
            self._postman.misbehaviour.clear()
            return await self._postman.release()
        await self._postman.arm(armed_kind(kind), count)
        return []

    def _post(self, request: Request) -> Post:
        post = self._postman.log.find(request.path_params["id"])
        if post is None:
            raise HTTPException(404, "there is no such delivery, or it is no longer kept")
        return post


def refused(_request: Request, error: Exception) -> Response:
    """Return the answer to a request that cannot be met, in words."""
    if isinstance(error, HTTPException):
        return Json({"error": error.detail}, error.status_code, error.headers)
    return Json({"error": str(error)}, 404 if isinstance(error, UnknownPage) else 422)


def _page(page: Page) -> JsonObject:
    people = [_contact(contact) for contact in page.contacts.values()]
    return {"id": page.id, "name": page.name, "contacts": people}


def _contact(contact: Contact) -> JsonObject:
    return {"psid": contact.psid, "name": contact.name}


def _happened(entry: Entry, post: Post) -> JsonObject:
    return {"kind": entry.kind, "mid": mid_of(entry), "delivery": post.id}


def _media_url(request: Request) -> str:
    return str(request.base_url) + "media"


def _require_json(request: Request) -> None:
    """Refuse what a form on another site could post: those cannot send JSON unasked."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise HTTPException(415, "Content-Type must be application/json")


async def read_body(request: Request) -> JsonObject:
    """Return a JSON object of the body. Raises `HTTPException`."""
    _require_json(request)
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_LIMIT:
            raise HTTPException(413, f"at most {BODY_LIMIT} bytes")
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, f"not JSON: {error}") from error
    if not isinstance(document, dict):
        raise HTTPException(400, "a JSON object is needed")
    return document


async def read_kind(request: Request, kinds: Iterable[str]) -> tuple[str, JsonObject]:
    """Return what is to happen, and its fields. Raises `HTTPException`, and `BadField` without a
    `kind`.
    """
    given = await read_body(request)
    kind = given.pop("kind", None)
    if not isinstance(kind, str):
        raise BadField(f"kind must be one of {', '.join(kinds)}")
    return kind, given


async def read_fields(request: Request) -> Fields:
    """Return the fields of a JSON body. Raises `HTTPException`."""
    return Fields(await read_body(request))


def number_of(request: Request, name: str, default: float, most: float) -> float:
    """Return a number of the query, from 0 to `most`. Raises `BadField`."""
    try:
        value = float(request.query_params.get(name, default))
    except ValueError as error:
        raise BadField(f"{name} must be a number") from error
    if not 0 <= value <= most:
        raise BadField(f"{name} must be from 0 to {most:g}")
    return value
