"""Reading what providers send in several forms: times in three units, ids as text or number."""

import hashlib
from datetime import UTC, datetime
from typing import Final, TypeVar

from msgspec import UNSET, UnsetType

_EARLIEST_MS: Final = 946_684_800_000  # 2000-01-01
_LATEST_MS: Final = 4_102_444_800_000  # 2100-01-01
_MS_ABOVE: Final = 100_000_000_000  # as seconds that is the year 5138, as milliseconds 1973

Id = str | int
Number = int | float | str

T = TypeVar("T")


class Misshapen(ValueError):
    """A value that cannot be what its place says; the text names the place and holds no content."""


def milliseconds(value: Number, place: str = "timestamp") -> int:
    """Milliseconds since 1970 of a time in milliseconds or seconds, number or text.

    Above 1e11 it is milliseconds. Raises `Misshapen` outside of the years 2000 to 2099.
    """
    try:
        number = int(value)
    except (ValueError, OverflowError):
        raise Misshapen(f"{place} is not a number") from None
    ms = number if number > _MS_ABOVE else number * 1000
    if not _EARLIEST_MS <= ms < _LATEST_MS:
        raise Misshapen(f"{place} is outside of the years 2000 to 2099")
    return ms


def moment(ms: int) -> datetime:
    """Aware UTC of milliseconds since 1970."""
    return datetime.fromtimestamp(ms / 1000, UTC)


def given(value: T | None) -> T | UnsetType:
    """`value`, or unset where the provider says null or nothing."""
    return UNSET if value is None else value


def text_of(identifier: Id | None) -> str | UnsetType:
    """An id as text, or unset."""
    return UNSET if identifier is None else str(identifier)


def named(identifier: Id, place: str) -> str:
    """An id as text that something must have. Raises `Misshapen` when it is empty."""
    if identifier == "":
        raise Misshapen(f"{place} is empty")
    return str(identifier)


def whole_number(value: Id, place: str) -> int:
    """A count given as number or text. Raises `Misshapen`."""
    try:
        return int(value)
    except ValueError:
        raise Misshapen(f"{place} is not a number") from None


def digest(raw: bytes) -> str:
    """A short stable name of `raw`: 32 hex digits of its SHA-256."""
    return hashlib.sha256(raw).hexdigest()[:32]


def attachment_id(account: str, message_id: str, index: int) -> str:
    """`att_…`, the same each time the same message is normalised for the same account."""
    return f"att_{digest(f'{account} {message_id} {index}'.encode())}"
