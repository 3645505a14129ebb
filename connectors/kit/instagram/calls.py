"""The calls that make an Instagram token, and what its refusals mean. It loads httpx.

Sources: https://developers.facebook.com/docs/instagram-platform/reference/oauth-authorize and
https://developers.facebook.com/documentation/instagram-platform/instagram-api-with-instagram-login/business-login.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Final, TypeVar

import httpx
import msgspec

from connectors.kit.instagram.settings import InstagramSettings
from connectors.kit.meta.errors import Verdict, error_of, exchange_refusal, refusal
from connectors.kit.shape import Id
from connectors.kit.transport.auth import Bearer
from connectors.kit.transport.failures import read
from connectors.kit.transport.refusals import Answer, by_status, unclear
from connectors.kit.transport.usage import APP
from contracts.errors import Permanent, ProviderError, Reauthorize, Retryable
from contracts.login import Code
from contracts.tokens import Secret

API: Final = "https://graph.instagram.com"
HOST: Final = "graph.instagram.com"
CODE_URL: Final = "https://api.instagram.com/oauth/access_token"

_ENDING: Final = "#_"
"""Instagram puts it behind the address that it sends the browser to, and so behind the code."""

_OPERATOR: Final = "the app is refused, see INSTAGRAM_APP_ID and INSTAGRAM_APP_SECRET"
_WORDS: Final[Mapping[str, Verdict]] = {
    "client secret": Verdict(Permanent, _OPERATOR),
    "platform app": Verdict(Permanent, _OPERATOR),
    "code": Verdict(Reauthorize, "the code is not accepted: spent, expired or of another dialog"),
    "not authorized": Verdict(Reauthorize, "the consent is over already"),
}
"""What stands in the text of a refused code → what it means; its code is 400 for all of them."""

Seconds = Annotated[int, msgspec.Meta(gt=0, le=1_000_000_000)]
T = TypeVar("T")


class Spent(msgspec.Struct):
    """What a code gave: a token of an hour, what it may, and an id of our app's alone."""

    access_token: str = ""
    user_id: Id = ""
    permissions: str | list[str] | None = None


class Token(msgspec.Struct):
    """A token of 60 days. `expires_in`: its life in seconds."""

    access_token: str
    expires_in: Seconds
    permissions: str | None = None

    @property
    def life(self) -> timedelta:
        return timedelta(seconds=self.expires_in)


class Me(msgspec.Struct):
    """`user_id`: the professional account, as webhooks name it. `id`: ours alone, scoped to the
    app.
    """

    user_id: Id
    id: Id = ""
    username: str = ""


class _Answer(Spent):
    """Documented is a list; what comes is also seen flat."""

    data: list[Spent] = []


class _Refused(msgspec.Struct):
    error_message: str


def spend(client: httpx.Client, settings: InstagramSettings, code: Code) -> Spent:
    """Exchange a code. Raises `Reauthorize` when it is refused."""
    form = {
        "client_id": settings.app_id,
        "client_secret": settings.app_secret.reveal(),
        "grant_type": "authorization_code",
        "redirect_uri": code.redirect_uri,
        "code": code.code.reveal().removesuffix(_ENDING),
    }
    answer = read(response := client.post(CODE_URL, data=form))
    if response.status_code != 200:
        raise _code_refusal(answer)
    try:
        told = msgspec.json.decode(answer.body, type=_Answer, strict=False)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        told = _Answer()
    spent = told.data[0] if told.data else told
    if not spent.access_token:
        raise unclear("Instagram answered with something else than a token", repeatable=False)
    return spent


def lengthen(client: httpx.Client, settings: InstagramSettings, token: Secret) -> Token:
    """A token of 60 days for one of an hour. The secret stands in the address: Instagram has no
    other way, and nothing of ours tells addresses.
    """
    asked = {
        "grant_type": "ig_exchange_token",
        "client_secret": settings.app_secret.reveal(),
        "access_token": token.reveal(),
    }
    response = client.get(f"{API}/access_token", params=asked)
    if response.status_code != 200:
        raise exchange_refusal(read(response))
    return token_of(response.content)


def renew(client: httpx.Client, token: Secret) -> Token:
    """Another token for one that is a day old at least and has not ended."""
    asked = {"grant_type": "ig_refresh_token", "access_token": token.reveal()}
    response = client.get(f"{API}/refresh_access_token", params=asked)
    if response.status_code != 200:
        raise refusal(read(response), APP)
    return token_of(response.content)


def me(client: httpx.Client, token: Secret) -> Me:
    """The account that a token is for."""
    asked = {"fields": "user_id,id,username"}
    response = client.get(f"{API}/me", params=asked, auth=Bearer(token, [HOST]))
    if response.status_code != 200 or error_of(response.content):
        raise refusal(read(response), APP)
    return _read(response.content, Me, "an account")


def token_of(body: bytes) -> Token:
    """Raises `Retryable` for what is no token."""
    token = _read(body, Token, "a token")
    if not token.access_token:
        raise Retryable("Instagram answered with an empty token")
    return token


def names(permissions: str | list[str] | None) -> frozenset[str]:
    """Scopes, which come as text with commas or as a list."""
    listed = permissions.split(",") if isinstance(permissions, str) else permissions or ()
    return frozenset(name.strip() for name in listed if name.strip())


def _code_refusal(answer: Answer) -> ProviderError:
    try:
        told = msgspec.json.decode(answer.body, type=_Refused, strict=False).error_message.lower()
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        told = ""
    meant = next((meant for words, meant in _WORDS.items() if words in told), None)
    if meant is None or answer.status >= 500 or answer.status == 429:
        return exchange_refusal(answer) if error_of(answer.body) else by_status(answer)
    return meant.kind(f"{answer.host}: {meant.words}", code=str(answer.status))


def _read(body: bytes, kind: type[T], what: str) -> T:
    try:
        return msgspec.json.decode(body, type=kind, strict=False)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise Retryable(f"Instagram answered with something else than {what}") from None
