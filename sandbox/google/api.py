"""Google's APIs as far as connecting needs them: calendar list, Gmail profile, signing keys.

Sources: the discovery documents of Calendar v3 and Gmail v1; "Cross-account protection".
"""

import base64
import hashlib

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.fields import BadField, JsonObject
from sandbox.google.errors import ApiError, bad_request, insufficient, unauthenticated
from sandbox.google.people import ROLES, Calendar, Person
from sandbox.google.scopes import CALENDAR_LIST, GMAIL_PROFILE
from sandbox.google.state import Google, Token
from sandbox.oauth.params import Params, pairs_of
from sandbox.oauth.provider import bearer_of

API_HOST = "www.googleapis.com"
GMAIL_HOST = "gmail.googleapis.com"
ACCOUNTS_HOST = "accounts.google.com"
RISC_ISSUER = "https://accounts.google.com/"
COMMON = ("alt", "prettyPrint", "fields", "quotaUser", "key")
MOST_CALENDARS = 250


class GoogleApi:
    """What www.googleapis.com, gmail.googleapis.com and accounts.google.com answer to servers."""

    def __init__(self, google: Google) -> None:
        self._google = google

    def api_routes(self) -> list[Route]:
        """Return the routes of www.googleapis.com."""
        return [
            Route("/oauth2/v3/certs", self.certs, methods=["GET"]),
            Route("/calendar/v3/users/me/calendarList", self.calendars, methods=["GET"]),
            *not_found(),
        ]

    def gmail_routes(self) -> list[Route]:
        """Return the routes of gmail.googleapis.com."""
        return [
            Route("/gmail/v1/users/{user}/profile", self.profile, methods=["GET"]),
            *not_found(),
        ]

    def accounts_routes(self) -> list[Route]:
        """Return the routes of accounts.google.com, beside the dialog."""
        return [
            Route("/.well-known/risc-configuration", self.risc_configuration, methods=["GET"]),
            *not_found(),
        ]

    async def certs(self, _request: Request) -> Response:
        """GET: the public keys, as a JSON Web Key Set."""
        headers = {"Cache-Control": "public, max-age=19800, must-revalidate, no-transform"}
        return JSONResponse(self._google.key.document(), headers=headers)

    async def risc_configuration(self, _request: Request) -> Response:
        """GET: who signs security events, and with which keys; this issuer ends with a slash."""
        return JSONResponse(
            {
                "issuer": RISC_ISSUER,
                "jwks_uri": f"https://{API_HOST}/oauth2/v3/certs",
                "delivery_methods_supported": [
                    "https://schemas.openid.net/secevent/risc/delivery-method/push"
                ],
            }
        )

    async def calendars(self, request: Request) -> Response:
        """GET `?maxResults&pageToken&minAccessRole&showHidden&showDeleted&syncToken`."""
        token, params = await self._caller(request, CALENDAR_LIST)
        size = params.integer("maxResults", 100, 1, MOST_CALENDARS)
        least = params.choice("minAccessRole", ROLES)
        page, sync = params.optional("pageToken"), params.optional("syncToken")
        params.ignore("showHidden", "showDeleted")
        params.finish()
        if sync is not None and least is not None:
            raise bad_request("Sync token cannot be used with query restrictions.")
        version = self._version(token.person)
        if sync is not None and sync != version:
            text = "Sync token is no longer valid, a full sync is required."
            raise ApiError(410, "fullSyncRequired", text, "FAILED_PRECONDITION", "calendar")
        shown = [] if sync else _at_least(token.person, least or "freeBusyReader")
        start = int(page) if page is not None and page.isdecimal() else 0
        if page is not None and not 0 < start < len(shown):
            raise bad_request("Invalid page token value.")
        more = start + size < len(shown)
        end = {"nextPageToken": str(start + size)} if more else {"nextSyncToken": version}
        items = [_item(calendar) for calendar in shown[start : start + size]]
        head = {"kind": "calendar#calendarList", "etag": f'"{version}"'}
        return JSONResponse({**head, **end, "items": items})

    async def profile(self, request: Request) -> Response:
        """GET: `{emailAddress, messagesTotal, threadsTotal, historyId}`."""
        token, params = await self._caller(request, GMAIL_PROFILE)
        params.finish()
        if request.path_params["user"] not in ("me", token.person.email):
            raise ApiError(403, "forbidden", "Delegation denied", "PERMISSION_DENIED")
        profile = {"emailAddress": token.person.email, "messagesTotal": 3, "threadsTotal": 2}
        return JSONResponse({**profile, "historyId": "90210"})

    async def _caller(self, request: Request, scopes: tuple[str, ...]) -> tuple[Token, Params]:
        """Whose token it is. Raises `ApiError` where it has none of `scopes`."""
        token = self._google.find(bearer_of(request) or "", refresh=False)
        if token is None:
            raise unauthenticated()
        if not token.scopes.intersection(scopes):
            raise insufficient()
        try:
            params = Params(await pairs_of(request), bad_request)
        except BadField as error:
            raise bad_request(str(error)) from error
        params.ignore(*COMMON)
        return token, params

    def _version(self, person: Person) -> str:
        """Stands for the list as it is; another one when a calendar comes or goes."""
        digest = hashlib.sha256(repr(person.calendars).encode()).digest()
        return base64.urlsafe_b64encode(digest[:12]).decode("ascii")


def not_found() -> list[Route]:
    """Return the route of everything that is not there."""
    methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
    return [Route("/{path:path}", _nothing, methods=methods)]


async def _nothing(_request: Request) -> Response:
    raise ApiError(404, "notFound", "Not Found", "NOT_FOUND")


def _at_least(person: Person, role: str) -> list[Calendar]:
    allowed = ROLES[list(ROLES).index(role) :] if role in ROLES else ()
    return [calendar for calendar in person.calendars if calendar.role in allowed]


def _item(calendar: Calendar) -> JsonObject:
    item: JsonObject = {
        "kind": "calendar#calendarListEntry",
        "etag": f'"{hashlib.sha256(calendar.id.encode()).hexdigest()[:16]}"',
        "id": calendar.id,
        "summary": calendar.title,
        "timeZone": calendar.zone,
        "colorId": "14",
        "backgroundColor": "#9fe1e7",
        "foregroundColor": "#000000",
        "selected": True,
        "accessRole": calendar.role,
        "defaultReminders": [],
    }
    return {**item, "primary": True} if calendar.primary else item
