"""`/v1/connections/{id}/revoke`: ends a connection completely; and its receipt, in words."""

from collections.abc import Sequence
from typing import Annotated, Final, Literal

import msgspec
import structlog
from msgspec import UNSET, Meta, UnsetType
from starlette.responses import Response

from contracts.errors import Conflict, NotFound, Unavailable
from gateway.auth import require_tenant
from gateway.jobs import Jobs
from gateway.operations import CRM_OR_OPERATOR, Call, Nothing, Operation, answer
from gateway.shapes import ById, Time, time_of
from gateway.threads import Threads
from storage.api_keys import ApiKey
from storage.connections import Connections
from storage.revocation_steps import CONSENT, Revocation, Step, StepName
from storage.revocations import Revocations

log = structlog.get_logger()

MEANT: Final = {
    "subscription": "the provider delivers nothing more",
    "consent": "the provider forgets the consent, with every token of it",
    "tokens": "our copies of the tokens are destroyed",
    "retention": "what waited for the connection is removed",
    "receipt": "the feed says `connection.revoked`",
}
"""What each step is for."""

HANDS: Final = (
    "The account's owner can end it by hand: at Facebook under Settings, Business Integrations; at "
    "Instagram under Website permissions, Apps and websites; at Google under Security, Third-party "
    "connections."
)
"""What a receipt says when the provider did not end it."""


class RevokeBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why; it stands in the receipt and in the feed."""

    reason: Annotated[str, Meta(max_length=200)] = ""


class StepState(msgspec.Struct, frozen=True):
    """One step of a revocation; `outcome` is empty until it was tried."""

    step: StepName
    meant: Annotated[str, Meta(description="What the step is for.")]
    outcome: Annotated[
        str,
        Meta(
            description="ended, done; kept: others use it; none: there was nothing; refused, "
            "given up: the provider did not; waiting: the provider is away, and asked again."
        ),
    ]
    detail: str
    at: Time | None


class RevocationState(msgspec.Struct, frozen=True):
    """A revocation, and when it is done its receipt."""

    id: str
    connection: str
    reason: str
    requested_by: str
    state: Literal["running", "done"]
    steps: list[StepState]
    requested_at: Time
    finished_at: Time | None
    by_hand: Annotated[
        str | UnsetType, Meta(description="What is left to do, where the provider did not end it.")
    ] = UNSET


class RevokeCalls:
    """Revoking over HTTP."""

    def __init__(
        self, connections: Connections, revocations: Revocations, jobs: Jobs, threads: Threads
    ) -> None:
        self._connections, self._revocations = connections, revocations
        self._jobs, self._threads = jobs, threads

    async def revoke(self, call: Call[Nothing, ById, RevokeBody]) -> Response:
        """Order it; a worker carries it out."""
        id_ = call.path.id
        found = await self._threads.run(self._connections.get, id_)
        require_tenant(call.key, found.tenant, f"no connection {id_}")
        ordered = await self._threads.run(
            self._revocations.order, id_, reason=call.body.reason, by=_by(call.key)
        )
        try:
            await self._threads.run(self._jobs.due)
        except Unavailable as error:  # a worker finds the row by itself
            log.warning("revoking.not_nudged", revocation=ordered.id, detail=str(error))
        return answer(shown(ordered), 202)

    async def receipt(self, call: Call[Nothing, ById, Nothing]) -> Response:
        """How far the latest revocation is."""
        id_ = call.path.id
        missing = f"no connection {id_} that was ever revoked"
        found = await self._threads.run(self._revocations.of_connection, id_)
        if found is None:
            raise NotFound(missing)
        require_tenant(call.key, found.tenant, missing)
        return answer(shown(found))

    def operations(self) -> tuple[Operation, ...]:
        """This part of the table."""
        return (
            Operation(
                name="revokeConnection",
                method="POST",
                path="/v1/connections/{id}/revoke",
                roles=CRM_OR_OPERATOR,
                summary="End a connection completely",
                text="It receives nothing from now on. A worker then stops its subscription, "
                "withdraws the consent at the provider (what other connections use is kept), and "
                "destroys its tokens; `connection.revoked` in the feed says when that is done. "
                "Repeating it changes nothing. What was received stays until the tenant ends it.",
                path_parts=ById,
                body=RevokeBody,
                example_body='{"reason":"the contract has ended"}',
                answers={202: RevocationState},
                errors=(NotFound, Conflict),
                endpoint=self.revoke,
            ),
            Operation(
                name="getRevocation",
                method="GET",
                path="/v1/connections/{id}/revocation",
                roles=CRM_OR_OPERATOR,
                summary="How far a revocation is, and its receipt",
                path_parts=ById,
                answers={200: RevocationState},
                errors=(NotFound,),
                endpoint=self.receipt,
            ),
        )


def shown(revocation: Revocation) -> RevocationState:
    """A revocation for people and programs."""
    return RevocationState(
        revocation.id,
        revocation.connection,
        revocation.reason,
        revocation.requested_by,
        "done" if revocation.state == "done" else "running",
        _steps(revocation.steps),
        time_of(revocation.created_at_ms),
        time_of(revocation.finished_at_ms) if revocation.finished_at_ms else None,
        HANDS if _is_left(revocation.steps) else UNSET,
    )


def _is_left(steps: Sequence[Step]) -> bool:
    """Whether something is left to end at the provider: where the consent has ended, what it
    allowed has ended with it.
    """
    consents = [step.outcome for step in steps if step.step == CONSENT]
    undone = any(step.outcome in ("refused", "given up") for step in steps)
    return undone and not (consents and all(outcome == "ended" for outcome in consents))


def _steps(steps: Sequence[Step]) -> list[StepState]:
    return [
        StepState(
            step.step,
            MEANT[step.step],
            step.outcome,
            step.detail,
            time_of(step.at_ms) if step.at_ms else None,
        )
        for step in steps
    ]


def _by(key: ApiKey) -> str:
    """Who ordered it: the key's id and role, never its holder."""
    return f"{key.role} key {key.id}"
