"""Finds planted markers in bytes, in every form in which they could have leaked."""

import base64
import re
import secrets
import string
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

_MARK: Final = 20
_LONGEST_UNPACKED: Final = 1 << 24
_PACKED: Final = re.compile(rb"\x1f\x8b\x08|\x78[\x01\x5e\x9c\xda]")
"""How gzip (RFC 1952) and zlib (RFC 1950) streams begin."""
_GZIP_OR_ZLIB: Final = 32 + zlib.MAX_WBITS


class Leak(NamedTuple):
    """A marker where it must not be."""

    marker: str
    place: str
    excerpt: str


def mark(prefix: str = "") -> str:
    """What nobody else writes: `prefix` and 20 letters and digits, which URLs, JSON and SQL leave
    as they are.
    """
    letters = string.ascii_letters + string.digits
    return prefix + "".join(secrets.choice(letters) for _ in range(_MARK))


def number() -> str:
    """The same for what consists of digits: 16 of them."""
    return f"7{secrets.randbelow(10**15):015}"


class Finder:
    """Searches for all markers of one test, by name."""

    def __init__(self, markers: Mapping[str, str]) -> None:
        self._exact = {name: tuple(_in_base64(text)) for name, text in markers.items()}
        self._folded: dict[str, tuple[bytes, ...]] = {
            name: (text.lower().encode(), text.encode().hex().encode())
            for name, text in markers.items()
        }

    def find(self, blob: bytes) -> dict[str, bytes]:
        """Markers that are in `blob`, or in what is packed in it, and what stands around them."""
        found: dict[str, bytes] = {}
        for layer in (blob, *_unpacked(blob)):
            folded = layer.lower()
            for name in self._exact:
                found |= _first(name, folded, self._folded[name])
                found |= _first(name, layer, self._exact[name])
        return found

    def leaks(
        self, places: Iterable[tuple[str, bytes]], allowed: Iterable[str] = ()
    ) -> Iterator[Leak]:
        """All markers but `allowed` in the named blobs."""
        allowed = frozenset(allowed)
        for place, blob in places:
            for name, around in self.find(blob).items():
                if name not in allowed:
                    yield Leak(name, place, around.decode(errors="replace"))


def _first(name: str, blob: bytes, needles: Iterable[bytes]) -> dict[str, bytes]:
    for needle in needles:
        at = blob.find(needle)
        if at >= 0:
            return {name: blob[max(0, at - 120) : at + len(needle) + 40]}
    return {}


def _in_base64(text: str) -> Iterator[bytes]:
    """The characters that `text` becomes wherever it begins in what is encoded, in both alphabets:
    without the first and last ones, which depend on its neighbours.
    """
    for offset, start in ((0, 0), (1, 2), (2, 3)):
        raw = bytes(offset) + text.encode()
        whole = len(raw) - len(raw) % 3
        kept = base64.b64encode(raw[:whole])[start:]
        yield kept
        yield kept.translate(bytes.maketrans(b"+/", b"-_"))


def _unpacked(blob: bytes) -> Iterator[bytes]:
    for found in _PACKED.finditer(blob):
        stream = zlib.decompressobj(_GZIP_OR_ZLIB)
        try:
            yield stream.decompress(blob[found.start() :], _LONGEST_UNPACKED)
        except zlib.error:
            continue
