"""Google's consent screen: an account chooser, and a box for each scope (granular consent).

Source: Google Identity, "OAuth 2.0 for web server applications". Boxes are empty at first, as
Google's are. What Google finds wrong with an address it says on its own page: nothing goes back.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.fields import BadField
from sandbox.google.people import Person
from sandbox.google.scopes import SIGN_IN, WORDS, full
from sandbox.google.state import Consent, Google
from sandbox.oauth import dialog
from sandbox.oauth.answers import answer_of
from sandbox.oauth.apps import NAME
from sandbox.oauth.dialog import Choice, Tick
from sandbox.oauth.params import Params, pairs_of, query_pairs

BRAND = "google"
PATH = "/o/oauth2/v2/auth"
ISSUER = "https://accounts.google.com"
PROMPTS = frozenset({"none", "consent", "select_account"})

_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True)
class Asked:
    """What an address of the consent screen asks for."""

    redirect_uri: str
    state: tuple[tuple[str, str], ...]
    scopes: frozenset[str]
    offline: bool
    prompt: frozenset[str]
    with_granted: bool
    challenge: str | None
    nonce: str | None
    person: Person | None


class GoogleDialog:
    """`/o/oauth2/v2/auth`."""

    def __init__(self, google: Google) -> None:
        self._google = google

    def routes(self) -> list[Route]:
        """Return the routes; browsers come by the sandbox's own host."""
        return [
            Route(PATH, self.show, methods=["GET"]),
            Route(PATH, self.decide, methods=["POST"]),
        ]

    async def show(self, request: Request) -> Response:
        """GET: which account, then what to allow; back at once where that was allowed before."""
        try:
            asked = self._asked(await pairs_of(request))
        except BadField as error:
            return dialog.refusal(BRAND, "Access blocked", str(error))
        if "none" in asked.prompt:
            return dialog.back(
                asked.redirect_uri, [("error", "interaction_required"), *asked.state]
            )
        if asked.person is None:
            choices = [Choice(one.sub, one.name, one.email) for one in self._google.people.values()]
            return dialog.chooser(request, BRAND, "Choose an account", choices)
        granted = self._google.granted(asked.person)
        if asked.scopes <= granted and "consent" not in asked.prompt:
            return self._back(asked, asked.person, asked.scopes, shown=False)
        ticks = [_tick(scope, granted) for scope in sorted(asked.scopes, key=_order)]
        site = dialog.site_of(asked.redirect_uri)
        intro = f"{NAME} ({site}) wants access to the Google Account of {asked.person.email}."
        groups = [("Select what it can access", ticks)]
        return dialog.consent(BRAND, f"{NAME} wants to access your account", intro, groups)

    async def decide(self, request: Request) -> Response:
        """POST: back to the app, with a code or with `access_denied`."""
        try:
            asked = self._asked(query_pairs(request))
            answer = await answer_of(request, ("scope",))
            if asked.person is None:
                raise BadField("nobody is logged in")
            ticked = answer.among("scope", asked.scopes)
        except BadField as error:
            return dialog.refusal(BRAND, "Access blocked", str(error))
        if not answer.agreed:
            return dialog.back(asked.redirect_uri, [("error", "access_denied"), *asked.state])
        scopes = frozenset(ticked) | (asked.scopes & SIGN_IN)
        self._google.allow(asked.person, scopes)
        return self._back(asked, asked.person, scopes, shown=True)

    def _back(
        self, asked: Asked, person: Person, scopes: frozenset[str], *, shown: bool
    ) -> Response:
        """A code; a refresh token will come of it only where consent was given just now."""
        if asked.with_granted:
            scopes |= self._google.granted(person)
        consent = Consent(person, scopes, asked.offline and shown, asked.challenge, asked.nonce)
        code = self._google.codes.issue(asked.redirect_uri, consent, "4/0A{}")
        answer = [
            *asked.state,
            ("iss", ISSUER),
            ("code", code),
            ("scope", " ".join(sorted(scopes))),
            ("authuser", "0"),
            ("prompt", "consent" if shown else "none"),
        ]
        return dialog.back(asked.redirect_uri, answer)

    def _asked(self, pairs: Sequence[tuple[str, str]]) -> Asked:
        given = Params(pairs, _blocked)
        if not self._google.app.is_called(given.need("client_id")):
            raise BadField("Error 401: invalid_client. The OAuth client was not found.")
        redirect_uri = given.need("redirect_uri")
        if redirect_uri not in self._google.app.redirect_uris:
            raise BadField("Error 400: redirect_uri_mismatch. This address is not registered.")
        if given.need("response_type") != "code":
            raise BadField("Error 400: unsupported_response_type")
        state, nonce = given.optional("state"), given.optional("nonce")
        asked = Asked(
            redirect_uri=redirect_uri,
            state=() if state is None else (("state", state),),
            scopes=_scopes(given.need("scope")),
            offline=given.choice("access_type", ("online", "offline")) == "offline",
            prompt=_prompt(given.optional("prompt") or ""),
            with_granted=given.flag("include_granted_scopes"),
            challenge=_challenge(given),
            nonce=nonce,
            person=None,
        )
        who, hint = given.optional(dialog.PERSON), given.optional("login_hint")
        given.ignore("hd", "enable_granular_consent", "hl")
        given.finish()
        return replace(asked, person=self._person(asked, who, hint))

    def _person(self, asked: Asked, who: str | None, hint: str | None) -> Person | None:
        """Who was chosen, or whom the app hints at; a hint at nobody is worth nothing."""
        if who is not None:
            if who not in self._google.people:
                raise BadField("There is no such account.")
            return self._google.people[who]
        if hint is None or "select_account" in asked.prompt:
            return None
        people = self._google.people.values()
        return next((one for one in people if hint in (one.sub, one.email)), None)


def _blocked(text: str) -> BadField:
    return BadField(f"Error 400: invalid_request. {text}")


def _scopes(text: str) -> frozenset[str]:
    scopes = frozenset(full(name) for name in text.split(" ") if name)
    if strange := scopes - set(WORDS):
        raise BadField(f"Error 400: invalid_scope. {', '.join(sorted(strange))}")
    return scopes


def _prompt(text: str) -> frozenset[str]:
    prompt = frozenset(text.split())
    if not prompt <= PROMPTS or ("none" in prompt and len(prompt) > 1):
        raise _blocked("Invalid parameter value for prompt: Invalid value")
    return prompt


def _challenge(given: Params) -> str | None:
    """The S256 challenge of RFC 7636; once it is sent, the exchange needs its verifier."""
    challenge, method = given.optional("code_challenge"), given.optional("code_challenge_method")
    if challenge is None:
        if method is not None:
            raise _blocked("code_challenge_method without code_challenge")
        return None
    if method != "S256":
        raise _blocked("code_challenge_method must be S256")
    if not _CHALLENGE.fullmatch(challenge):
        raise _blocked("Invalid parameter value for code_challenge: Invalid value")
    return challenge


def _tick(scope: str, granted: frozenset[str]) -> Tick:
    ticked, fixed = scope in granted, scope in SIGN_IN
    return Tick("scope", scope, WORDS[scope], scope, ticked=ticked, fixed=fixed)


def _order(scope: str) -> tuple[bool, str]:
    return scope not in SIGN_IN, scope
