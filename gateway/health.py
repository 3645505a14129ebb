"""`/healthz`, `/readyz`, `/metrics`: for load balancers, orchestrators and Prometheus."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Final

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from contracts.errors import GatewayError
from gateway.metrics import Metrics
from gateway.operations import Call, Nothing, Operation, answer
from gateway.threads import Threads

PATIENCE_S: Final = 4.0
TOLD_PATIENCE_S: Final = 0.5
"""What is only told holds the answer up no longer: a probe that waits in vain counts as a no."""
REMEMBERED_S: Final = 1.0
"""How long readiness is told again without a new look: anybody may ask for it."""


class Remembered:
    """A check that is true, asked again only when that is `seconds` old: each look costs money."""

    def __init__(
        self,
        check: Callable[[], object],
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`check` raises `GatewayError` when it is not; that is not remembered."""
        self._check = check
        self._seconds = seconds
        self._clock = clock
        self._good_until = float("-inf")

    def __call__(self) -> bool:
        """Raises what the check raises."""
        if self._clock() >= self._good_until:
            self._check()
            self._good_until = self._clock() + self._seconds
        return True


class Alive(msgspec.Struct, frozen=True):
    """The process answers."""

    status: str = "ok"


class Readiness(msgspec.Struct, frozen=True):
    """Which part is there: `ok`, or the reason why not. `ready` means that deliveries are accepted:
    they are with the key-encryption key away, too.
    """

    ready: bool
    parts: dict[str, str]


class Health:
    """Answers without a key; says nothing of content."""

    def __init__(
        self,
        checks: Mapping[str, Callable[[], bool]],
        told: Mapping[str, Callable[[], bool]],
        threads: Threads,
        metrics: Metrics,
    ) -> None:
        """`checks`: part → blocks, and is true when the part is fit; may raise `GatewayError`.
        `told` are looked at as well, and what they find makes nothing unready.
        """
        self._checks = {**checks, **told}
        self._told = told.keys()
        self._threads = threads
        self._metrics = metrics
        self._look: asyncio.Task[Readiness] | None = None
        self._until = 0.0

    async def live(self, _: Call[Nothing, Nothing, Nothing]) -> Response:
        """That the process answers, and nothing else."""
        return answer(Alive())

    async def ready(self, _: Call[Nothing, Nothing, Nothing]) -> Response:
        """The parts that accepting and pulling need; who asks meanwhile shares one look."""
        now = asyncio.get_running_loop().time()
        if self._look is None or (self._look.done() and now >= self._until):
            self._look = asyncio.create_task(self._looked())
        found = await asyncio.shield(self._look)
        return answer(found, 200 if found.ready else 503)

    async def metrics(self, _: Call[Nothing, Nothing, Nothing]) -> Response:
        """Prometheus' text format."""
        body = await self._threads.run(self._metrics.exposition)
        return Response(body, media_type=CONTENT_TYPE_LATEST)

    async def _looked(self) -> Readiness:
        names = list(self._checks)
        found = dict(zip(names, await asyncio.gather(*map(self._check, names)), strict=True))
        self._until = asyncio.get_running_loop().time() + REMEMBERED_S
        ready = all(found[name] == "ok" for name in found.keys() - self._told)
        return Readiness(ready, found)

    async def _check(self, name: str) -> str:
        try:
            async with asyncio.timeout(TOLD_PATIENCE_S if name in self._told else PATIENCE_S):
                fit = await self._threads.run(self._checks[name])
        except GatewayError as error:
            return error.reason
        except TimeoutError:
            return "too-slow"
        return "ok" if fit else "outdated"

    def operations(self) -> tuple[Operation, ...]:
        """This part of the table."""
        return (
            Operation(
                name="live",
                method="GET",
                path="/healthz",
                roles=frozenset(),
                summary="The process answers",
                answers={200: Alive},
                endpoint=self.live,
            ),
            Operation(
                name="ready",
                method="GET",
                path="/readyz",
                roles=frozenset(),
                summary="Database, schema and key store are fit",
                text="503 with the same document while one is not. A second old at most. While the "
                "key-encryption key is away deliveries are accepted: it is told, and no reason for "
                "503.",
                answers={200: Readiness, 503: Readiness},
                endpoint=self.ready,
            ),
            Operation(
                name="metrics",
                method="GET",
                path="/metrics",
                roles=frozenset(),
                summary="Prometheus metrics",
                answers={200: str},
                endpoint=self.metrics,
            ),
        )
