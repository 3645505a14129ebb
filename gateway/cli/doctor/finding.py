"""What the doctor says: one line per finding."""

from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

from gateway.cli.parts import Parts

Level = Literal["ok", "warn", "fault"]


class Finding(NamedTuple):
    """One line. `advice` says what to do, where there is something to do."""

    check: str
    level: Level
    detail: str
    advice: str = ""


Check = Callable[[Parts], Iterator[Finding]]


def ok(check: str, detail: str, advice: str = "") -> Finding:
    """As it should be."""
    return Finding(check, "ok", detail, advice)


def warn(check: str, detail: str, advice: str = "") -> Finding:
    """It works, and needs attention."""
    return Finding(check, "warn", detail, advice)


def fault(check: str, detail: str, advice: str = "") -> Finding:
    """It does not work, or loses something sooner or later."""
    return Finding(check, "fault", detail, advice)
