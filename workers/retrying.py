"""When what failed is tried again: policies by class of error, never by a provider's status."""

from typing import Final

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_delay,
    wait_random_exponential,
)
from tenacity.wait import wait_base

from contracts.errors import (
    Conflict,
    GatewayError,
    Misconfigured,
    Overtaken,
    Paused,
    Retryable,
    Unavailable,
)
from storage.outbox import Forestalled

LONGEST_AFTER_S: Final = 86_400.0
"""However long a provider asks us to wait, we look again after a day."""

# Full jitter: a random time up to a bound that doubles, so that what failed together comes apart
# (M. Brooker, "Exponential Backoff and Jitter").
_PAUSES: Final[tuple[tuple[type[Exception], wait_base], ...]] = (
    (Unavailable, wait_random_exponential(multiplier=4, min=2, max=60)),
    (Overtaken, wait_random_exponential(multiplier=4, min=2, max=60)),
    (Forestalled, wait_random_exponential(multiplier=1, min=1, max=10)),
    (Paused, wait_random_exponential(multiplier=40, min=10, max=300)),
    (Misconfigured, wait_random_exponential(multiplier=40, min=10, max=300)),
    (Retryable, wait_random_exponential(multiplier=20, min=5, max=900)),
    (Exception, wait_random_exponential(multiplier=240, min=60, max=3600)),
)


def pause_s(error: Exception, attempt: int) -> float:
    """Seconds until the next attempt, when `attempt` (from 1) failed with `error`.

    Parts of our own come back soon, providers later. A setting that is missing or wrong is looked
    at again within five minutes: that costs no call to a provider, and whoever mended it waits for
    all to go on. What a provider refuses for good is tried once an hour in the end. What a provider
    asks for (up to a day) comes on top, so that those who were told the same come apart too.
    """
    state = RetryCallState(Retrying(), None, (), {})
    state.attempt_number = attempt
    pause = next(wait for kind, wait in _PAUSES if isinstance(error, kind))(state)
    asked = error.after_s if isinstance(error, Retryable) else None
    return pause + min(asked or 0.0, LONGEST_AFTER_S)


def told(error: Exception) -> str:
    """The error in a few words: texts of expected errors alone, since others may hold content."""
    if isinstance(error, GatewayError):
        return f"{error.reason}: {error}"
    return f"unexpected: {type(error).__name__}"


def until_stored(seconds: float) -> Retrying:
    """For a commit of what cannot be asked for twice: again and again for `seconds`, while the
    store is away or what was planned is outdated. A KMS that refuses us (`Misconfigured`) may be
    mended meanwhile.
    """
    return Retrying(
        retry=retry_if_exception_type((Unavailable, Conflict, Misconfigured)),
        wait=wait_random_exponential(multiplier=0.2, min=0.05, max=2),
        stop=stop_after_delay(seconds),
        reraise=True,
    )
