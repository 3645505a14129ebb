"""RFC 9457 problem documents: one table from our errors to what a caller sees."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final, NamedTuple

import msgspec
import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from contracts import errors
from contracts.errors import CursorError, GatewayError

log = structlog.get_logger()

MEDIA_TYPE: Final = "application/problem+json"
TYPE: Final = "urn:cleverbox:problem:"
"""A problem's type is this and its name: stable, and independent of where the gateway stands.
`/docs#problems` explains each."""


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """What went wrong, as RFC 9457 has it; `resume`: the cursor to go on from, if there is one."""

    type: str
    title: str
    status: int
    detail: str = ""
    resume: str | None = None


class Meaning(NamedTuple):
    """How an error class is told."""

    error: type[GatewayError]
    status: int
    title: str
    advice: str
    """What the caller should do, for the documentation."""


MEANINGS: Final = (
    Meaning(
        errors.InvalidInput,
        400,
        "The request cannot be understood",
        "Mend the request; `detail` says which part of it.",
    ),
    Meaning(
        errors.Unauthenticated,
        401,
        "No valid API key",
        "Send `Authorization: Bearer <key>`; the key may have been revoked.",
    ),
    Meaning(
        errors.BadSignature,
        401,
        "Not signed by the provider",
        "Compare the app secret here with the one at the provider.",
    ),
    Meaning(
        errors.Forbidden,
        403,
        "The API key does not allow this",
        "Use a key of the right role and tenant.",
    ),
    Meaning(
        errors.NotFound,
        404,
        "There is no such thing",
        "Check the id: it may be gone, or belong to another tenant.",
    ),
    Meaning(
        errors.Conflict,
        409,
        "It contradicts what is there",
        "`detail` says what stands against it.",
    ),
    Meaning(
        errors.BeingRevoked,
        409,
        "It is being disconnected just now",
        "Try again in a minute.",
    ),
    Meaning(
        errors.Paused,
        409,
        "The connection is paused",
        "Resume it first.",
    ),
    Meaning(
        errors.NotStored,
        409,
        "Not stored yet",
        "Wait for `attachment.updated` in the feed.",
    ),
    Meaning(
        errors.LogRestored,
        409,
        "The message log was restored from a backup",
        "Go on from `resume`. Messages that come again have the ids that they had.",
    ),
    Meaning(
        errors.CursorExpired,
        410,
        "The cursor is older than the log",
        "Go on from `resume`. What was in between is no longer kept.",
    ),
    Meaning(
        errors.KeyDestroyed,
        410,
        "It was erased for good",
        "Nothing can be done: the key of its content was destroyed.",
    ),
    Meaning(
        errors.Gone,
        410,
        "It is not kept any more, or never could be",
        "Nothing can be done; `detail` says why.",
    ),
    Meaning(
        errors.Tampered,
        410,
        "It cannot be opened",
        "Nothing can be done by the caller: what is stored was changed, or its key is lost. The "
        "feed goes past it; operators find it in the log and by `gateway check`.",
    ),
    Meaning(
        errors.TooLarge,
        413,
        "The body is too large",
        "Send less.",
    ),
    Meaning(
        errors.NotConnected,
        409,
        "The connection cannot call out now",
        "`detail` says why: resume it, have its owner connect again, or connect it anew.",
    ),
    Meaning(
        errors.NotSendable,
        422,
        "It cannot be sent so",
        "`detail` says why. The same request will never be taken.",
    ),
    Meaning(
        errors.FeatureMissing,
        422,
        "The connection may not do this",
        "Have its owner connect it again with the feature that `detail` names.",
    ),
    Meaning(
        errors.KeyReused,
        422,
        "The idempotency key was used for another request",
        "Use a new key for each message; repeat a call with the very same body.",
    ),
    Meaning(
        errors.WindowClosed,
        422,
        "The contact may not be written to any more",
        "Wait until the contact writes, or use what the provider has for such cases (templates, "
        "`human_agent`).",
    ),
    Meaning(
        errors.Unavailable,
        503,
        "A part of the gateway is away",
        "Repeat the call a little later, as `Retry-After` says.",
    ),
    Meaning(
        errors.Misconfigured,
        503,
        "A setting of the gateway is wrong",
        "An operator has to mend it; `gateway check` says which.",
    ),
    Meaning(
        errors.UnknownKey,
        503,
        "The key store does not fit the database",
        "An operator has to connect the key store that belongs to this database.",
    ),
)
"""The row of the nearest base class counts; an error without one is a fault of ours: 500."""

_BY_CLASS: Final = {meaning.error: meaning for meaning in MEANINGS}
_FAULT: Final = "The gateway failed; the fault is logged"


def problem(
    status: int, name: str, title: str, detail: str = "", resume: str | None = None
) -> bytes:
    """A problem document of the type `urn:cleverbox:problem:{name}`."""
    return msgspec.json.encode(Problem(TYPE + name, title, status, detail, resume))


def respond(
    status: int,
    name: str,
    title: str,
    detail: str = "",
    resume: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The response of a problem."""
    body = problem(status, name, title, detail, resume)
    return Response(body, status, headers, media_type=MEDIA_TYPE)


def fault() -> Response:
    """What is said of an unexpected error: nothing; its place is in the log."""
    return respond(500, "fault", _FAULT)


def meaning_of(kind: type[GatewayError]) -> Meaning | None:
    """The row of `kind` or of its nearest base class that has one."""
    return next((_BY_CLASS[base] for base in kind.__mro__ if base in _BY_CLASS), None)


async def of_gateway_error(_: Request, error: Exception) -> Response:
    """Expected errors: what the table says."""
    if not isinstance(error, GatewayError) or not (meaning := meaning_of(type(error))):
        return await of_fault(_, error)
    headers = {}
    if meaning.status == 401:
        headers["www-authenticate"] = "Bearer"
    if meaning.status == 503:
        headers["retry-after"] = "1"
    resume = error.resume if isinstance(error, CursorError) else None
    detail = "" if meaning.status >= 500 else str(error)
    return respond(meaning.status, error.reason, meaning.title, detail, resume, headers)


async def of_http_error(_: Request, error: Exception) -> Response:
    """What Starlette's routing says: unknown paths and methods."""
    if not isinstance(error, HTTPException):
        return await of_fault(_, error)
    status = HTTPStatus(error.status_code)
    name = "not-found" if status == 404 else status.phrase.lower().replace(" ", "-")
    return respond(status, name, status.phrase, headers=error.headers)


async def of_fault(_: Request, error: Exception) -> Response:
    """Unexpected errors: logged here, said without detail. A path may be anything, and is not."""
    log.error("http.fault", exc_info=error)
    return fault()
