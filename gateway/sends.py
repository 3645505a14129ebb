"""`POST /v1/messages` and `/v1/sends/{id}`: what is to go out, and what became of it."""

import msgspec
import structlog
from starlette.responses import Response

from contracts.errors import (
    FeatureMissing,
    KeyReused,
    NotConnected,
    NotFound,
    NotSendable,
    NotStored,
    Unavailable,
    VaultError,
    WindowClosed,
)
from gateway.auth import require_tenant
from gateway.drafting import Drafting
from gateway.jobs import Jobs
from gateway.operations import CRM, Call, Nothing, Operation, answer
from gateway.send_shapes import Accepted, SendBody, SendError, SendHeaders, SendStatus
from gateway.shapes import ById, time_of
from gateway.threads import Threads
from storage.connections import Connections, new_id
from storage.outbox import Outbox, Send
from token_vault import Vault, open_letter

log = structlog.get_logger()


class SendCalls:
    """Sending over HTTP."""

    def __init__(
        self,
        outbox: Outbox,
        drafting: Drafting,
        connections: Connections,
        vault: Vault,
        jobs: Jobs,
        threads: Threads,
    ) -> None:
        self._outbox, self._drafting, self._connections = outbox, drafting, connections
        self._vault, self._jobs, self._threads = vault, jobs, threads

    async def send(self, call: Call[Nothing, Nothing, SendBody]) -> Response:
        """Accept it; a worker sends it."""
        accepted = await self._threads.run(self._accept, call)
        try:
            await self._threads.run(self._jobs.due)
        except Unavailable as error:  # a worker finds the row by itself
            log.warning("send.not_nudged", send=accepted.id, detail=str(error))
        return answer(Accepted(accepted.id, accepted.state), 202)

    async def get(self, call: Call[Nothing, ById, Nothing]) -> Response:
        """One send."""
        found = await self._threads.run(self._outbox.get, call.path.id)
        require_tenant(call.key, found.tenant, f"no send {call.path.id}")
        return answer(await self._threads.run(self._status, found))

    def _accept(self, call: Call[Nothing, Nothing, SendBody]) -> Send:
        """The same call again gets what it got, whatever has changed since."""
        body, missing = call.body, f"no connection {call.body.connection}"
        connection = self._connections.get(body.connection)
        require_tenant(call.key, connection.tenant, missing)
        keys, scope = self._vault.deployment(), call.scope
        key = keys.hash("idempotency-key", scope, call.headers.idempotency_key)
        request = keys.hash("send-request", msgspec.json.encode(body).decode())
        before = self._outbox.before(scope, key, request)
        if before is not None:
            return before
        new = self._drafting.draft(new_id("snd"), connection, body)
        return self._outbox.accept(new._replace(scope=scope, key=key, request=request))

    def _status(self, send: Send) -> SendStatus:
        error = SendError(send.reason, send.code, send.detail) if send.reason else None
        return SendStatus(
            id=send.id,
            status=send.state,
            connection=send.connection,
            conversation=send.conversation or None,
            message_id=self._message_id(send),
            error=error,
            attempts=send.attempts,
            created_at=time_of(send.created_at_ms),
            changed_at=time_of(send.changed_at_ms),
        )

    def _message_id(self, send: Send) -> str | None:
        """None too for what was erased meanwhile."""
        if not send.sealed:
            return None
        try:
            keys = self._vault.tenant(send.tenant)
            letter = open_letter(keys, send.id, send.sealed)
        except Unavailable:
            raise
        except VaultError as error:
            log.warning("send.unreadable", send=send.id, reason=error.reason)
            return None
        return letter.sent.message_id if letter.sent else None

    def operations(self) -> tuple[Operation, ...]:
        """This part of the table."""
        return (
            Operation(
                name="sendMessage",
                method="POST",
                path="/v1/messages",
                roles=CRM,
                summary="Send a message, or answer a comment",
                text="What can be told before the call is told here: a closed window, a missing "
                "feature, too long a text. A worker then sends, in the order of the conversation; "
                "`message.sent` or `message.failed` in the feed carries `data.send_id`. What "
                "cannot be told any more is `unknown`, and never sent again by itself. See "
                "docs/sending.md.",
                headers=SendHeaders,
                body=SendBody,
                example_body='{"connection":"con_…","conversation":"cnv_…","text":"Hello"}',
                answers={202: Accepted},
                errors=(
                    NotFound,
                    NotConnected,
                    NotSendable,
                    NotStored,
                    FeatureMissing,
                    WindowClosed,
                    KeyReused,
                ),
                endpoint=self.send,
            ),
            Operation(
                name="getSend",
                method="GET",
                path="/v1/sends/{id}",
                roles=CRM,
                summary="What became of a send",
                path_parts=ById,
                answers={200: SendStatus},
                errors=(NotFound,),
                endpoint=self.get,
            ),
        )
