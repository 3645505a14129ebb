"""Carries out revocations: each step recorded, each repeatable, whatever dies in between.

What the provider has to do with it comes first, then the tokens are destroyed. A provider that is
away does not keep them alive: they go into escrow, which opens for nobody else and for a week.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

import structlog

from contracts.connector import Event
from contracts.content.account import ConnectionRevoked
from contracts.errors import Retryable, Unavailable, VaultError
from storage.connections import Connection, Connections
from storage.database import now_ms
from storage.drain import DrainStore
from storage.due import DueRows, Taken
from storage.grants import RECONCILE
from storage.revocation_steps import RECEIPT, RETENTION, TOKENS, Revocation, Step
from storage.revocations import JOURNALED, Finished, Revocations
from storage.turns import Append, Turn
from token_vault import Vault
from workers.ending import Ending
from workers.normalizing import Normalizer, utc

log = structlog.get_logger()

PATIENCE: Final = timedelta(days=7)
"""How long a provider that is away is asked again: as long as tokens stay in escrow."""

_WORDS: Final = {
    "none": ("none", "nothing to end"),
    "shared": ("kept", "others use it"),
    "another": ("waiting", "another revocation is ending it"),
    "needed": ("waiting", "a subscription is to be ended with its tokens first"),
}
"""Who ends what is shared → how the step ended, when it is not us."""


class Revoker:
    """The job of a revocation's due row. Safe to share between threads."""

    def __init__(
        self,
        revocations: Revocations,
        connections: Connections,
        store: DrainStore,
        normalizer: Normalizer,
        vault: Vault,
        ending: Ending,
        rows: DueRows,
        channels: Mapping[str, str],
    ) -> None:
        """`channels`: by provider, of those too that are off."""
        self._revocations, self._connections = revocations, connections
        self._store, self._normalizer, self._vault = store, normalizer, vault
        self._ending, self._rows, self._channels = ending, rows, channels

    def run(self, row: Taken) -> None:
        """Go on from the first step that is open. Raises `Retryable` while the provider is away or
        a look that began before the order may yet subscribe the account; `Unavailable`
        while parts of our own are, `LeaseLost`.
        """
        revocation = self._revocations.get(row.key)
        connection = self._connections.get(revocation.connection)
        if all(step.at_ms is None for step in revocation.steps):
            self._vault.record_erasure(JOURNALED, revocation.tenant, revocation.connection)
        look = self._rows.standing(RECONCILE, connection.id)
        if look is not None and look.taken:
            raise Retryable("a look at it is under way")
        waiting = self._at_the_provider(row, revocation, connection)
        self._here(row, revocation, connection, keep=bool(waiting))
        if waiting:
            raise Retryable(f"{waiting[0].step}: {waiting[0].detail}")
        self._ending.forget(revocation)
        self._finish(row, revocation, connection)

    def _at_the_provider(
        self, row: Taken, revocation: Revocation, connection: Connection
    ) -> list[Step]:
        """End what we are the last to use; the steps that have to wait."""
        waiting = []
        for step in revocation.steps:
            if step.shared is not None and step.is_open:
                ended = self._end(row, revocation, connection, step)
                if ended.is_open:
                    waiting.append(ended)
        return waiting

    def _end(self, row: Taken, revocation: Revocation, connection: Connection, step: Step) -> Step:
        decision = self._revocations.decide(row, revocation, step, self._rows.seconds)
        if decision == "last":
            done = _bounded(revocation, self._ending.end(revocation, connection, step))
            self._revocations.settle(row, step, done)
        else:
            outcome, detail = _WORDS[decision]
            done = _bounded(revocation, step._replace(outcome=outcome, detail=detail))
            self._revocations.record(row, step, done)
        log.info("revoking.step", revocation=revocation.id, step=step.step, outcome=done.outcome)
        return done

    def _here(
        self, row: Taken, revocation: Revocation, connection: Connection, *, keep: bool
    ) -> None:
        """Destroy the tokens, kept in escrow for steps that wait; remove what waits for it."""
        for step in revocation.steps:
            if step.step == TOKENS and step.is_open:
                kept = self._ending.into_escrow(revocation, connection) if keep else ()
                self._revocations.destroy_tokens(row, revocation, step, kept)
            elif step.step == RETENTION and step.is_open:
                self._revocations.purge(row, revocation, step)

    def _finish(self, row: Taken, revocation: Revocation, connection: Connection) -> None:
        (receipt,) = (step for step in revocation.steps if step.step == RECEIPT)
        finished = Finished(row, connection.id, receipt, revocation.reason)
        appends = self._message(revocation, connection)
        self._store.write(Turn(first=finished.commit, appends=appends, statuses=("revoked",)))
        log.info("revoking.done", revocation=revocation.id, connection=connection.id)

    def _message(self, revocation: Revocation, connection: Connection) -> list[Append]:
        channel = self._channels.get(connection.provider)
        if channel is None:
            return []
        at_ms = now_ms()
        content = ConnectionRevoked(reason=revocation.reason or None)
        event = Event(content, f"revocation|{revocation.id}", utc(at_ms))
        try:
            return [self._normalizer.append(event, at_ms, channel, connection)]
        except Unavailable:
            raise
        except VaultError as error:  # the tenant was erased: nobody is left to be told
            log.warning("revoking.not_said", connection=connection.id, reason=error.reason)
            return []


def _bounded(revocation: Revocation, step: Step) -> Step:
    """No step waits for longer than our patience, whatever it waits for."""
    waited = timedelta(milliseconds=now_ms() - revocation.created_at_ms)
    if not step.is_open or waited < PATIENCE:
        return step
    return step._replace(outcome="given up", detail=f"for a week {step.detail}")
