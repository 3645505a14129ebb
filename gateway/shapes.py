"""Types that several operations share."""

from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from contracts.content import TYPES
from contracts.errors import InvalidInput
from contracts.messages import PREFIX, timestamp

Limit = Annotated[int, Meta(ge=1, le=1000, description="At most so many.")]
WaitS = Annotated[
    float, Meta(ge=0, le=30, description="Seconds to wait for a message when there is none.")
]
CursorText = Annotated[
    str, Meta(max_length=64, description="A cursor as it was given; empty: from the beginning.")
]
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$(?!\n)", max_length=100)]
Tenant = Annotated[str, Meta(min_length=1, max_length=200, description="A tenant's name.")]
Text = Annotated[str, Meta(min_length=1, max_length=200)]
ProviderName = Annotated[Text, Meta(description="A provider's name, e.g. `facebook`.")]
ConnectionId = Annotated[Text, Meta(description="A connection's id, `con_…`.")]
LastId = Annotated[Text, Meta(description="The last id of the page before.")]
Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
Types = Annotated[
    list[Text],
    Meta(max_length=100, description="Message types, with or without `cleverbox.`; repeatable."),
]


class ById(msgspec.Struct, frozen=True):
    """A path that names one thing."""

    id: Text


def time_of(unix_ms: int) -> Time:
    """RFC 3339, UTC, milliseconds."""
    seconds, ms = divmod(unix_ms, 1000)
    return timestamp(datetime.fromtimestamp(seconds, UTC).replace(microsecond=ms * 1000))


_KNOWN: Final = frozenset(TYPES)


def short_types(types: list[str]) -> tuple[str, ...]:
    """Types without their prefix, sorted. Raises `InvalidInput` for one that does not exist."""
    short = {name.removeprefix(PREFIX) for name in types}
    if unknown := sorted(short - _KNOWN):
        shown = unknown[0].encode("ascii", "backslashreplace").decode()
        raise InvalidInput(f"type: there is no {shown}")
    return tuple(sorted(short))
