"""Graph's nodes and lists: a person, their permissions, the Pages they run.

Sources: Graph API reference, "User", "User accounts", "Page".
"""

from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox import profiles
from sandbox.facebook import errors, leads
from sandbox.facebook.errors import GraphError
from sandbox.facebook.graph import HOST, VERSION, Caller, Graph, fields_of, no_field
from sandbox.facebook.tokens import Token
from sandbox.facebook.world import Page, Person
from sandbox.fields import JsonObject
from sandbox.instagram.accounts import Accounts

ACCOUNTS_AT_ONCE = 25
MOST_ACCOUNTS = 100
ACCOUNT_FIELDS = "access_token,category,name,id,tasks"


class Nodes:
    """`/me`, `/me/permissions`, `/me/accounts`, `/{person}` and `/{page}`."""

    def __init__(self, graph: Graph, instagram: Accounts) -> None:
        self._graph, self._instagram = graph, instagram

    def routes(self) -> list[Route]:
        """Return the routes on Graph's host; `/{object}` must come after all the others."""
        own = f"{VERSION}/{{object}}"
        return [
            Route(f"{own}/permissions", self.permissions, methods=["GET"]),
            Route(f"{own}/permissions", self.revoke, methods=["DELETE"]),
            Route(f"{own}/permissions/{{permission}}", self.revoke, methods=["DELETE"]),
            Route(f"{own}/accounts", self.accounts, methods=["GET"]),
            Route(own, self.node, methods=["GET"]),
        ]

    async def node(self, request: Request) -> Response:
        """GET `?fields`: a person, a Page or a lead."""
        caller, params = await self._graph.call(request)
        object_id = request.path_params["object"]
        text = params.optional("fields")
        asked = fields_of(text, "id,name")
        params.finish()
        token = caller.token
        if object_id == "me" and token is not None and token.page is not None:
            object_id = token.page.id
        if object_id in self._graph.facebook.world.pages:
            page = self._graph.page(object_id, caller)
            return errors.answer(request, self._page(page, caller, asked))
        if (lead := self._graph.facebook.world.leads.get(object_id)) is not None:
            page = self._graph.facebook.world.pages[lead.page]
            wanted = fields_of(text, leads.DEFAULT)
            return errors.answer(request, leads.shown(lead, page, caller, list(wanted)))
        if token is not None and token.page is not None:
            profile = self._profile(token, token.page, object_id, list(fields_of(text, "name")))
            return errors.answer(request, profile)
        return errors.answer(request, _person(self._graph.person(object_id, caller), asked))

    def _profile(self, token: Token, page: Page, contact: str, asked: Sequence[str]) -> JsonObject:
        """Of who writes to the Page. Without a conversation there is no profile: 2018218."""
        name = self._graph.facebook.contact_name(page.id, contact)
        if name is None:
            raise GraphError("(#100) No profile available for this user.", 100, 2018218)
        if not token.person.allows("pages_messaging"):
            raise errors.lacks("pages_messaging", "read the profile")
        hidden = self._graph.facebook.profiles_hidden
        return profiles.of_page(contact, name, asked, hidden=hidden)

    async def permissions(self, request: Request) -> Response:
        """GET: `{"data": [{permission, status}]}`, `granted` or `declined`."""
        caller, params = await self._graph.call(request)
        person = self._graph.person(request.path_params["object"], caller)
        params.finish()
        grant = person.grant
        told = [] if grant is None else [(name, "granted") for name in sorted(grant.granted)]
        told += [] if grant is None else [(name, "declined") for name in sorted(grant.declined)]
        data = [{"permission": name, "status": status} for name, status in told]
        return errors.answer(request, {"data": data})

    async def revoke(self, request: Request) -> Response:
        """DELETE one permission, or all: the app is removed, and its tokens for the person die."""
        caller, params = await self._graph.call(request)
        person = self._graph.person(request.path_params["object"], caller)
        params.finish()
        permission = request.path_params.get("permission")
        if permission is not None and not person.allows(permission):
            raise errors.parameter(f"Permission {permission} is not granted")
        self._graph.facebook.revoke(person, permission)
        return errors.answer(request, {"success": True})

    async def accounts(self, request: Request) -> Response:
        """GET `?fields&limit&after`: the person's Pages with their tokens, `paging` included.

        Pages of a business portfolio are missing, as with Facebook Login for Business.
        """
        caller, params = await self._graph.call(request)
        person = self._graph.person(request.path_params["object"], caller)
        text = params.optional("fields") or ACCOUNT_FIELDS
        limit = params.integer("limit", ACCOUNTS_AT_ONCE, 1, MOST_ACCOUNTS)
        after = params.optional("after")
        params.finish()
        asked = {"id": (), **fields_of(text, ACCOUNT_FIELDS)}
        pages = self._listed(person)
        if after is not None and after not in [page.id for page in pages]:
            raise errors.parameter("Invalid cursors values")
        start = 0 if after is None else [page.id for page in pages].index(after) + 1
        shown = pages[start : start + limit]
        document: JsonObject = {"data": [self._page(page, caller, asked) for page in shown]}
        if shown:
            more = {"access_token": caller.value, "fields": text, "limit": str(limit)}
            document["paging"] = _paging(request, shown, len(pages) > start + limit, more)
        return errors.answer(request, document)

    def _listed(self, person: Person) -> list[Page]:
        if not person.allows("pages_show_list"):
            return []
        pages = self._graph.facebook.world.pages.values()
        return [page for page in pages if person.runs(page) and not page.business_owned]

    def _page(self, page: Page, caller: Caller, asked: Mapping[str, tuple[str, ...]]) -> JsonObject:
        found: JsonObject = {}
        for name, inner in asked.items():
            value = self._page_field(page, caller.token, name, inner)
            if value is not None:
                found[name] = value
        return found | {"id": page.id}

    def _page_field(
        self, page: Page, token: Token | None, name: str, inner: tuple[str, ...]
    ) -> object:
        """A field's value; None where it is left out for want of a permission."""
        if token is None:
            return None
        if name == "access_token":
            if not token.person.allows("pages_show_list"):
                return None
            return (
                token.value if token.page else self._graph.facebook.tokens.page(token, page).value
            )
        if name == "instagram_business_account":
            if not token.person.allows("instagram_basic"):
                return None
            return self._linked(page, inner)
        plain: JsonObject = {
            "id": page.id,
            "name": page.name,
            "category": "Local business",
            "tasks": list(page.roles.get(token.person.id, ())),
        }
        if name not in plain:
            raise no_field(name, "Page")
        return plain[name]

    def _linked(self, page: Page, inner: tuple[str, ...]) -> JsonObject | None:
        account = self._instagram.find(page.instagram or "")
        if account is None:
            return None
        known: JsonObject = {
            "id": account.user_id,
            "username": account.username,
            "name": account.name,
        }
        if strange := [name for name in inner if name not in known]:
            raise no_field(strange[0], "IGUser")
        return {name: known[name] for name in ("id", *inner)}


def _person(person: Person, asked: Mapping[str, tuple[str, ...]]) -> JsonObject:
    known: JsonObject = {
        "id": person.id,
        "name": person.name,
        "first_name": person.name.split(" ")[0],
        "last_name": person.name.split(" ")[-1],
        "email": person.email,
    }
    if strange := [name for name in asked if name not in known]:
        raise no_field(strange[0], "User")
    if not person.allows("email"):
        del known["email"]
    return {name: known[name] for name in asked if name in known} | {"id": person.id}


def _paging(
    request: Request, shown: list[Page], more: bool, query: Mapping[str, str]
) -> JsonObject:
    """Cursors, and the address of the next page: Graph puts the token into it."""
    paging: JsonObject = {"cursors": {"before": shown[0].id, "after": shown[-1].id}}
    if more:
        pairs = {**query, "after": shown[-1].id}
        paging["next"] = f"https://{HOST}{request.url.path}?{urlencode(pairs)}"
    return paging
