"""Figures: medians beside their yardstick's, with the spread, and whether the target was met."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal, TypeVar

import msgspec

T = TypeVar("T")


class Target(msgspec.Struct, frozen=True):
    """What a figure should reach: its `value`, or its `ratio` to the yardstick."""

    of: Literal["value", "ratio"]
    bound: Literal["at least", "at most"]
    number: float

    def met(self, figure: "Figure") -> bool:
        found = figure.median if self.of == "value" else figure.ratio
        return found is not None and (
            found >= self.number if self.bound == "at least" else found <= self.number
        )

    def __str__(self) -> str:
        sign = "≥" if self.bound == "at least" else "≤"
        return f"{sign} {short(self.number)}{'x' if self.of == 'ratio' else ''}"


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the table: a value a round, and the yardstick's value of the same round."""

    what: str
    unit: str
    values: Sequence[float]
    yardstick: str = ""
    yardstick_values: Sequence[float] = ()
    target: Target | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def ratios(self) -> list[float]:
        """Round by round, because what disturbs a round disturbs both of its measurements."""
        pairs = zip(self.values, self.yardstick_values, strict=True)
        return [value / yardstick for value, yardstick in pairs] if self.yardstick_values else []

    @property
    def ratio(self) -> float | None:
        return statistics.median(self.ratios) if self.yardstick_values else None


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Where and how a row was measured."""

    at: str
    cores: int
    cpu: str
    kernel: str
    python: str
    sqlite: str
    postgresql: Mapping[str, str]
    load_before: float
    """The machine's load average when the row began: above 1 others were at work."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """What one benchmark found."""

    figures: Sequence[Figure]
    notes: Sequence[str] = ()
    machine: Machine | None = None


def at_least(number: float, of: Literal["value", "ratio"] = "value") -> Target:
    return Target(of, "at least", number)


def at_most(number: float, of: Literal["value", "ratio"] = "value") -> Target:
    return Target(of, "at most", number)


Progress = Callable[[str], None]
QUIET: Final[Progress] = lambda text: None  # noqa: E731


def alternate(
    measures: Mapping[str, Callable[[], T]], rounds: int, progress: Progress
) -> dict[str, list[T]]:
    """Run all `measures` in turn, `rounds` times: A B A B …, after one turn that does not count."""
    found: dict[str, list[T]] = {name: [] for name in measures}
    for number in range(rounds + 1):
        for name, measure in measures.items():
            progress(f"{'warming up' if not number else f'round {number}/{rounds}'}: {name}")
            value = measure()
            if number:
                found[name].append(value)
    return found


def short(number: float) -> str:
    """Three digits that matter, thousands apart."""
    if abs(number) >= 1000:
        return f"{round(number, -1 if abs(number) < 10_000 else -2):,.0f}"
    return f"{number:.0f}" if abs(number) >= 100 else f"{number:.3g}"


def spread(numbers: Sequence[float]) -> str:
    return f"{short(min(numbers))}-{short(max(numbers))}"
