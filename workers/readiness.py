"""A worker begins with keys that open the key store, or not at all."""

import time
from collections.abc import Callable
from typing import Final

import structlog

from contracts.errors import Tampered, Unavailable, UnknownKey

log = structlog.get_logger()

FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 5.0
_MISFIT: Final = "the key of GATEWAY_KEK_URI does not open the key store of GATEWAY_KEYSTORE_URL"


def wait_for_keys(check: Callable[[], None], sleep: Callable[[float], None] = time.sleep) -> None:
    """Return once `check` passes; while it raises `Unavailable`, say so and look again.

    Whatever else it raises ends the worker: with keys of another key store it would only do harm.
    Raises `UnknownKey | Tampered | Misconfigured`.
    """
    pause = FIRST_PAUSE_S
    while True:
        try:
            check()
        except Unavailable as error:
            log.warning("worker.waits_for_keys", reason=error.reason, detail=str(error))
            sleep(pause)
            pause = min(LONGEST_PAUSE_S, pause * 2)
        except (Tampered, UnknownKey) as error:
            raise type(error)(f"{_MISFIT}: {error}") from None
        else:
            return
