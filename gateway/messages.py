"""`/v1/messages`: the feed by cursor, and one message by its id."""

from typing import Any

import msgspec
from starlette.responses import Response

from contracts.errors import CursorExpired, KeyDestroyed, LogRestored, NotFound, Tampered
from gateway.auth import require_tenant, tenant_of
from gateway.operations import CRM, Call, Nothing, Operation, json_bytes
from gateway.reading import Reader
from gateway.shapes import (
    ById,
    ConnectionId,
    CursorText,
    Limit,
    Tenant,
    Time,
    Types,
    WaitS,
    short_types,
)
from gateway.threads import Threads
from storage.cursors import BEGINNING, Cursor, parse_cursor
from storage.log import Filter, MessageLog
from storage.message_id import parse


class Pull(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to pull."""

    after: CursorText = ""
    limit: Limit = 100
    wait: WaitS = 0
    tenant: Tenant | None = None
    connection: ConnectionId | None = None
    type: Types = []


class AnyMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A CloudEvents 1.0 event; `/schemas/{type}.json` describes `data` for each type."""

    specversion: str
    id: str
    source: str
    type: str
    subject: str | None = None
    time: Time
    datacontenttype: str
    dataschema: str
    sequence: str
    tenant: str
    connection: str
    provider: str
    channel: str
    data: dict[str, Any]


class MessagePage(msgspec.Struct, frozen=True):
    """Messages, oldest first. `next` is where to go on, also when there are none."""

    messages: list[AnyMessage]
    next: str
    has_more: bool


def cursor_of(text: str) -> Cursor:
    """A cursor as it was given; empty is the beginning. Raises `InvalidInput`."""
    return parse_cursor(text) if text else BEGINNING


class Messages:
    """What the CRM core reads."""

    def __init__(self, reader: Reader, log: MessageLog, threads: Threads) -> None:
        self._reader = reader
        self._log = log
        self._threads = threads

    async def pull(self, call: Call[Pull, Nothing, Nothing]) -> Response:
        """At most `limit` messages after the cursor."""
        query = call.query
        only = Filter(tenant_of(call.key, query.tenant), query.connection, short_types(query.type))
        found = await self._reader.pull(
            cursor_of(query.after),
            query.limit,
            only,
            query.wait,
            call.key.id,
            call.request.is_disconnected,
        )
        return json_bytes(found.body)

    async def one(self, call: Call[Nothing, ById, Nothing]) -> Response:
        """One message by its id."""
        try:
            row = await self._threads.run(self._log.find, *parse(call.path.id))
        except NotFound:
            raise NotFound("no such message") from None
        require_tenant(call.key, row.tenant, "no such message")
        return json_bytes(await self._threads.run(self._reader.open, row))

    def operations(self) -> tuple[Operation, ...]:
        """This part of the table."""
        return (
            Operation(
                name="pullMessages",
                method="GET",
                path="/v1/messages",
                roles=CRM,
                summary="Pull messages after a cursor",
                text="Ordered, without gaps. With `wait` the call returns as soon as there is a "
                "message. A filter still moves `next` over what it leaves out.",
                query=Pull,
                example="/v1/messages?limit=100&wait=30&type=message.received",
                answers={200: MessagePage},
                errors=(LogRestored, CursorExpired),
                endpoint=self.pull,
            ),
            Operation(
                name="getMessage",
                method="GET",
                path="/v1/messages/{id}",
                roles=CRM,
                summary="One message",
                path_parts=ById,
                answers={200: AnyMessage},
                errors=(NotFound, KeyDestroyed, Tampered),
                endpoint=self.one,
            ),
        )
