"""`/healthz`, `/readyz`, `/metrics`: for load balancers, orchestrators and Prometheus."""

import asyncio
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


class Alive(msgspec.Struct, frozen=True):
    """The process answers."""

    status: str = "ok"


class Readiness(msgspec.Struct, frozen=True):
    """Which part is there: `ok`, or the reason why not."""

    ready: bool
    parts: dict[str, str]


class Health:
    """Answers without a key; says nothing of content."""

    def __init__(
        self, checks: Mapping[str, Callable[[], bool]], threads: Threads, metrics: Metrics
    ) -> None:
        """`checks`: part → blocks, and is true when the part is fit; may raise `GatewayError`."""
        self._checks = checks
        self._threads = threads
        self._metrics = metrics

    async def live(self, _: Call[Nothing, Nothing, Nothing]) -> Response:
        """That the process answers, and nothing else."""
        return answer(Alive())

    async def ready(self, _: Call[Nothing, Nothing, Nothing]) -> Response:
        """All parts that accepting and pulling need."""
        names = list(self._checks)
        found = dict(zip(names, await asyncio.gather(*map(self._check, names)), strict=True))
        ready = all(state == "ok" for state in found.values())
        return answer(Readiness(ready, found), 200 if ready else 503)

    async def metrics(self, _: Call[Nothing, Nothing, Nothing]) -> Response:
        """Prometheus' text format."""
        body = await self._threads.run(self._metrics.exposition)
        return Response(body, media_type=CONTENT_TYPE_LATEST)

    async def _check(self, name: str) -> str:
        try:
            async with asyncio.timeout(PATIENCE_S):
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
                summary="Database, key store and schema are fit",
                text="503 with the same document while one is not.",
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
