"""Media on their way into the object store: counted, hashed and looked at while they pass."""

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from contracts.errors import TooLarge
from contracts.media_types import HEAD_BYTES

KEEP_S: Final = 15.0
"""Whoever holds the work says so again after so long."""


class Intake:
    """Passes pieces on, and knows afterwards how many bytes they were, their first ones and their
    SHA-256.
    """

    def __init__(self, most: int, keep: Callable[[], None] = lambda: None) -> None:
        """`most`: bytes. `keep` is called now and then, and after the last piece; what it raises
        ends the intake.
        """
        self._most, self._keep = most, keep
        self._hash = hashlib.sha256()
        self.size, self.head = 0, b""

    def pieces(self, given: Iterable[bytes]) -> Iterator[bytes]:
        """Raises `TooLarge`."""
        kept = time.monotonic()
        for piece in given:
            self.size += len(piece)
            if self.size > self._most:
                raise TooLarge(f"more than {self._most >> 20} MiB")
            self.head = (self.head + piece[:HEAD_BYTES])[:HEAD_BYTES]
            self._hash.update(piece)
            if time.monotonic() - kept > KEEP_S:
                self._keep()
                kept = time.monotonic()
            yield piece
        self._keep()

    @property
    def sha256(self) -> str:
        """Lowercase hex."""
        return self._hash.hexdigest()
