"""Instagram's login dialog: one logs in as the account itself.

Source: Instagram Platform, "Business login for Instagram".
"""

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.fields import BadField
from sandbox.instagram.accounts import BASIC, SCOPES, Account, Accounts
from sandbox.oauth import dialog
from sandbox.oauth.answers import answer_of
from sandbox.oauth.apps import NAME
from sandbox.oauth.dialog import Choice, Tick
from sandbox.oauth.params import Params, pairs_of, query_pairs

BRAND = "instagram"
PATH = "/oauth/authorize"
REFUSED = (
    ("error", "access_denied"),
    ("error_reason", "user_denied"),
    ("error_description", "The user denied your request."),
)


@dataclass(frozen=True)
class Asked:
    """What an address of the dialog asks for."""

    redirect_uri: str
    state: tuple[tuple[str, str], ...]
    scopes: tuple[str, ...]
    account: Account | None


class InstagramDialog:
    """`/oauth/authorize`."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    def routes(self) -> list[Route]:
        """Return the routes; browsers come by the sandbox's own host."""
        return [
            Route(PATH, self.show, methods=["GET"]),
            Route(PATH, self.decide, methods=["POST"]),
        ]

    async def show(self, request: Request) -> Response:
        """GET: which account, then what to allow."""
        try:
            asked = self._asked(await pairs_of(request))
        except BadField as error:
            return dialog.refusal(BRAND, "Invalid request", str(error))
        if asked.account is None:
            choices = [
                Choice(one.user_id, one.username, one.name) for one in self._accounts.all.values()
            ]
            return dialog.chooser(request, BRAND, f"Log in to {NAME} as", choices)
        ticks = [
            Tick("scope", name, SCOPES[name], name, fixed=name == BASIC) for name in asked.scopes
        ]
        site = dialog.site_of(asked.redirect_uri)
        intro = f"{NAME} ({site}) asks you, {asked.account.username}, for this."
        return dialog.consent(BRAND, f"Connect {NAME}", intro, [("What it may do", ticks)])

    async def decide(self, request: Request) -> Response:
        """POST: back to the app; a code ends with `#_`, as Instagram's do."""
        try:
            asked = self._asked(query_pairs(request))
            answer = await answer_of(request, ("scope",))
            if asked.account is None:
                raise BadField("nobody is logged in")
            granted = answer.among("scope", asked.scopes)
        except BadField as error:
            return dialog.refusal(BRAND, "Invalid request", str(error))
        if not answer.agreed:
            return dialog.back(asked.redirect_uri, [*REFUSED, *asked.state])
        asked.account.allow(granted | {BASIC})
        code = self._accounts.codes.issue(asked.redirect_uri, asked.account, "AQ{}")
        return dialog.back(asked.redirect_uri, [("code", code), *asked.state], "_")

    def _asked(self, pairs: Sequence[tuple[str, str]]) -> Asked:
        given = Params(pairs, BadField)
        if not self._accounts.app.is_called(given.need("client_id")):
            raise BadField("Invalid platform app")
        redirect_uri = given.need("redirect_uri")
        if redirect_uri not in self._accounts.app.redirect_uris:
            raise BadField("Invalid redirect_uri")
        if given.need("response_type") != "code":
            raise BadField("response_type must be code")
        given.choice("enable_fb_login", ("0", "1", "true", "false"))
        given.choice("force_reauth", ("0", "1", "true", "false"))
        given.choice("force_authentication", ("0", "1", "true", "false"))
        given.ignore("locale")
        state, account = given.optional("state"), given.optional(dialog.PERSON)
        asked = Asked(
            redirect_uri=redirect_uri,
            state=() if state is None else (("state", state),),
            scopes=_scopes(given.need("scope")),
            account=None if account is None else self._accounts.find(account),
        )
        given.finish()
        if account is not None and asked.account is None:
            raise BadField("There is no such account.")
        return asked


def _scopes(text: str) -> tuple[str, ...]:
    scopes = tuple(dict.fromkeys(name for name in text.replace(" ", ",").split(",") if name))
    if strange := [name for name in scopes if name not in SCOPES]:
        raise BadField(f"Invalid scope: {', '.join(strange)}")
    if BASIC not in scopes:
        raise BadField(f"Invalid scope: {BASIC} is needed")
    return scopes
