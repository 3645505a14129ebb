"""Response bodies: counted while they come, unpacked by us, so that none grows without end."""

import zlib
from collections.abc import Iterable, Iterator
from typing import Final

ACCEPT_ENCODING: Final = "gzip"
"""What we ask for, and all that we unpack."""

_GZIP: Final = 16 + zlib.MAX_WBITS
_PIECE: Final = 65_536


class BodyTooLarge(Exception):
    """More bytes than allowed, as they come or unpacked."""


class BadEncoding(Exception):
    """The body is not what its Content-Encoding says, or that is none we asked for."""


def capped(chunks: Iterable[bytes], most: int) -> Iterator[bytes]:
    """`chunks`, until they are more than `most` bytes. Raises `BodyTooLarge`."""
    count = 0
    for chunk in chunks:
        count += len(chunk)
        if count > most:
            raise BodyTooLarge
        yield chunk


def decoded(chunks: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """`chunks` without their Content-Encoding, 64 KiB at a time. Raises `BadEncoding`."""
    if encoding in ("", "identity"):
        return iter(chunks)
    if encoding in ("gzip", "x-gzip"):
        return _gunzipped(chunks)
    raise BadEncoding


def _gunzipped(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Several members in a row are one text (RFC 1952, 2.2)."""
    member = zlib.decompressobj(_GZIP)
    begun = False
    try:
        for chunk in chunks:
            rest = chunk
            while rest:
                if member.eof:
                    member = zlib.decompressobj(_GZIP)
                begun = True
                yield member.decompress(rest, _PIECE)
                rest = member.unused_data if member.eof else member.unconsumed_tail
        while begun and not member.eof and (piece := member.decompress(b"", _PIECE)):
            yield piece
    except zlib.error:
        raise BadEncoding from None
    if begun and not member.eof:
        raise BadEncoding
