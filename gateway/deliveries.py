"""`/v1/deliveries` and `/v1/replays`: what came in and is no message yet, and running it again."""

import asyncio
from typing import Annotated, Final, Literal

import msgspec
import structlog
from msgspec import Meta
from starlette.responses import Response

from contracts.errors import InvalidInput, NotFound, Unavailable
from gateway.auth import require_all_tenants, require_tenant
from gateway.jobs import Jobs
from gateway.operations import OPERATOR, Call, Nothing, Operation, answer
from gateway.shapes import ById, LastId, Limit, ProviderName, Time, time_of
from gateway.threads import Threads
from storage import deliveries as stored
from storage.api_keys import ApiKey
from storage.replays import Replay, Replays

log = structlog.get_logger()

PATIENCE_S: Final = 2.0
LOOK_S: Final = 0.05

Listed = Annotated[
    Literal["parked", "paused", "unrouted", "waiting"],
    Meta(
        description="parked: its content could not be read. paused: it waits until its connection "
        "is resumed. unrouted: no connection wants it. waiting: not drained yet."
    ),
]


class DeliveryQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which deliveries; `after` is the last id of the page before."""

    status: Listed = "parked"
    provider: ProviderName | None = None
    after: LastId | None = None
    limit: Limit = 100


class Delivery(msgspec.Struct, frozen=True):
    """A stored delivery. `tenant`, `connection`, `reason` and `detail` are said of parked and
    paused ones.
    """

    id: str
    status: Literal["parked", "paused", "unrouted", "waiting", "handled"]
    provider: str
    received_at: Time
    tenant: str | None
    connection: str | None
    reason: str
    detail: str


class DeliveryPage(msgspec.Struct, frozen=True):
    """Oldest first; a full page may have another after it."""

    deliveries: list[Delivery]
    has_more: bool


class ReplayFilter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which deliveries to run again."""

    status: Literal["parked", "unrouted"] = "parked"
    provider: ProviderName | None = None


class ReplayState(msgspec.Struct, frozen=True):
    """A replay: `added` messages are new, `duplicate` ones were there, `parked` failed again."""

    id: str
    state: Literal["queued", "done", "failed"]
    items: int
    added: int
    duplicate: int
    parked: int
    detail: str
    requested_at: Time
    finished_at: Time | None


class DeliveryCalls:
    """What operators see of deliveries. A tenant's key sees what is parked for its tenant."""

    def __init__(
        self, deliveries: stored.Deliveries, replays: Replays, jobs: Jobs, threads: Threads
    ) -> None:
        self._deliveries = deliveries
        self._replays = replays
        self._jobs = jobs
        self._threads = threads

    async def listed(self, call: Call[DeliveryQuery, Nothing, Nothing]) -> Response:
        """One page of a status."""
        query = call.query
        if query.status not in ("parked", "paused"):
            require_all_tenants(call.key)
        try:
            found = await self._threads.run(
                self._deliveries.list,
                query.status,
                provider=query.provider,
                after=query.after,
                limit=query.limit,
                tenant=call.key.tenant,
            )
        except NotFound:
            raise InvalidInput("query: after is not the id of a delivery") from None
        return answer(DeliveryPage([*map(_shown, found)], len(found) == query.limit))

    async def get(self, call: Call[Nothing, ById, Nothing]) -> Response:
        """One delivery."""
        return answer(_shown(await self._find(call.key, call.path.id)))

    async def replay(self, call: Call[Nothing, ById, Nothing]) -> Response:
        """Run one delivery again."""
        await self._find(call.key, call.path.id)
        order = await self._threads.run(self._replays.order, delivery=call.path.id)
        return await self._ordered(order)

    async def replay_many(self, call: Call[Nothing, Nothing, ReplayFilter]) -> Response:
        """Run all deliveries of a filter again."""
        require_all_tenants(call.key)
        body = call.body
        order = await self._threads.run(
            self._replays.order, status=body.status, provider=body.provider
        )
        return await self._ordered(order)

    async def replay_state(self, call: Call[Nothing, ById, Nothing]) -> Response:
        """How far a replay is."""
        missing = f"no replay {call.path.id}"
        replay = await self._threads.run(self._replays.get, call.path.id)
        if call.key.tenant is not None:
            if replay.delivery is None:
                raise NotFound(missing)
            await self._find(call.key, replay.delivery)
        return answer(_state(replay))

    async def _find(self, key: ApiKey, delivery: str) -> stored.Delivery:
        found = await self._threads.run(self._deliveries.get, delivery)
        require_tenant(key, found.tenant or "", f"no delivery {delivery}")
        return found

    async def _ordered(self, order: Replay) -> Response:
        """200 with the outcome when a worker is quick, else 202: ordered, whatever happens."""
        try:
            await self._threads.run(self._jobs.replay, order.id)
        except Unavailable as error:
            log.warning("replay.not_nudged", replay=order.id, detail=str(error))
        deadline = asyncio.get_running_loop().time() + PATIENCE_S
        while order.state == "queued" and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(LOOK_S)
            order = await self._threads.run(self._replays.get, order.id)
        return answer(_state(order), 202 if order.state == "queued" else 200)

    def operations(self) -> tuple[Operation, ...]:
        """This part of the table."""
        ordered = {200: ReplayState, 202: ReplayState}
        waits = "200 says what came of it; 202 that a worker has yet to do it."
        return (
            Operation(
                name="listDeliveries",
                method="GET",
                path="/v1/deliveries",
                roles=OPERATOR,
                summary="Deliveries that are not messages yet",
                query=DeliveryQuery,
                example="/v1/deliveries?status=unrouted&provider=facebook",
                answers={200: DeliveryPage},
                endpoint=self.listed,
            ),
            Operation(
                name="getDelivery",
                method="GET",
                path="/v1/deliveries/{id}",
                roles=OPERATOR,
                summary="One delivery",
                path_parts=ById,
                answers={200: Delivery},
                errors=(NotFound,),
                endpoint=self.get,
            ),
            Operation(
                name="replayDelivery",
                method="POST",
                path="/v1/deliveries/{id}/replay",
                roles=OPERATOR,
                summary="Run one delivery again",
                text=f"What was logged before adds nothing. {waits}",
                path_parts=ById,
                answers=ordered,
                errors=(NotFound,),
                endpoint=self.replay,
            ),
            Operation(
                name="replayDeliveries",
                method="POST",
                path="/v1/replays",
                roles=OPERATOR,
                summary="Run many deliveries again",
                text=waits,
                body=ReplayFilter,
                example_body='{"status":"parked","provider":"facebook"}',
                answers=ordered,
                endpoint=self.replay_many,
            ),
            Operation(
                name="getReplay",
                method="GET",
                path="/v1/replays/{id}",
                roles=OPERATOR,
                summary="How far a replay is",
                path_parts=ById,
                answers={200: ReplayState},
                errors=(NotFound,),
                endpoint=self.replay_state,
            ),
        )


def _shown(delivery: stored.Delivery) -> Delivery:
    return Delivery(
        delivery.id,
        delivery.status,
        delivery.provider,
        time_of(delivery.received_at_ms),
        delivery.tenant,
        delivery.connection,
        delivery.reason,
        delivery.detail,
    )


def _state(replay: Replay) -> ReplayState:
    return ReplayState(
        replay.id,
        replay.state,
        replay.items,
        replay.added,
        replay.duplicate,
        replay.parked,
        replay.detail,
        time_of(replay.requested_at_ms),
        time_of(replay.finished_at_ms) if replay.finished_at_ms else None,
    )
