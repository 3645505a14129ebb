"""`/{page}/subscribed_apps`: which webhooks of a Page the app gets.

Source: Graph API reference, "Page subscribed apps". POST replaces what was subscribed.
"""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.facebook import errors
from sandbox.facebook.errors import GraphError
from sandbox.facebook.fields import MESSAGING_FIELDS, PAGE_FIELDS
from sandbox.facebook.graph import VERSION, Caller, Graph
from sandbox.facebook.world import Page, Person
from sandbox.oauth.apps import NAME

MANAGE = "pages_manage_metadata"


class Subscriptions:
    """Reading, setting and removing the app's subscription to a Page, with the Page's token."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def routes(self) -> list[Route]:
        """Return the routes on Graph's host."""
        path = f"{VERSION}/{{object}}/subscribed_apps"
        return [
            Route(path, self.read, methods=["GET"]),
            Route(path, self.subscribe, methods=["POST"]),
            Route(path, self.unsubscribe, methods=["DELETE"]),
        ]

    async def read(self, request: Request) -> Response:
        """GET: `{"data": [{id, name, subscribed_fields}]}`, empty without a subscription."""
        caller, params = await self._graph.call(request)
        page, _ = self._managed(request, caller)
        params.ignore("fields")
        params.finish()
        own = {
            "category": "Business",
            "link": "https://example.com/",
            "name": NAME,
            "id": self._graph.facebook.app.id,
            "subscribed_fields": list(page.subscribed),
        }
        return errors.answer(request, {"data": [own] if page.subscribed else []})

    async def subscribe(self, request: Request) -> Response:
        """POST `subscribed_fields=a,b`: these, and no others any more."""
        caller, params = await self._graph.call(request)
        page, person = self._managed(request, caller)
        fields = _fields(params.need("subscribed_fields"))
        params.finish()
        if not page.may(person, "MODERATE"):
            raise errors.lacks("the MODERATE task", "subscribe to the Page")
        if wanting := [name for name in fields if name in MESSAGING_FIELDS]:
            _require_messaging(person, wanting[0])
        page.subscribe(fields)
        return errors.answer(request, {"success": True})

    async def unsubscribe(self, request: Request) -> Response:
        """DELETE: no webhooks of this Page any more."""
        caller, params = await self._graph.call(request)
        page, _ = self._managed(request, caller)
        params.finish()
        page.subscribe(())
        return errors.answer(request, {"success": True})

    def _managed(self, request: Request, caller: Caller) -> tuple[Page, Person]:
        """The Page and who acts for it. Raises unless it is the Page's own token, with rights."""
        page = self._graph.page(request.path_params["object"], caller, request.method.lower())
        if caller.token is None or caller.token.page is None:
            text = "(#210) A page access token is required to request this resource."
            raise GraphError(text, 210, status=403)
        if not caller.token.person.allows(MANAGE):
            raise errors.lacks(MANAGE, "manage the object")
        return page, caller.token.person


def _fields(text: str) -> tuple[str, ...]:
    fields = tuple(dict.fromkeys(name for name in text.split(",") if name))
    if not fields:
        raise errors.parameter("The parameter subscribed_fields is required.")
    for place, name in enumerate(fields):
        if name not in PAGE_FIELDS:
            known = ", ".join(sorted(field.upper() for field in PAGE_FIELDS))
            raise errors.parameter(
                f'Param subscribed_fields[{place}] must be one of {{{known}}} - got "{name}".'
            )
    return fields


def _require_messaging(person: Person, field: str) -> None:
    if not person.allows("pages_messaging"):
        raise GraphError(
            f"(#200) To subscribe to the {field} field, one of these permissions is needed: "
            "pages_messaging",
            200,
            status=403,
        )
