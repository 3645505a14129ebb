"""Message ids: the event's day and the keyed hash of its scope and key: stable over replays."""

import base64
import binascii
from typing import Final

from contracts.errors import InvalidInput

PREFIX: Final = "msg_"
_DAY_BYTES: Final = 3
_HASH_BYTES: Final = 16
_MOST: Final = (1 << (8 * _DAY_BYTES - 1)) - 1


def seal_id(day: int, digest: bytes) -> bytes:
    """What a message's content is sealed for: its id's 19 bytes.

    `day` counts from 1970-01-01, may be negative and is below 2^23 either way; `digest` has 16
    bytes. Raises `ValueError` otherwise.
    """
    if len(digest) != _HASH_BYTES or not -_MOST <= day <= _MOST:
        raise ValueError("a message id is made of a day and 16 bytes")
    return day.to_bytes(_DAY_BYTES, "big", signed=True) + digest


def pack(day: int, digest: bytes) -> str:
    """`msg_` and 26 characters of base64url. Raises `ValueError` as `seal_id` does."""
    return PREFIX + base64.urlsafe_b64encode(seal_id(day, digest)).decode().rstrip("=")


def parse(text: str) -> tuple[int, bytes]:
    """The inverse of `pack`: day and hash. Raises `InvalidInput`."""
    try:
        packed = text.removeprefix(PREFIX).encode("ascii")
        raw = base64.b64decode(packed + b"==", altchars=b"-_", validate=True)
        day = int.from_bytes(raw[:_DAY_BYTES], "big", signed=True)
        if pack(day, raw[_DAY_BYTES:]) == text:
            return day, raw[_DAY_BYTES:]
    except (UnicodeEncodeError, binascii.Error, ValueError):
        pass  # said below, without the text: it may be anything
    raise InvalidInput("id: not a message id")
