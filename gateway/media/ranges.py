"""`Range` with one part (RFC 9110, 14): what of an object is asked for."""

import re
from typing import Final, NamedTuple

_ONE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


class Part(NamedTuple):
    """`length` bytes from `first` on. `whole`: nothing else is left."""

    first: int
    length: int
    whole: bool = False


def part_of(header: str | None, size: int) -> Part | None:
    """What `header` asks of `size` bytes; None when it cannot be had (416). One that asks for
    several parts, or is not understood, asks for all.
    """
    asked = _ONE.fullmatch(header or "")
    if asked is None or asked[0] == "bytes=-":
        return Part(0, size, whole=True)
    first, last = asked.groups()
    if not first:
        count = min(int(last), size)
        return Part(size - count, count) if count else None
    if last and int(last) < int(first):
        return Part(0, size, whole=True)
    if int(first) >= size:
        return None
    end = min(int(last) + 1, size) if last else size
    return Part(int(first), end - int(first))
