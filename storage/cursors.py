"""Cursors: a position of the log and that row's random tag, opaque to readers."""

import base64
import binascii
import struct
from typing import Final, NamedTuple

from contracts.errors import InvalidInput

_FORM: Final = struct.Struct(">qq")


class Cursor(NamedTuple):
    """`position` of the last message seen (0: none yet) and the `tag` that its row had."""

    position: int
    tag: int

    def __str__(self) -> str:
        return base64.urlsafe_b64encode(_FORM.pack(*self)).decode().rstrip("=")


BEGINNING: Final = Cursor(0, 0)


def parse_cursor(text: str) -> Cursor:
    """The inverse of `str(cursor)`. Raises `InvalidInput`."""
    try:
        raw = base64.b64decode(text.encode("ascii") + b"==", altchars=b"-_", validate=True)
        cursor = Cursor(*_FORM.unpack(raw))
    except (UnicodeEncodeError, binascii.Error, struct.error):
        raise InvalidInput("cursor: not one of ours") from None
    if cursor.position < 0 or str(cursor) != text:
        raise InvalidInput("cursor: not one of ours")
    return cursor
