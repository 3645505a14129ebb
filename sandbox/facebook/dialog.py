"""Facebook's login dialog: who, what to allow, for which Pages; then back to the app with a code.

Source: Facebook Login, "Manually build a login flow", and Facebook Login for Business.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.facebook.fields import ASKABLE, BASIC, WORDS
from sandbox.facebook.state import Facebook
from sandbox.facebook.world import Person
from sandbox.fields import BadField
from sandbox.oauth import dialog
from sandbox.oauth.answers import Answer, answer_of
from sandbox.oauth.apps import NAME
from sandbox.oauth.dialog import Choice, Tick
from sandbox.oauth.params import Params, pairs_of, query_pairs

BRAND = "facebook"
REFUSED = (
    ("error", "access_denied"),
    ("error_code", "200"),
    ("error_description", "Permissions error"),
    ("error_reason", "user_denied"),
)


@dataclass(frozen=True)
class Asked:
    """What an address of the dialog asks for."""

    redirect_uri: str
    state: tuple[tuple[str, str], ...]
    scopes: tuple[str, ...]
    again: bool
    return_scopes: bool
    person: Person | None


class FacebookDialog:
    """`/{version}/dialog/oauth`: each step stands in the address, nothing is remembered."""

    def __init__(self, facebook: Facebook) -> None:
        self._facebook = facebook

    def routes(self) -> list[Route]:
        """Return the routes; browsers come by the sandbox's own host."""
        paths = ("/v{version:float}/dialog/oauth", "/dialog/oauth")
        return [
            route
            for path in paths
            for route in (
                Route(path, self.show, methods=["GET"]),
                Route(path, self.decide, methods=["POST"]),
            )
        ]

    async def show(self, request: Request) -> Response:
        """GET: who it is, then what to allow."""
        try:
            asked = self._asked(await pairs_of(request))
        except BadField as error:
            return dialog.refusal(BRAND, "This login cannot go on", str(error))
        if asked.person is None:
            people = self._facebook.world.people.values()
            choices = [Choice(one.id, one.name, one.email) for one in people]
            return dialog.chooser(request, BRAND, f"Log in to {NAME} as", choices)
        return self._consent(asked, asked.person)

    async def decide(self, request: Request) -> Response:
        """POST: back to the app, with a code or with the refusal."""
        try:
            asked = self._asked(query_pairs(request))
            answer = await answer_of(request, ("permission", "page", "all_pages"))
            if asked.person is None:
                raise BadField("nobody is logged in")
            granted, declined, pages = self._chosen(asked, asked.person, answer)
        except BadField as error:
            return dialog.refusal(BRAND, "This login cannot go on", str(error))
        if not answer.agreed:
            return dialog.back(asked.redirect_uri, [*REFUSED, *asked.state], "_=_")
        consent = self._facebook.consent(asked.person, granted, declined, pages)
        code = self._facebook.codes.issue(asked.redirect_uri, consent, "AQ{}")
        scopes: list[tuple[str, str]] = []
        if asked.return_scopes:
            told = asked.person.grant
            scopes = [
                ("granted_scopes", ",".join(sorted(told.granted if told else ()))),
                ("denied_scopes", ",".join(sorted(told.declined if told else ()))),
            ]
        return dialog.back(asked.redirect_uri, [("code", code), *scopes, *asked.state], "_=_")

    def _asked(self, pairs: Sequence[tuple[str, str]]) -> Asked:
        given = Params(pairs, BadField)
        if not self._facebook.app.is_called(given.need("client_id")):
            raise BadField("Invalid App ID: The provided app ID does not look like a valid app ID.")
        redirect_uri = given.need("redirect_uri")
        if redirect_uri not in self._facebook.app.redirect_uris:
            raise BadField(
                "URL blocked: This redirect failed because the redirect URI is not white-listed "
                "in the app's client OAuth settings."
            )
        given.choice("response_type", ("code",))
        given.flag("override_default_response_type")
        given.choice("display", ("page", "popup", "touch"))
        given.ignore("locale")
        state, person = given.optional("state"), given.optional(dialog.PERSON)
        asked = Asked(
            redirect_uri=redirect_uri,
            state=() if state is None else (("state", state),),
            scopes=self._scopes(given.optional("scope"), given.optional("config_id")),
            again=given.choice("auth_type", ("rerequest", "reauthenticate")) == "rerequest",
            return_scopes=given.flag("return_scopes"),
            person=None if person is None else self._facebook.world.people.get(person),
        )
        given.finish()
        if person is not None and asked.person is None:
            raise BadField("There is no such person.")
        return asked

    def _scopes(self, scope: str | None, config_id: str | None) -> tuple[str, ...]:
        if config_id is not None:
            if scope is not None:
                raise BadField("config_id replaces scope: send one of them")
            return tuple(self._facebook.scopes_of(config_id))
        scopes = [name for name in (scope or "").replace(" ", ",").split(",") if name]
        if strange := [name for name in scopes if name not in ASKABLE]:
            raise BadField(f"Invalid Scopes: {', '.join(strange)}")
        return (BASIC, *(name for name in dict.fromkeys(scopes) if name != BASIC))

    def _offered(self, asked: Asked, person: Person) -> list[str]:
        """What may be ticked: what was declined before is asked again on request alone."""
        declined = person.grant.declined if person.grant and not asked.again else set()
        return [name for name in asked.scopes if name != BASIC and name not in declined]

    def _consent(self, asked: Asked, person: Person) -> Response:
        ticks = [Tick("permission", BASIC, WORDS[BASIC], BASIC, fixed=True)]
        ticks += [
            Tick("permission", name, WORDS.get(name, name), name)
            for name in self._offered(asked, person)
        ]
        pages = [
            Tick("page", page.id, page.name, f"Page {page.id}")
            for page in self._facebook.world.run_by(person)
        ]
        future = "All Pages I manage, those to come too"
        every = [Tick("all_pages", "true", future, ticked=False)] if pages else []
        intro = f"{NAME} ({dialog.site_of(asked.redirect_uri)}) asks you, {person.name}, for this."
        groups = (("What it may do", ticks), ("For which Pages", [*pages, *every]))
        return dialog.consent(BRAND, f"Connect {NAME}", intro, groups)

    def _chosen(
        self, asked: Asked, person: Person, answer: Answer
    ) -> tuple[set[str], set[str], set[str] | None]:
        offered = self._offered(asked, person)
        granted = answer.among("permission", offered)
        pages = answer.among("page", [page.id for page in self._facebook.world.run_by(person)])
        every = answer.among("all_pages", ("true",))
        return granted | {BASIC}, set(offered) - granted, None if every else pages
