"""How long the call of this thread may still take, for whatever waits on its behalf."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

_until: Final[ContextVar[float | None]] = ContextVar("call_until", default=None)


@contextmanager
def until(moment: float) -> Iterator[None]:
    """What runs within ends by `moment`, of the monotonic clock."""
    token = _until.set(moment)
    try:
        yield
    finally:
        _until.reset(token)


def bounded(timeout_s: float | None) -> float | None:
    """`timeout_s`, or what is left of the call if that is less; zero when nothing is."""
    moment = _until.get()
    if moment is None:
        return timeout_s
    left = max(0.0, moment - time.monotonic())
    return left if timeout_s is None else min(timeout_s, left)
