"""`/v1/connections/{id}/resync`: has the provider asked now how a connection stands."""

import msgspec
import structlog
from starlette.responses import Response

from contracts.causes import LOOKED_AFTER
from contracts.errors import Conflict, NotFound, Unavailable
from gateway.auth import require_tenant
from gateway.jobs import Jobs
from gateway.operations import CRM_OR_OPERATOR, Call, Nothing, Operation, answer
from gateway.shapes import ById
from gateway.threads import Threads
from storage.connections import Connection, Connections
from storage.database import now_ms
from storage.due import DueRows
from storage.grants import RECONCILE

log = structlog.get_logger()


class ResyncState(msgspec.Struct, frozen=True):
    """A worker looks at it; the connection tells what it found, and the feed what is news."""

    connection: str
    status: str


def order_look(rows: DueRows, connection: Connection) -> None:
    """Have a worker look at it now. Raises `Conflict` for one that was ended."""
    if connection.status not in LOOKED_AFTER:
        raise Conflict(f"it is {connection.status}: nobody looks after it")
    rows.ask(RECONCILE, connection.id, now_ms())


class ResyncCalls:
    """Looking at connections, over HTTP."""

    def __init__(
        self, connections: Connections, rows: DueRows, jobs: Jobs, threads: Threads
    ) -> None:
        self._connections, self._rows = connections, rows
        self._jobs, self._threads = jobs, threads

    async def resync(self, call: Call[Nothing, ById, Nothing]) -> Response:
        """Order it; a worker carries it out."""
        id_ = call.path.id
        found = await self._threads.run(self._connections.get, id_)
        require_tenant(call.key, found.tenant, f"no connection {id_}")
        await self._threads.run(order_look, self._rows, found)
        try:
            await self._threads.run(self._jobs.due)
        except Unavailable as error:  # a worker finds the row by itself
            log.warning("resync.not_nudged", connection=id_, detail=str(error))
        return answer(ResyncState(found.id, found.status), 202)

    def operations(self) -> tuple[Operation, ...]:
        """This part of the table."""
        return (
            Operation(
                name="resyncConnection",
                method="POST",
                path="/v1/connections/{id}/resync",
                roles=CRM_OR_OPERATOR,
                summary="Ask the provider how a connection stands",
                text="A worker asks what its grants allow and what its account delivers, and "
                "mends what it can. That happens daily by itself.",
                path_parts=ById,
                answers={202: ResyncState},
                errors=(NotFound, Conflict),
                endpoint=self.resync,
            ),
        )
