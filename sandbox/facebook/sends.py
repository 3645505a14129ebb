"""A Page writes, by Graph: `/{page}/messages` and `/{comment}/comments`."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.facebook import errors
from sandbox.facebook.errors import GraphError
from sandbox.facebook.graph import VERSION, Graph
from sandbox.facebook.world import Page, Person
from sandbox.oauth.params import Params
from sandbox.sending import MESSENGER, Desk


class PageSends:
    """With the Page's own token, if pages_messaging, or pages_manage_engagement, is granted."""

    def __init__(self, graph: Graph, desk: Desk) -> None:
        self._graph, self._desk = graph, desk

    def routes(self) -> list[Route]:
        """Return the routes; they come after those of other objects with messages."""
        return [
            Route(f"{VERSION}/{{object}}/messages", self.write, methods=["POST"]),
            Route(f"{VERSION}/{{object}}/comments", self.comment, methods=["POST"]),
        ]

    async def write(self, request: Request) -> Response:
        """POST `recipient`, `message`, `messaging_type`?, `tag`?, `reply_to`?."""
        page, person, params = await self._called(request, "pages_messaging", "send messages")
        asked = request.path_params["object"]
        if asked not in ("me", page.id):
            raise errors.missing(asked, "post")
        if not page.may(person, "MESSAGING"):
            raise errors.lacks("the MESSAGING task", "send messages")
        media_url = f"{request.base_url}media"
        app_id = self._graph.facebook.app.id
        sent = await self._desk.write(page.id, params, MESSENGER, app_id, media_url)
        return errors.answer(request, sent)

    async def comment(self, request: Request) -> Response:
        """POST `message`: a comment of the Page below another one."""
        page, _, params = await self._called(request, "pages_manage_engagement", "comment")
        text = params.optional("message") or ""
        picture = params.optional("attachment_url")
        params.finish()
        if not text and picture is None:
            raise errors.parameter("The parameter message is required.")
        made = await self._desk.comment(page.id, request.path_params["object"], text)
        return errors.answer(request, made)

    async def _called(
        self, request: Request, permission: str, purpose: str
    ) -> tuple[Page, Person, Params]:
        caller, params = await self._graph.call(request)
        token = caller.token
        if token is None or token.page is None:
            text = "(#210) A page access token is required to request this resource."
            raise GraphError(text, 210, status=403)
        if not token.person.runs(token.page):
            raise errors.missing(token.page.id, "post")
        if not token.person.allows(permission):
            raise errors.lacks(permission, purpose)
        return token.page, token.person, params
