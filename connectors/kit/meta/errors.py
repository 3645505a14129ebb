"""Graph's error codes and what each means for us, as tables.

Sources: https://developers.facebook.com/docs/graph-api/guides/error-handling,
https://developers.facebook.com/docs/messenger-platform/error-codes and
https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes. The code counts, and
never the HTTP status; Meta's texts are not repeated, since they name people and tokens.
"""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from connectors.kit.transport.refusals import Answer, by_status, unclear
from connectors.kit.transport.usage import APP, ASSET, regain_s
from contracts.errors import (
    Permanent,
    PermissionMissing,
    ProviderError,
    Reauthorize,
    Retryable,
    Throttled,
    WindowClosed,
)

COOL_DOWN_S: Final = 86_400.0
"""How long an asset rests after Meta blocked it for what it did. Meta names no time."""


PAIR: Final = "pair"
"""What a limit is on that is between one number and one person: nobody else waits for it."""


class Verdict(NamedTuple):
    """`closes`: what a limit is on, `app`, `asset` or `pair`. `rest_s`: at least so long, in
    seconds.
    """

    kind: type[ProviderError]
    words: str
    closes: str = ASSET
    rest_s: float | None = None


_LIMITED: Final = Verdict(Throttled, "rate limit")
_TEMPORARY: Final = Verdict(Retryable, "temporary trouble")
_WINDOW: Final = Verdict(WindowClosed, "outside of the time in which the person may be written to")

BY_SUBCODE: Final[Mapping[tuple[int, int], Verdict]] = {
    (190, 458): Verdict(Reauthorize, "the app was removed"),
    (190, 459): Verdict(Reauthorize, "the user must log in at facebook.com first"),
    (190, 464): Verdict(Reauthorize, "the user must confirm the account at facebook.com first"),
    (190, 460): Verdict(Reauthorize, "the password was changed"),
    (190, 463): Verdict(Reauthorize, "the token has expired"),
    (190, 467): Verdict(Reauthorize, "the token was invalidated"),
    (190, 492): Verdict(Reauthorize, "the user has no role on the Page any more"),
    (613, 1996): Verdict(Throttled, "unusually many calls"),
    (551, 1545041): Verdict(Permanent, "the person is not available"),
    (100, 33): Verdict(Permanent, "not there, or no permission for it"),
}
"""Code and subcode together."""

BY_LONG_SUBCODE: Final[Mapping[int, Verdict]] = {
    2018278: _WINDOW,
    2534022: _WINDOW,
    2018001: Verdict(Permanent, "no such person"),
    2018028: Verdict(Permanent, "only people with a role in the app, until Meta has reviewed it"),
    2018108: Verdict(Permanent, "the person does not receive messages"),
    2018109: Verdict(Permanent, "the attachment is too big"),
    2018218: Verdict(Permanent, "no profile to be had"),
    2534025: Verdict(Permanent, "the comment cannot be answered in private"),
}
"""Subcodes that mean the same under every code, `10` (permission) among them."""

BY_CODE: Final[Mapping[int, Verdict]] = {
    102: Verdict(Reauthorize, "the session is over"),
    190: Verdict(Reauthorize, "the token is not valid"),
    3: Verdict(PermissionMissing, "the app may not do this"),
    10: Verdict(PermissionMissing, "a permission is missing"),
    4: Verdict(Throttled, "the app's rate limit", APP),
    17: _LIMITED,
    32: _LIMITED,
    613: _LIMITED,
    80001: _LIMITED,
    80002: _LIMITED,
    80005: _LIMITED,
    80006: _LIMITED,
    80007: _LIMITED,
    80008: _LIMITED,
    130429: Verdict(Throttled, "too many messages at once", ASSET, 5.0),
    131048: Verdict(Throttled, "limited, since people took messages for spam"),
    131056: Verdict(Throttled, "too many messages to this person", PAIR),
    368: Verdict(Throttled, "blocked for breaking Meta's rules", ASSET, COOL_DOWN_S),
    1: _TEMPORARY,
    2: _TEMPORARY,
    341: _TEMPORARY,
    1200: _TEMPORARY,
    131000: _TEMPORARY,
    131016: _TEMPORARY,
    100: Verdict(Permanent, "a parameter is wrong"),
    230: Verdict(Permanent, "the person has not agreed to show a profile"),
    551: Verdict(Permanent, "the person is not available"),
    2500: Verdict(Permanent, "no such path"),
    9010: Verdict(Permanent, "no such Instagram user"),
    10900: Verdict(Permanent, "answered in private already"),
    131005: Verdict(PermissionMissing, "access denied"),
    131026: Verdict(Permanent, "cannot be delivered"),
    131031: Verdict(Permanent, "the account is locked"),
    131042: Verdict(Permanent, "payment is missing"),
    131047: _WINDOW,
    131049: Verdict(Permanent, "not delivered, and not to be tried again"),
    131050: Verdict(Permanent, "the person does not want these messages"),
    131051: Verdict(Permanent, "a kind of message that is not supported"),
    133005: Verdict(Permanent, "the number has another PIN, which WhatsApp Manager switches off"),
    133010: Verdict(Permanent, "the number is not registered"),
    133016: Verdict(Permanent, "the number was registered too often within 72 hours"),
}
"""The code alone, where no subcode says more."""

_OPERATOR: Final = "the app is refused, see META_APP_ID and META_APP_SECRET"

BY_CODE_OF_EXCHANGE: Final[Mapping[int, Verdict]] = {
    1: Verdict(Permanent, _OPERATOR),
    101: Verdict(Permanent, _OPERATOR),
    100: Verdict(Reauthorize, "the code is not accepted: spent, expired or of another dialog"),
}
"""What differs where a code is exchanged for a token. `1` is what a wrong secret gets."""

RANGES: Final = (
    (range(200, 300), Verdict(PermissionMissing, "a permission is missing")),
    (range(132000, 133000), Verdict(Permanent, "the template does not fit")),
)
"""Codes that mean the same, where no table has them."""

_TRACE: Final = re.compile(r"[A-Za-z0-9_-]{1,40}")


class GraphError(msgspec.Struct, rename={"subcode": "error_subcode"}):
    """What we read of Graph's `error` object."""

    code: int | None = None
    subcode: int | None = None
    is_transient: bool = False
    fbtrace_id: str | None = None

    @property
    def name(self) -> str:
        """`190/460`, as logs and `ProviderError.code` have it."""
        return f"{self.code}/{self.subcode}" if self.subcode else f"{self.code}"


class _Body(msgspec.Struct):
    error: GraphError


def error_of(body: bytes) -> GraphError | None:
    """The error that Graph's answer tells, if it does."""
    try:
        return msgspec.json.decode(body, type=_Body, strict=False).error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def verdict(error: GraphError) -> Verdict | None:
    """What `error` means; None when no table has it."""
    code, subcode = error.code or 0, error.subcode or 0
    found = (
        BY_SUBCODE.get((code, subcode))
        or BY_LONG_SUBCODE.get(subcode)
        or BY_LONG_SUBCODE.get(code)  # some calls have it in the code's place
        or BY_CODE.get(code)
        or next((meant for codes, meant in RANGES if code in codes), None)
    )
    return found or (_TEMPORARY if error.is_transient else None)


def refusal(answer: Answer, account: str) -> ProviderError:
    """The error to raise for Graph's answer. `account`: the asset whose limits the call used."""
    error = error_of(answer.body)
    if error is None or error.code is None:
        return by_status(answer, account)
    meant = verdict(error)
    if meant is None:
        meant = _TEMPORARY if answer.status >= 500 else Verdict(Permanent, "refused")
    text = f"{answer.host}: {error.name}, {meant.words}{_trace(error)}"
    if meant.kind is Throttled:
        after_s = max(regain_s(answer.headers) or 0, meant.rest_s or 0) or None
        scope = account if meant.closes == ASSET else meant.closes
        return Throttled(text, scope=scope, after_s=after_s, code=error.name)
    if meant.kind is Retryable:
        return unclear(text, repeatable=answer.repeatable, code=error.name)
    return meant.kind(text, code=error.name)


def exchange_refusal(answer: Answer) -> ProviderError:
    """The error to raise for what the token endpoint answered instead of a token."""
    error = error_of(answer.body)
    if error is None or error.is_transient or answer.status >= 500:
        return refusal(answer, APP)
    meant = BY_CODE_OF_EXCHANGE.get(error.code or 0)
    if meant is None:
        return refusal(answer, APP)
    text = f"{answer.host}: {error.name}, {meant.words}{_trace(error)}"
    return meant.kind(text, code=error.name)


def _trace(error: GraphError) -> str:
    """What Meta's support asks for."""
    trace = error.fbtrace_id
    return f" (trace {trace})" if trace and _TRACE.fullmatch(trace) else ""
