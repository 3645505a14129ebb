"""What can be made to go wrong, and for how many of the next deliveries."""

from typing import Literal, get_args

from sandbox.fields import BadField, Fields

Armed = Literal["double", "reorder", "gather", "forge", "unsigned", "drop"]

ARMED: tuple[Armed, ...] = get_args(Armed)
MOST = 1_000


class Misbehaviour:
    """Counts of the next deliveries that will be doubled, held, forged, left unsigned, dropped."""

    def __init__(self) -> None:
        self._left: dict[Armed, int] = dict.fromkeys(ARMED, 0)

    def arm(self, kind: Armed, count: int) -> None:
        """Let the next `count` deliveries misbehave so."""
        self._left[kind] = count

    def take(self, kind: Armed) -> bool:
        """Return whether this delivery misbehaves so, and count it."""
        if self._left[kind] == 0:
            return False
        self._left[kind] -= 1
        return True

    def left(self, kind: Armed) -> int:
        """Return how many deliveries are still to misbehave so."""
        return self._left[kind]

    def clear(self) -> None:
        """Behave again."""
        self._left = dict.fromkeys(ARMED, 0)

    def document(self) -> dict[Armed, int]:
        """Return what is armed."""
        return dict(self._left)


def count_of(fields: Fields, default: int = 1) -> int:
    """Return the request's `count`, from 1 to `MOST`."""
    return fields.integer("count", default, least=1, most=MOST)


def armed_kind(kind: str) -> Armed:
    """Return the kind as a name that can be armed; raise BadField if it is none."""
    for name in ARMED:
        if name == kind:
            return name
    raise BadField(f"kind must be one of repeat, rebatch, release, clear, {', '.join(ARMED)}")
