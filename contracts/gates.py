"""Gates: before calls that would be refused, and make it worse, since a rate limit is used up."""

from typing import NamedTuple, Protocol


class Gate(NamedTuple):
    """What a limit is on: `asset` is an account's id at `provider` (`facebook` …); without one it
    is our app with all its tenants, and `provider` whose host is called (`meta` …).
    """

    provider: str
    asset: str = ""


class Keeper(Protocol):
    """Knows which gates are closed, of this process and of all others. Raises nothing."""

    def closed_s(self, gate: Gate) -> float:
        """For how many seconds more it is closed; 0: it is open."""

    def close(self, gate: Gate, after_s: float | None, why: str) -> None:
        """Close it for so long, or where nobody says how long, for longer each time. `why` is a
        word of ours: `refused`, or `usage` when that is nearly used up.
        """


class NoKeeper:
    """All gates are open, and stay so."""

    def closed_s(self, gate: Gate) -> float:
        """Nothing."""
        return 0.0

    def close(self, gate: Gate, after_s: float | None, why: str) -> None:
        """Nothing."""
