"""`/v1/consumers`: readers whose position the gateway keeps."""

from typing import Any

import msgspec
from starlette.responses import Response

from contracts.errors import Conflict, CursorExpired, LogRestored, NotFound
from gateway.auth import tenant_of
from gateway.messages import MessagePage
from gateway.operations import CRM, Call, Nothing, Operation, answer, json_bytes
from gateway.reading import Reader
from gateway.shapes import CursorText, Limit, Name, Tenant, Time, Types, WaitS, short_types, time_of
from gateway.threads import Threads
from storage.consumers import Consumer, Consumers
from storage.cursors import BEGINNING, Cursor, parse_cursor
from storage.log import Filter, MessageLog


class ByName(msgspec.Struct, frozen=True):
    """A path that names a consumer."""

    name: Name


class Definition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a consumer reads. `start`: `beginning`, `now` or a cursor; heeded when it is made."""

    start: CursorText = "beginning"
    tenant: Tenant | None = None
    types: Types = []


class ConsumerPull(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to pull from the committed position."""

    limit: Limit = 100
    wait: WaitS = 0


class Commit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Up to where messages are done with; backwards only with `rewind`."""

    cursor: CursorText
    rewind: bool = False


class ConsumerState(msgspec.Struct, frozen=True):
    """A consumer. `lag`: positions behind its own, an upper bound of the messages that wait."""

    name: str
    tenant: str | None
    types: list[str]
    cursor: str
    lag: int
    created_at: Time
    committed_at: Time


class ConsumerCalls:
    """Consumers of the key's tenant, or of all tenants for a key of all."""

    def __init__(
        self, consumers: Consumers, log: MessageLog, reader: Reader, threads: Threads
    ) -> None:
        self._consumers = consumers
        self._log = log
        self._reader = reader
        self._threads = threads

    async def put(self, call: Call[Nothing, ByName, Definition]) -> Response:
        """Make the consumer unless it is there."""
        tenant = tenant_of(call.key, call.body.tenant)
        types = short_types(call.body.types)
        start = await self._threads.run(self._start, call.body.start)
        consumer, new = await self._threads.run(
            self._consumers.put, call.scope, call.path.name, start, tenant, types
        )
        return await self._state(consumer, 201 if new else 200)

    async def get(self, call: Call[Nothing, ByName, Nothing]) -> Response:
        """Position and lag."""
        return await self._state(await self._find(call))

    async def pull(self, call: Call[ConsumerPull, ByName, Nothing]) -> Response:
        """Messages after the committed position."""
        consumer = await self._find(call)
        only = Filter(consumer.tenant, None, tuple(consumer.types))
        query, who, gone = call.query, call.key.id, call.request.is_disconnected
        found = await self._reader.pull(consumer.cursor, query.limit, only, query.wait, who, gone)
        return json_bytes(found.body)

    async def commit(self, call: Call[Nothing, ByName, Commit]) -> Response:
        """Move the position."""
        cursor = parse_cursor(call.body.cursor) if call.body.cursor else BEGINNING
        await self._find(call)
        await self._threads.run(self._log.read, cursor, 1)  # proves that it is one of this log
        consumer = await self._threads.run(
            self._consumers.commit, call.scope, call.path.name, cursor, rewind=call.body.rewind
        )
        return await self._state(consumer)

    def _start(self, start: str) -> Cursor:
        if start == "now":
            return self._log.head()
        if start == "beginning" or not start:
            return BEGINNING
        cursor = parse_cursor(start)
        self._log.read(cursor, 1)
        return cursor

    async def _find(self, call: Call[Any, ByName, Any]) -> Consumer:
        return await self._threads.run(self._consumers.get, call.scope, call.path.name)

    async def _state(self, consumer: Consumer, status: int = 200) -> Response:
        state = ConsumerState(
            consumer.name,
            consumer.tenant,
            list(consumer.types),
            str(consumer.cursor),
            await self._threads.run(self._log.lag, consumer.cursor),
            time_of(consumer.created_at_ms),
            time_of(consumer.committed_at_ms),
        )
        return answer(state, status)

    def operations(self) -> tuple[Operation, ...]:
        """This part of the table."""
        path = "/v1/consumers/{name}"
        followed = (NotFound, LogRestored, CursorExpired)
        return (
            Operation(
                name="putConsumer",
                method="PUT",
                path=path,
                roles=CRM,
                summary="Make a consumer",
                text="The one that is there is returned; it must have the same tenant and types.",
                path_parts=ByName,
                body=Definition,
                example="/v1/consumers/crm",
                example_body='{"start":"beginning","types":["message.received"]}',
                answers={200: ConsumerState, 201: ConsumerState},
                errors=(Conflict, LogRestored, CursorExpired),
                endpoint=self.put,
            ),
            Operation(
                name="getConsumer",
                method="GET",
                path=path,
                roles=CRM,
                summary="A consumer's position and lag",
                path_parts=ByName,
                answers={200: ConsumerState},
                errors=(NotFound,),
                endpoint=self.get,
            ),
            Operation(
                name="pullConsumer",
                method="GET",
                path=f"{path}/messages",
                roles=CRM,
                summary="Pull messages after the committed position",
                text="Pulling does not move the position: commit `next` when the messages are "
                "done with, and after a crash they come again.",
                path_parts=ByName,
                query=ConsumerPull,
                example="/v1/consumers/crm/messages?wait=30",
                answers={200: MessagePage},
                errors=followed,
                endpoint=self.pull,
            ),
            Operation(
                name="commitConsumer",
                method="POST",
                path=f"{path}/commit",
                roles=CRM,
                summary="Commit a cursor",
                path_parts=ByName,
                body=Commit,
                example="/v1/consumers/crm/commit",
                example_body='{"cursor":"<next>"}',
                answers={200: ConsumerState},
                errors=(*followed, Conflict),
                endpoint=self.commit,
            ),
        )
