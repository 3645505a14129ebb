"""What the edge asks of the workers."""

from collections.abc import Sequence
from typing import Protocol


class Jobs(Protocol):
    """Each raises `Unavailable` when the broker is away; a worker then finds it by itself."""

    def nudge(self, lanes: Sequence[int]) -> None:
        """These lanes have something to drain."""

    def replay(self, replay: str) -> None:
        """A replay was ordered."""

    def due(self) -> None:
        """A row just came due."""
