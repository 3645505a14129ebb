"""The bounded threads in which the asynchronous edge calls the synchronous core."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, ParamSpec, TypeVar

from contracts.errors import Unavailable

MOST_QUEUED: Final = 2_000
"""So many calls may be at work or wait for a thread; at a few ms each that is seconds."""

P = ParamSpec("P")
R = TypeVar("R")


class Threads:
    """As many threads as the database pool has connections, so that none waits for the pool."""

    def __init__(self, count: int = 8, most: int = MOST_QUEUED) -> None:
        self._most = most
        self._queued = 0
        self._counting = threading.Lock()
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="core")

    async def run(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call in a thread and wait for what it returns or raises. Raises `Unavailable` when too
        many calls wait already.
        """
        with self._counting:
            if self._queued >= self._most:
                raise Unavailable("too many calls at once")
            self._queued += 1
        called = self._pool.submit(call, *args, **kwargs)
        called.add_done_callback(self._done)
        return await asyncio.wrap_future(called)

    def _done(self, _: object) -> None:
        with self._counting:
            self._queued -= 1

    def close(self) -> None:
        """Let running calls end; queued ones are dropped."""
        self._pool.shutdown(wait=True, cancel_futures=True)
