"""Reading a delivery's body: how large it may be, alone and together with all others."""

from collections.abc import Mapping
from typing import Any, Final

from starlette.types import Receive

BODY_CAP: Final = 4 << 20
DRAIN_CAP: Final = 16 << 20
"""How much of a body beyond the cap is read and thrown away, so that its sender gets the answer."""
BODIES_CAP: Final = 64 << 20
"""Bytes that all bodies may have together while they come: nobody has signed them yet."""


class Disconnected(Exception):
    """The sender left before its body was complete."""


class TooLarge(Exception):
    """The body is beyond the cap."""


class TooMany(Exception):
    """The bodies that come at the moment are beyond what may be held."""


class Bodies:
    """The bytes of all bodies that have come and are not verified yet."""

    def __init__(self, most: int = BODIES_CAP) -> None:
        self.most, self.held = most, 0


class Body:
    """One body, put together from its pieces: the first is kept as it came, mostly it is all."""

    __slots__ = ("_bodies", "_pieces", "size")

    def __init__(self, bodies: Bodies) -> None:
        self._bodies, self._pieces, self.size = bodies, b"", 0

    _pieces: bytes | bytearray

    def add(self, piece: bytes) -> bool:
        """One piece more; False when all bodies together are too many."""
        if not self.size:
            self._pieces = piece
        elif isinstance(self._pieces, bytearray):
            self._pieces += piece
        else:
            self._pieces = bytearray(self._pieces)
            self._pieces += piece
        bodies, size = self._bodies, len(piece)
        self.size += size
        bodies.held += size
        return bodies.held <= bodies.most

    def whole(self) -> bytes:
        """All of it."""
        return bytes(self._pieces)

    def drop(self) -> None:
        """It is not needed any more."""
        self._bodies.held -= self.size
        self._pieces, self.size = b"", 0


async def read(body: Body, headers: Mapping[bytes, bytes], receive: Receive) -> None:
    """Read the whole body. Raises `TooLarge`, `TooMany` and `Disconnected`."""
    if declared_size(headers.get(b"content-length", b"")) > BODY_CAP:
        if b"expect" not in headers:
            await _discard(receive)
        raise TooLarge
    more = True
    while more:
        message = await _next(receive)
        if not body.add(message.get("body", b"")):
            raise TooMany
        more = message.get("more_body", False)
        if body.size > BODY_CAP:
            body.drop()
            if more:
                await _discard(receive)
            raise TooLarge


def declared_size(content_length: bytes) -> int:
    """The bytes that a body is said to have; 0 when nothing is said."""
    return int(content_length) if content_length.isdigit() and len(content_length) < 20 else 0


async def _discard(receive: Receive) -> None:
    """Read what still comes, up to `DRAIN_CAP` bytes, and keep none of it."""
    size, more = 0, True
    while more and size < DRAIN_CAP:
        message = await _next(receive)
        size += len(message.get("body", b""))
        more = message.get("more_body", False)


async def _next(receive: Receive) -> Any:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise Disconnected
    return message
