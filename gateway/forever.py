"""Background work of the edge: what goes wrong once is logged, and does not end it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

log = structlog.get_logger()

PAUSE_S: Final = 1.0


async def forever(
    name: str, step: Callable[[], Awaitable[object]], pause_s: float = PAUSE_S
) -> None:
    """Run `step` again and again, `pause_s` seconds after an unexpected error; ends by
    cancellation.
    """
    while True:
        try:
            await step()
        except Exception:
            log.exception("background.failed", work=name)
            await asyncio.sleep(pause_s)
