"""What the Meta app asks Graph about consents, in its own name or with the token of who consented.

Sources: https://developers.facebook.com/docs/facebook-login/guides/advanced/manual-flow,
https://developers.facebook.com/docs/facebook-login/guides/access-tokens/get-long-lived,
https://developers.facebook.com/docs/graph-api/reference/debug_token and
https://developers.facebook.com/docs/graph-api/reference/user/permissions. It loads httpx.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, TypeVar

import httpx
import msgspec

from connectors.kit.meta.auth import GraphAuth
from connectors.kit.meta.errors import (
    GraphError,
    error_of,
    exchange_refusal,
    refusal,
    verdict,
)
from connectors.kit.meta.hosts import GRAPH_HOST
from connectors.kit.meta.paths import path_of
from connectors.kit.meta.settings import MetaSettings
from connectors.kit.shape import Id
from connectors.kit.transport.failures import read
from connectors.kit.transport.refusals import unclear
from connectors.kit.transport.usage import APP
from contracts.errors import Permanent, ProviderError, Reauthorize, Retryable
from contracts.login import Code
from contracts.tokens import Secret

SYSTEM_USER: Final = "SYSTEM_USER"
"""What `Checked.type` calls the token of a business integration: it does not end by time."""

_NOT_THERE: Final = "100/33"
_REMOVED: Final = "190/458"

Seconds = Annotated[int, msgspec.Meta(gt=0, le=1_000_000_000)]
T = TypeVar("T")


class _Error(msgspec.Struct):
    code: int | None = None
    subcode: int | None = None


class _Granular(msgspec.Struct):
    scope: str
    target_ids: list[Id] | None = None


class Checked(msgspec.Struct):
    """What Graph knows of a token. `expires_at`: seconds since 1970, 0 where time does not end it;
    `scopes` None: it does not say.
    """

    is_valid: bool
    app_id: Id | None = None
    type: str = ""
    user_id: Id = ""
    expires_at: Annotated[int, msgspec.Meta(ge=0, le=10_000_000_000)] = 0
    scopes: list[str] | None = None
    granular_scopes: list[_Granular] | None = None
    error: _Error | None = None

    @property
    def ends(self) -> datetime | None:
        return datetime.fromtimestamp(self.expires_at, UTC) if self.expires_at > 0 else None

    @property
    def targets(self) -> dict[str, frozenset[str]]:
        """Scope → what it was granted for. Without ids it may be for everything, or unsaid."""
        return {
            entry.scope: frozenset(map(str, entry.target_ids))
            for entry in self.granular_scopes or ()
            if entry.target_ids
        }


class Person(msgspec.Struct):
    """Who consented: an id of our app's alone, a name, and the e-mail address if it was granted."""

    id: Id
    name: str = ""
    email: str | None = None


class _Checked(msgspec.Struct):
    data: Checked


class _Token(msgspec.Struct):
    access_token: str
    expires_in: Seconds | None = None


class _Permission(msgspec.Struct):
    permission: str
    status: str


class _Permissions(msgspec.Struct):
    data: list[_Permission]


class App:
    """`client` carries no token. Every method raises the errors of `contracts.errors`."""

    def __init__(self, client: httpx.Client, app_id: str, settings: MetaSettings) -> None:
        self._client, self._id, self._secret = client, app_id, settings.app_secret
        self._own = GraphAuth(Secret(f"{app_id}|{self._secret.reveal()}"), self._secret)
        self._base = f"https://{GRAPH_HOST}/{settings.graph_version}"

    def spend(self, code: Code) -> Secret:
        """The token, of an hour or two, for a code. Raises `Reauthorize` when that is refused."""
        form = {"code": code.code.reveal()}
        if code.redirect_uri is not None:
            form["redirect_uri"] = code.redirect_uri
        return self._token(form, repeatable=False)[0]

    def lengthen(self, token: Secret) -> tuple[Secret, timedelta | None]:
        """A user's token of about 60 days for a short one, and how long it lives if that is said.

        Page tokens that are got with it have no end by time.
        """
        form = {"grant_type": "fb_exchange_token", "fb_exchange_token": token.reveal()}
        return self._token(form, repeatable=True)

    def check(self, token: Secret) -> Checked:
        """A good token of our app. Raises `Reauthorize` for one that has ended, with Graph's
        reason, and `Permanent` when it is another app's or our own is refused.
        """
        try:
            asked = {"input_token": token.reveal()}
            body = self._answer(
                self._client.get(self._url("debug_token"), params=asked, auth=self._own)
            )
        except ProviderError as error:
            raise _of_the_app(error) from None
        checked = _read(body, _Checked, "a checked token").data
        if checked.app_id is not None and str(checked.app_id) != self._id:
            raise Permanent("the token is another app's than META_APP_ID's")
        if not checked.is_valid:
            raise _ended(checked.error)
        return checked

    def person(self, token: Secret, *, with_email: bool) -> Person:
        """Who consented. No other field of the profile is asked for."""
        fields = "id,name,email" if with_email else "id,name"
        return _read(self._as(token, "me", fields=fields), Person, "who consented")

    def declined(self, token: Secret) -> frozenset[str]:
        """What whoever consented said no to."""
        told = _read(self._as(token, "me/permissions"), _Permissions, "permissions").data
        return frozenset(entry.permission for entry in told if entry.status == "declined")

    def forget(self, user: str, token: Secret) -> None:
        """End the consent of `user`, an id of our app's. Done already is done. `token`: one that it
        gave, which tells whether there is a consent left where Graph's refusal does not.
        """
        url = self._url(path_of(user, "permissions"))
        try:
            self._answer(self._client.delete(url, auth=self._own))
        except ProviderError as error:
            if error.code == _REMOVED or (error.code == _NOT_THERE and self._is_over(token)):
                return
            raise _of_the_app(error) from None

    def _is_over(self, token: Secret) -> bool:
        try:
            self.check(token)
        except Reauthorize:
            return True
        return False

    def _token(
        self, form: Mapping[str, str], *, repeatable: bool
    ) -> tuple[Secret, timedelta | None]:
        """By POST, so that neither secret nor code stands in an address."""
        own = {"client_id": self._id, "client_secret": self._secret.reveal()}
        response = self._client.post(
            self._url("oauth/access_token"),
            data=own | dict(form),
            extensions={"idempotent": repeatable},
        )
        answer = read(response)
        if response.status_code != 200:
            raise exchange_refusal(answer)
        try:
            told = msgspec.json.decode(answer.body, type=_Token, strict=False)
            token = Secret(told.access_token)
        except (msgspec.MsgspecError, UnicodeDecodeError, ValueError, RecursionError):
            text = "Graph answered with something else than a token"
            raise unclear(text, repeatable=repeatable) from None
        return token, None if told.expires_in is None else timedelta(seconds=told.expires_in)

    def _as(self, token: Secret, path: str, **asked: Any) -> bytes:
        auth = GraphAuth(token, self._secret)
        return self._answer(self._client.get(self._url(path), params=asked, auth=auth))

    def _answer(self, response: httpx.Response) -> bytes:
        if response.status_code != 200 or error_of(response.content):
            raise refusal(read(response), APP)
        return response.content

    def _url(self, path: str) -> str:
        return f"{self._base}/{path}"


def _read(body: bytes, kind: type[T], what: str) -> T:
    try:
        return msgspec.json.decode(body, type=kind, strict=False)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise Retryable(f"Graph answered with something else than {what}") from None


def _of_the_app(error: ProviderError) -> ProviderError:
    """What is refused here is the app's own token: no owner of an account can mend that."""
    if isinstance(error, Reauthorize):
        return Permanent(
            f"META_APP_ID or META_APP_SECRET is refused ({error.code})", code=error.code
        )
    return error


def _ended(told: _Error | None) -> ProviderError:
    error = GraphError(190) if told is None else GraphError(told.code, told.subcode)
    meant = verdict(error)
    if meant is not None and meant.kind is Retryable:
        return Retryable(f"debug_token: {error.name}, {meant.words}", code=error.name)
    words = meant.words if meant is not None else "the token is not valid"
    return Reauthorize(f"{error.name}, {words}", code=error.name)
