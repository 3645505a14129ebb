"""`/v1/connections/{id}/pause` and `/resume`: what comes in waits, and is not lost."""

from typing import Annotated

import msgspec
import structlog
from msgspec import Meta
from starlette.responses import Response

from contracts.errors import Conflict, NotFound, Unavailable
from gateway.auth import require_tenant
from gateway.jobs import Jobs
from gateway.operations import CRM_OR_OPERATOR, Call, Nothing, Operation, answer
from gateway.shapes import ById
from gateway.threads import Threads
from storage.api_keys import ApiKey
from storage.connections import Connections
from storage.pausing import Pauses

log = structlog.get_logger()


class PauseBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why; it stands in the connection and in the feed."""

    reason: Annotated[str, Meta(max_length=200)] = ""


class PauseState(msgspec.Struct, frozen=True):
    """How the connection is now."""

    connection: str
    status: str
    resuming: Annotated[
        bool, Meta(description="What waited is being put into the feed; it is paused until then.")
    ]


class PauseCalls:
    """Pausing and resuming over HTTP."""

    def __init__(
        self, connections: Connections, pauses: Pauses, jobs: Jobs, threads: Threads
    ) -> None:
        self._connections, self._pauses = connections, pauses
        self._jobs, self._threads = jobs, threads

    async def pause(self, call: Call[Nothing, ById, PauseBody]) -> Response:
        """It takes effect at once; a worker tells the feed."""
        await self._check(call.key, call.path.id)
        await self._threads.run(
            self._pauses.order,
            call.path.id,
            reason=call.body.reason,
            by=f"{call.key.role} key {call.key.id}",
        )
        return await self._state(call.path.id)

    async def resume(self, call: Call[Nothing, ById, Nothing]) -> Response:
        """Order it; a worker carries it out."""
        await self._check(call.key, call.path.id)
        await self._threads.run(self._pauses.resume, call.path.id)
        return await self._state(call.path.id)

    async def _check(self, key: ApiKey, id_: str) -> None:
        """Raises `NotFound`, for another tenant's too."""
        found = await self._threads.run(self._connections.get, id_)
        require_tenant(key, found.tenant, f"no connection {id_}")

    async def _state(self, id_: str) -> Response:
        try:
            await self._threads.run(self._jobs.due)
        except Unavailable as error:  # a worker finds the row by itself
            log.warning("pausing.not_nudged", connection=id_, detail=str(error))
        pause = await self._threads.run(self._pauses.of, id_)
        found = await self._threads.run(self._connections.get, id_)
        is_resuming = pause is not None and pause.state == "resuming"
        return answer(PauseState(id_, found.status, is_resuming), 202)

    def operations(self) -> tuple[Operation, ...]:
        """This part of the table."""
        return (
            Operation(
                name="pauseConnection",
                method="POST",
                path="/v1/connections/{id}/pause",
                roles=CRM_OR_OPERATOR,
                summary="Have what comes in for a connection wait",
                text="From now on nothing that comes in for it reaches the feed: it is kept, in "
                "order, until the connection is resumed, or for as long as deduplication keys are; "
                "what is older then is a `connection.gap`. Nothing can be sent through it. "
                "`connection.paused` follows. Media are fetched when "
                "it is resumed: those that the provider has no more by then are lost. "
                "Repeating it changes nothing.",
                path_parts=ById,
                body=PauseBody,
                example_body='{"reason":"the shop moves"}',
                answers={202: PauseState},
                errors=(NotFound, Conflict),
                endpoint=self.pause,
            ),
            Operation(
                name="resumeConnection",
                method="POST",
                path="/v1/connections/{id}/resume",
                roles=CRM_OR_OPERATOR,
                summary="Go on with a paused connection",
                text="A worker puts what waited into the feed, in order and marked `late`; what "
                "comes in meanwhile waits behind it. When nothing is left, `connection.resumed` "
                "follows. Repeating it changes nothing.",
                path_parts=ById,
                answers={202: PauseState},
                errors=(NotFound, Conflict),
                endpoint=self.resume,
            ),
        )
