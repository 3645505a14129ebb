"""Sealing of objects too large for memory: chunk by chunk, each under the object's own key.

Every chunk is bound to its object, its number and to whether it is the last: chunks that are
swapped, left out, cut off at the end or taken from another object do not open. (The construction
is STREAM's: Hoang, Reyhanitabar, Rogaway, Vizár, "Online Authenticated-Encryption and its
Nonce-Reuse Misuse-Resistance". Tink's own streaming AEAD cannot begin in the middle in Python.)
"""

import base64
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import tink

from contracts.errors import Tampered
from contracts.tokens import Secret
from token_vault import keysets
from token_vault.encoding import encode

CHUNK: Final = 65_536
"""Bytes in clear of every chunk but the last, which has 0 to so many."""
_OVERHEAD: Final = keysets.PREFIX_BYTES + 12 + 16
"""Tink's prefix, the nonce and the tag of AES-256-GCM."""
_SEALED: Final = CHUNK + _OVERHEAD


class Span(NamedTuple):
    """Which sealed bytes hold a part of an object: from `start` on, `length` of them."""

    start: int
    length: int


def new_object_key() -> Secret:
    """A fresh key for one object, as text: to be sealed with what else is known of it."""
    return Secret(base64.b64encode(keysets.clear(keysets.new_aead())).decode())


class ObjectKey:
    """An object's own key in use. The key bounds nothing in time: who destroys the tenant's keys,
    under which it is stored, has destroyed the object.
    """

    def __init__(self, key: Secret, tenant: str, id: str) -> None:  # noqa: A002
        """`id` is the object's, minted before it is sealed. Raises `Tampered` for no key."""
        self._aead = keysets.bare_aead(keysets.from_clear(base64.b64decode(key.reveal())))
        self._bound = encode("object", tenant, id)

    def seal(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """`pieces` of any sizes, sealed; two chunks are in memory at most."""
        held, number = bytearray(), 0
        for piece in pieces:
            held += piece
            while len(held) > CHUNK:
                yield self._sealed(bytes(held[:CHUNK]), number, last=False)
                del held[:CHUNK]
                number += 1
        yield self._sealed(bytes(held), number, last=True)

    def open(self, sealed: Iterable[bytes], size: int, first: int, count: int) -> Iterator[bytes]:
        """`count` bytes from `first` on of an object of `size` bytes; `sealed` is what `span` says.
        Raises `Tampered`, also when something is missing.
        """
        number, last = first // CHUNK, _last(size)
        skip, left = first % CHUNK, count
        for chunk in _chunks(sealed):
            plain = self._opened(chunk, number, last=number == last)[skip : skip + left]
            yield plain
            skip, left, number = 0, left - len(plain), number + 1
        if left:
            raise Tampered("a sealed object is shorter than it was")

    def _sealed(self, plain: bytes, number: int, *, last: bool) -> bytes:
        return self._aead.encrypt(plain, self._place(number, last))

    def _opened(self, chunk: bytes, number: int, *, last: bool) -> bytes:
        try:
            return self._aead.decrypt(chunk, self._place(number, last))
        except tink.TinkError:
            raise Tampered("a sealed object was changed, or is another one") from None

    def _place(self, number: int, last: bool) -> bytes:
        return self._bound + number.to_bytes(8, "big") + (b"\1" if last else b"\0")


def span(size: int, first: int, count: int) -> Span:
    """Where `count` bytes from `first` on stand, of an object of `size` bytes."""
    begin, end = first // CHUNK, min((first + max(count, 1) - 1) // CHUNK, _last(size))
    ends = _sealed_size(size) if end == _last(size) else (end + 1) * _SEALED
    return Span(begin * _SEALED, ends - begin * _SEALED)


def _last(size: int) -> int:
    """The number of the last chunk; an object that is whole chunks has none that is empty."""
    return max(0, size - 1) // CHUNK


def _sealed_size(size: int) -> int:
    return size + (_last(size) + 1) * _OVERHEAD


def _chunks(sealed: Iterable[bytes]) -> Iterator[bytes]:
    held = bytearray()
    for piece in sealed:
        held += piece
        while len(held) >= _SEALED:
            yield bytes(held[:_SEALED])
            del held[:_SEALED]
    if held:
        yield bytes(held)
