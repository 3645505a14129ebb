"""Usage headers: how much of a rate limit is used up, as Meta says with its answers.

Source: https://developers.facebook.com/docs/graph-api/overview/rate-limiting.
"""

from collections.abc import Iterator, Mapping
from typing import Final, TypeVar

import msgspec

APP: Final = "app"
ASSET: Final = "asset"

T = TypeVar("T")

_MOST_OBJECTS: Final = 32
_BUSINESS: Final = "x-business-use-case-usage"
_PLAIN: Final = {"x-app-usage": APP, "x-page-usage": ASSET}


class Usage(msgspec.Struct, frozen=True):
    """`subject`: `app`, the id of an asset, or `asset` for the one that was called. `percent` of
    what is allowed in a rolling hour, 100 and more when it is over; `regain_s`: how many seconds
    until calls go through again, where the provider estimates it.
    """

    subject: str
    percent: float
    kind: str | None = None
    regain_s: float | None = None


class _Counts(msgspec.Struct):
    call_count: float = 0
    total_time: float = 0
    total_cputime: float = 0
    type: str | None = None
    estimated_time_to_regain_access: float = 0
    """In minutes."""

    def usage(self, subject: str) -> Usage:
        return Usage(
            subject=subject,
            percent=max(self.call_count, self.total_time, self.total_cputime),
            kind=self.type,
            regain_s=self.estimated_time_to_regain_access * 60 or None,
        )


def usages(headers: Mapping[str, str]) -> Iterator[Usage]:
    """What usage headers say; one that cannot be read says nothing, and fails no call."""
    for name, subject in _PLAIN.items():
        if name in headers and (counts := _read(headers[name], _Counts)):
            yield counts.usage(subject)
    if _BUSINESS in headers:
        by_asset = _read(headers[_BUSINESS], dict[str, list[_Counts]]) or {}
        for asset, several in list(by_asset.items())[:_MOST_OBJECTS]:
            yield from (counts.usage(asset) for counts in several)


def regain_s(headers: Mapping[str, str]) -> float | None:
    """The longest estimate, in seconds, after which calls go through again."""
    return max((usage.regain_s or 0 for usage in usages(headers)), default=0) or None


def _read(text: str, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(text, type=kind, strict=False)
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        return None
