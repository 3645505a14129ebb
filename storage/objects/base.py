"""What every object store does."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol


class Found(NamedTuple):
    """An object that is there, and when it was written (Unix milliseconds)."""

    name: str
    at_ms: int


class ObjectStore(Protocol):
    """Keeps bytes by name: `[A-Za-z0-9_]+`, at least eight. Safe to share between threads.

    Methods raise `ObjectsUnavailable` when the store is away.
    """

    def put(self, name: str, pieces: Iterable[bytes]) -> None:
        """Write an object whole, durably, over one of its name. What `pieces` raises ends it, and
        nothing is there then that was not before.
        """

    def read(self, name: str, start: int, length: int) -> Iterator[bytes]:
        """Bytes from `start` on; fewer where it ends before. Raises `NotFound`, at once."""

    def delete(self, name: str) -> None:
        """Gone for good; one that is not there is a success."""

    def names(self, beginning: str) -> Iterator[Found]:
        """All whose names begin so, and drafts of such, in no order; what comes or goes meanwhile
        may be among it.
        """
