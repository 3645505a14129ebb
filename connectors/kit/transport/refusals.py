"""From what came back, or did not, to our errors; the one place that reads HTTP status codes."""

import math
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Final

import msgspec

from contracts.errors import OutcomeUnknown, Permanent, ProviderError, Retryable, Throttled

IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
"""Methods that may be sent twice (RFC 9110, 9.2.2)."""

LONGEST_AFTER_S: Final = 86_400.0
"""No provider puts us off for longer than a day at a time, whatever it says."""


class Answer(msgspec.Struct, frozen=True):
    """A response that has been read, without its URL. `headers`: names in lower case.

    `repeatable`: the call may be made again without doing anything twice.
    """

    host: str
    status: int
    headers: Mapping[str, str]
    body: bytes
    repeatable: bool


def by_status(answer: Answer, scope: str = "app") -> ProviderError:
    """The error for a response that says no more than its status. `scope`: of a `Throttled`.

    A bare 401 does not end a grant: it may come from anything on the way.
    """
    text = f"{answer.host} answered {answer.status}"
    after_s = retry_after_s(answer.headers)
    if answer.status == 429:
        return Throttled(text, scope=scope, after_s=after_s)
    if answer.status >= 500 or answer.status == 408:
        return unclear(text, repeatable=answer.repeatable, after_s=after_s)
    return Permanent(text)


def unclear(
    text: str,
    *,
    repeatable: bool,
    after_s: float | None = None,
    code: str | None = None,
) -> ProviderError:
    """A call that failed after it was sent: again, or, if it may have taken effect, not blindly."""
    if repeatable:
        return Retryable(text, after_s=after_s, code=code)
    return OutcomeUnknown(text, code=code)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds of Retry-After, given in seconds or as a date (RFC 9110, 10.2.3); None without one.

    A date is compared with the answer's own `Date`, since our clock may differ.
    """
    text = headers.get("retry-after", "").strip()
    if not text:
        return None
    if text.isdecimal() and text.isascii():
        return min(float(text), LONGEST_AFTER_S)
    until, now = _timestamp(text), _timestamp(headers.get("date", ""))
    if until is None:
        return None
    return min(max(0.0, until - (now or time.time())), LONGEST_AFTER_S)


def _timestamp(text: str) -> float | None:
    try:
        stamp = parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return stamp if math.isfinite(stamp) else None
