"""Google's reasons and what each means for us, as tables; one for its APIs, one for its tokens.

Sources: https://developers.google.com/workspace/calendar/api/guides/errors,
https://developers.google.com/workspace/gmail/api/guides/handle-errors and RFC 6749, 5.2. Google's
texts are not repeated: they name accounts and resources.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from connectors.kit.transport.refusals import Answer, by_status, retry_after_s, unclear
from connectors.kit.transport.usage import APP, ASSET
from contracts.errors import (
    Permanent,
    PermissionMissing,
    ProviderError,
    Reauthorize,
    Retryable,
    Throttled,
    TokenRefused,
)


class Verdict(NamedTuple):
    """`closes`: what a limit is on, `app` (the Cloud project) or `asset` (the account)."""

    kind: type[ProviderError]
    words: str
    closes: str = ASSET


REASONS: Final[Mapping[str, Verdict]] = {
    "rateLimitExceeded": Verdict(Throttled, "the project's rate limit", APP),
    "userRateLimitExceeded": Verdict(Throttled, "the account's rate limit"),
    "RATE_LIMIT_EXCEEDED": Verdict(Throttled, "the project's rate limit", APP),
    "RESOURCE_EXHAUSTED": Verdict(Throttled, "the account's rate limit"),
    "quotaExceeded": Verdict(Permanent, "a quota is used up"),
    "insufficientPermissions": Verdict(PermissionMissing, "a scope is missing"),
    "ACCESS_TOKEN_SCOPE_INSUFFICIENT": Verdict(PermissionMissing, "a scope is missing"),
    "forbidden": Verdict(Permanent, "the account may not do this"),
    "accessNotConfigured": Verdict(Permanent, "the API is not enabled in the Cloud project"),
    "SERVICE_DISABLED": Verdict(Permanent, "the API is not enabled in the Cloud project"),
    "authError": Verdict(TokenRefused, "the access token is not accepted"),
    "UNAUTHENTICATED": Verdict(TokenRefused, "the access token is not accepted"),
}
"""A 403 is a rate limit, a missing scope or something else: the reason tells."""

_OPERATOR: Final = "the OAuth client is refused, see GOOGLE_CLIENT_ID and GOOGLE_CLIENT_SECRET"
_LATER: Final = Verdict(Retryable, "temporary trouble")

INVALID_TOKEN: Final = "invalid_token"  # noqa: S105
"""What a token that was given back, or never was one, gets from all but the token endpoint."""

TOKEN_ERRORS: Final[Mapping[str, Verdict]] = {
    "invalid_grant": Verdict(Reauthorize, "the grant is over"),
    "invalid_client": Verdict(Permanent, _OPERATOR),
    "unauthorized_client": Verdict(Permanent, _OPERATOR),
    "deleted_client": Verdict(Permanent, _OPERATOR),
    "temporarily_unavailable": _LATER,
    "server_error": _LATER,
    "internal_failure": _LATER,
}

_WORD: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,60}")
_CODE: Final = re.compile(r"[a-z]+(?:_[a-z]+){0,5}")
"""Of the token endpoint. What looks otherwise may be a token that it repeats."""


class _Reason(msgspec.Struct):
    reason: str | None = None


class _Error(msgspec.Struct):
    errors: Sequence[_Reason] = ()
    details: Sequence[_Reason] = ()
    status: str | None = None


class _Body(msgspec.Struct):
    error: _Error


class _TokenError(msgspec.Struct):
    error: str
    error_subtype: str | None = None


def reason_of(body: bytes) -> str | None:
    """Why an API refused: of `errors`, else of `details`, else the `status`."""
    try:
        error = msgspec.json.decode(body, type=_Body).error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    told = [*(entry.reason for entry in (*error.errors, *error.details)), error.status]
    return next((word for word in told if word and _WORD.fullmatch(word)), None)


def refusal(answer: Answer, account: str) -> ProviderError:
    """The error to raise for what an API answered. `account`: whose limits the call used.

    404, 409, 410 and 412 say something about the thing asked for: `Permanent`, with the reason as
    its `code` (`fullSyncRequired`, `notFound`, `deleted` …).
    """
    reason = reason_of(answer.body)
    meant = REASONS.get(reason or "")
    if meant is None and answer.status == 401:
        meant = REASONS["authError"]
    if meant is None:
        plain = by_status(answer, account)
        plain.code = reason
        return plain
    return _error(answer, meant, reason or "authError", account)


def token_refusal(answer: Answer) -> ProviderError:
    """The error to raise for what the token endpoint answered instead of tokens."""
    try:
        told = msgspec.json.decode(answer.body, type=_TokenError)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return by_status(answer)
    if answer.status >= 500 or answer.status == 429 or not _CODE.fullmatch(told.error):
        return by_status(answer)
    name = told.error
    if told.error_subtype and _CODE.fullmatch(told.error_subtype):
        name = f"{name}/{told.error_subtype}"
    meant = TOKEN_ERRORS.get(told.error, Verdict(Permanent, "the request is refused"))
    return _error(answer, meant, name, APP)


def _error(answer: Answer, meant: Verdict, name: str, account: str) -> ProviderError:
    text = f"{answer.host}: {name}, {meant.words}"
    after_s = retry_after_s(answer.headers)
    if meant.kind is Throttled:
        scope = APP if meant.closes == APP else account
        return Throttled(text, scope=scope, after_s=after_s, code=name)
    if meant.kind is Retryable:
        return unclear(text, repeatable=answer.repeatable, after_s=after_s, code=name)
    return meant.kind(text, code=name)
