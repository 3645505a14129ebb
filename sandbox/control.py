"""The API by which tests and the page play the people behind the logins, and the bad days."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.api import Json, number_of, read_fields
from sandbox.changes import Changes
from sandbox.delivery import Postman
from sandbox.facebook.actions import FacebookActions
from sandbox.facebook.state import Facebook
from sandbox.facebook.world import Page, Person
from sandbox.fields import BadField, Fields, JsonObject
from sandbox.google.people import person as google_person
from sandbox.google.risc import SecurityEvents
from sandbox.google.state import Google
from sandbox.instagram.accounts import Account, Accounts
from sandbox.instagram.actions import InstagramActions
from sandbox.messenger import Messenger, digits
from sandbox.oauth.callbacks import Callbacks
from sandbox.oauth.clock import Clock
from sandbox.oauth.provider import Watch
from sandbox.whatsapp.room import Room
from sandbox.whatsapp.signup import Signup
from sandbox.whatsapp.state import WhatsApp

OBJECTS = ("page", "permissions", "whatsapp_business_account")
"""Whose deliveries the Meta app's secret signs."""
LONGEST_FORWARD_S = 10 * 365 * 86_400


@dataclass(frozen=True)
class Logins:
    """The logins, what they share, and WhatsApp, whose consents are Facebook's."""

    clock: Clock
    facebook: Facebook
    instagram: Accounts
    google: Google
    whatsapp: WhatsApp
    room: Room
    signup: Signup
    watch: Watch
    callbacks: Callbacks
    facebook_actions: FacebookActions
    instagram_actions: InstagramActions
    events: SecurityEvents

    def reset(self) -> None:
        """Begin anew: nobody has connected, nothing is armed, the clock goes with the machine's."""
        self.clock.reset()
        self.watch.calls.clear()
        self.watch.troubles.clear()
        self.callbacks.clear()
        self.facebook.reset()
        self.instagram.reset()
        self.google.reset()
        self.whatsapp.reset()
        self.room.reset()
        self.signup.lies = False


class Control:
    """The endpoints, all under `/api`."""

    def __init__(
        self, logins: Logins, messenger: Messenger, changes: Changes, postman: Postman
    ) -> None:
        self._logins, self._messenger, self._changes = logins, messenger, changes
        self._postman, self._first_secret = postman, logins.facebook.app.secret

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/api/state", self.state, methods=["GET"]),
            Route("/api/calls", self.calls, methods=["GET"]),
            Route("/api/callbacks", self.told, methods=["GET"]),
            _post("/api/reset", self.reset),
            _post("/api/clock", self.clock),
            _post("/api/trouble", self.trouble),
            _post("/api/trouble/clear", self.clear_trouble),
            _post("/api/codes/expire", self.expire_codes),
            _post("/api/switches", self.switches),
            _post("/api/facebook/app", self.change_secret),
            _post("/api/facebook/people", self.add_facebook_person),
            _post("/api/facebook/people/{id}/{action}", self.facebook_action),
            _post("/api/facebook/pages/{id}", self.change_page),
            _post("/api/facebook/pages/{id}/unsubscribe", self.unsubscribe),
            _post("/api/facebook/pages/{id}/leads", self._changes.lead),
            _post("/api/facebook/pages/{id}/changes", self._changes.of_page),
            _post("/api/instagram/accounts", self.add_account),
            _post("/api/instagram/accounts/{id}/changes", self._changes.of_account),
            _post("/api/instagram/accounts/{id}/{action}", self.instagram_action),
            _post("/api/google/people", self.add_google_person),
            _post("/api/google/people/{id}/{action}", self.google_action),
        ]

    async def state(self, _request: Request) -> Response:
        """GET: what is left at each provider; no token is shown."""
        logins = self._logins
        return Json(
            {
                "clock_ahead_s": logins.clock.ahead_s,
                "switches": self._switches(),
                "trouble": logins.watch.troubles.document(),
                "facebook": logins.facebook.state(),
                "instagram": logins.instagram.state(),
                "google": logins.google.state(),
                "whatsapp": logins.whatsapp.state(),
            }
        )

    async def calls(self, request: Request) -> Response:
        """GET `?after=ID`: the calls that the providers' APIs received."""
        after = int(number_of(request, "after", 0, 2**53))
        calls = self._logins.watch.calls.since(after)
        return Json({"calls": [call.document() for call in calls]})

    async def told(self, _request: Request) -> Response:
        """GET: deauthorizations, deletion requests and security events, with their answers."""
        return Json({"callbacks": self._logins.callbacks.documents()})

    async def reset(self, _request: Request, fields: Fields) -> JsonObject:
        """POST: begin anew, with the Pages and people of the start."""
        fields.finish()
        self._sign_with(self._first_secret)
        self._logins.reset()
        self._messenger.reset()
        return {}

    async def clock(self, _request: Request, fields: Fields) -> JsonObject:
        """POST `{forward_s}`: tokens and codes age at once."""
        self._logins.clock.forward(fields.integer("forward_s", 0, 0, LONGEST_FORWARD_S))
        fields.finish()
        return {"clock_ahead_s": self._logins.clock.ahead_s}

    async def trouble(self, _request: Request, fields: Fields) -> JsonObject:
        """POST `{kind, host?, path?, method?, count?, …}`: the next calls meet trouble."""
        self._logins.watch.troubles.arm(fields)
        return {"trouble": self._logins.watch.troubles.document()}

    async def clear_trouble(self, _request: Request, fields: Fields) -> JsonObject:
        """POST: the providers are well again."""
        fields.finish()
        self._logins.watch.troubles.clear()
        return {"trouble": []}

    async def expire_codes(self, _request: Request, fields: Fields) -> JsonObject:
        """POST: codes that wait to be exchanged expire."""
        fields.finish()
        logins = self._logins
        of_facebook = logins.facebook.codes.expire() + logins.facebook.signup_codes.expire()
        others = logins.instagram.codes.expire() + logins.google.codes.expire()
        return {"expired": of_facebook + others}

    async def switches(self, _request: Request, fields: Fields) -> JsonObject:
        """POST `{require_proof?, instagram_flat?, google_testing?, google_rotates?, signup_lies?,
        profiles_hidden?}`, booleans.
        """
        logins = self._logins
        if fields.has("require_proof"):
            logins.facebook.require_proof = fields.flag("require_proof")
        if fields.has("instagram_flat"):
            logins.instagram.flat = fields.flag("instagram_flat")
        if fields.has("google_testing"):
            logins.google.testing = fields.flag("google_testing")
        if fields.has("google_rotates"):
            logins.google.rotates = fields.flag("google_rotates")
        if fields.has("profiles_hidden"):
            hidden = fields.flag("profiles_hidden")
            logins.facebook.profiles_hidden = logins.instagram.profiles_hidden = hidden
        if fields.has("signup_lies"):
            logins.signup.lies = fields.flag("signup_lies")
        fields.finish()
        return self._switches()

    async def change_secret(self, _request: Request, fields: Fields) -> JsonObject:
        """POST `{secret}`: the Meta app has another secret from now on, and signs with it."""
        secret = fields.text("secret")
        fields.finish()
        self._sign_with(secret)
        return {"id": self._logins.facebook.app.id}

    def _sign_with(self, secret: str) -> None:
        facebook = self._logins.facebook
        facebook.app = replace(facebook.app, secret=secret)
        self._postman.sign_with(secret, OBJECTS)

    async def add_facebook_person(self, _request: Request, fields: Fields) -> JsonObject:
        """POST `{id, name, email}`."""
        person = Person(digits(fields.text("id"), "id"), fields.text("name"), fields.text("email"))
        fields.finish()
        self._logins.facebook.world.people[person.id] = person
        return {"id": person.id}

    async def facebook_action(self, request: Request, fields: Fields) -> JsonObject:
        """POST: see `FacebookActions`."""
        where = request.path_params
        return await self._logins.facebook_actions.act(where["action"], where["id"], fields)

    async def change_page(self, request: Request, fields: Fields) -> JsonObject:
        """POST `{always_on?, business_owned?, instagram?}`."""
        page = self._page(request)
        if fields.has("always_on"):
            page.always_on = fields.flag("always_on")
        if fields.has("business_owned"):
            page.business_owned = fields.flag("business_owned")
        if fields.has("instagram"):
            page.instagram = fields.optional_text("instagram")
        fields.finish()
        return {"id": page.id}

    async def unsubscribe(self, request: Request, fields: Fields) -> JsonObject:
        """POST: the subscription of a Page vanishes, and nobody is told."""
        fields.finish()
        self._page(request).subscribe(())
        return {}

    async def add_account(self, _request: Request, fields: Fields) -> JsonObject:
        """POST `{user_id, id, username, name, always_on?}`."""
        account = Account(
            digits(fields.text("user_id"), "user_id"),
            digits(fields.text("id"), "id"),
            fields.text("username"),
            fields.text("name"),
            fields.flag("always_on"),
        )
        fields.finish()
        self._logins.instagram.all[account.user_id] = account
        self._messenger.add_account(account.user_id, account.name)
        return {"user_id": account.user_id}

    async def instagram_action(self, request: Request, fields: Fields) -> JsonObject:
        """POST: see `InstagramActions`."""
        where = request.path_params
        return await self._logins.instagram_actions.act(where["action"], where["id"], fields)

    async def add_google_person(self, _request: Request, fields: Fields) -> JsonObject:
        """POST `{sub, email, name}`: somebody with the usual calendars."""
        sub = digits(fields.text("sub"), "sub")
        person = google_person(sub, fields.text("email"), fields.text("name"))
        fields.finish()
        self._logins.google.people[person.sub] = person
        return {"sub": person.sub}

    async def google_action(self, request: Request, fields: Fields) -> JsonObject:
        """POST `remove-app`, `change-password`, or `event {event,…}`: see `SecurityEvents`."""
        google, events = self._logins.google, self._logins.events
        person = google.people.get(request.path_params["id"])
        if person is None:
            raise BadField("there is no such Google account")
        match request.path_params["action"]:
            case "remove-app":
                fields.finish()
                google.revoke(person)
                return {"risc": (await events.tokens_revoked(person)).document()}
            case "change-password":
                fields.finish()
                google.change_password(person)
                return {}
            case "event":
                return {"risc": (await events.tell(person, fields)).document()}
        raise BadField("action must be one of remove-app, change-password, event")

    def _page(self, request: Request) -> Page:
        page = self._logins.facebook.world.pages.get(request.path_params["id"])
        if page is None:
            raise BadField("there is no such Page")
        return page

    def _switches(self) -> JsonObject:
        return {
            "require_proof": self._logins.facebook.require_proof,
            "profiles_hidden": self._logins.facebook.profiles_hidden,
            "instagram_flat": self._logins.instagram.flat,
            "google_testing": self._logins.google.testing,
            "google_rotates": self._logins.google.rotates,
            "signup_lies": self._logins.signup.lies,
        }


def _post(path: str, act: Callable[[Request, Fields], Awaitable[JsonObject]]) -> Route:
    """Return the route of a POST whose body `act` reads, and whose outcome it returns."""

    async def endpoint(request: Request) -> Response:
        return Json(await act(request, await read_fields(request)))

    return Route(path, endpoint, methods=["POST"])
