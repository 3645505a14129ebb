"""Keeps the tokens of grants fresh: one call to the provider, whoever and however many ask."""

import random
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import msgspec
import structlog

from contracts.errors import (
    GatewayError,
    KeyDestroyed,
    LeaseLost,
    Misconfigured,
    NotFound,
    OutcomeUnknown,
    Permanent,
    Reauthorize,
    Retryable,
    Throttled,
)
from contracts.login import Login, Refreshed, Tokens
from storage.connections import Grant
from storage.database import now_ms
from storage.drain import DrainStore
from storage.due import DueRows, Taken
from storage.grants import REFRESH, Grants, Meanwhile, Outcome, Renewal
from storage.turns import Turn
from token_vault import GrantTokens
from workers.grant_states import GrantStates
from workers.metrics import Metrics
from workers.retrying import told, until_stored
from workers.scheduler import putting_off
from workers.token_times import SHORTEST_S, is_due, lasts, lifetime_ms, next_due_ms
from workers.turning import Plan

if TYPE_CHECKING:
    import httpx
    from tenacity import Retrying

log = structlog.get_logger()

PATIENCE_S: Final = 20.0
"""A caller waits for the refresh that another one is at."""

OVER: Final = (Reauthorize, NotFound, KeyDestroyed)
"""What ends the job: the owner is needed, the grant is gone, its tenant was erased."""

SAYS_NO: Final = (Throttled, Permanent, Misconfigured)
"""After these the refresh token is as it was: the provider answered, or was not asked. Any other
error may stand for an answer that was lost; a refusal (`Reauthorize`) ends the grant's asking.
"""

Wanted = Callable[[Login, Grant, Tokens], bool]


class Refresher:
    """Refreshes grants: as their rows come due (`run`), and for callers (`fresh`).

    A grant's due row is its lease. The provider is called while it is held, and neither a lock nor
    a transaction is. Safe to share between threads.
    """

    def __init__(
        self,
        grants: Grants,
        rows: DueRows,
        store: DrainStore,
        tokens: GrantTokens,
        states: GrantStates,
        logins: Mapping[str, Login],
        client: "httpx.Client",
        metrics: Metrics,
    ) -> None:
        self._grants = grants
        self._rows = rows
        self._store = store
        self._tokens = tokens
        self._states = states
        self._logins = logins
        self._client = client
        self._metrics = metrics

    def run(self, row: Taken) -> None:
        """The job of a due row. Raises what the login and our own parts raise, but for what ends
        the job.
        """
        try:
            self._refresh(row, is_due)
        except OVER as error:
            log.info("refresh.over", grant=row.key, reason=error.reason)

    def fresh(self, grant_id: str, *, job: str, at_least: timedelta = timedelta(0)) -> Tokens:
        """Tokens that last for `at_least`, opened for `job`; refreshed first if they do not.

        At most half a token's life can be asked for, and the provider is asked once: newer tokens
        are used as they come. When there are none to be had for now, tokens that have not ended
        have to do. Raises `Reauthorize` when only the owner can mend the grant, `Retryable` (with
        `after_s`) when there are no tokens for now, `NotFound`, `VaultError`, `Unavailable`,
        `Misconfigured`, and what the login raises.
        """
        deadline = time.monotonic() + PATIENCE_S
        while not lasts(grant := self._living(grant_id), at_least):
            row = self._rows.take_now(REFRESH, grant_id)
            try:
                if row is None:
                    self._wait(grant_id, deadline)
                    continue
                self._refresh_now(row, lambda login, grant, _: not lasts(grant, at_least))
            except OVER:
                raise
            except GatewayError:
                if not lasts(grant, timedelta(0)):
                    raise
            else:
                grant = self._living(grant_id)  # as it came: asking again would bring the same
                if not lasts(grant, timedelta(0)):
                    raise Retryable("the newest tokens have ended already", after_s=SHORTEST_S)
            break
        return self._tokens.open(grant, job=job)

    def _living(self, grant_id: str) -> Grant:
        """Raises `Reauthorize` for a grant that was refused, and `NotFound`."""
        grant = self._grants.get(grant_id)
        if grant.refusal:
            raise Reauthorize(grant.refusal)
        return grant

    def renew(self, grant: Grant) -> None:
        """Newer tokens than those of `grant`, whose access token the provider refused ahead of its
        time. Raises `Retryable` while somebody else is at it, and what `fresh` raises.
        """
        row = self._rows.take_now(REFRESH, grant.id)
        if row is None:
            raise Retryable("somebody else is refreshing, or waits to", after_s=SHORTEST_S)
        self._refresh_now(row, lambda login, now, _: now.version == grant.version)

    def _refresh_now(self, row: Taken, wanted: Wanted) -> None:
        """As the job, for a caller that waits. Raises also what ends the job."""
        over: GatewayError | None = None
        with suppress(LeaseLost), putting_off(self._rows, row):  # lost: another was quicker
            try:
                self._refresh(row, wanted)
            except OVER as error:
                over = error
        if over is not None:
            raise over

    def _wait(self, grant_id: str, deadline: float) -> None:
        """A moment, for who is at it. Raises `Retryable` when that takes too long, or when nobody
        is, since the last attempt failed.
        """
        standing = self._rows.standing(REFRESH, grant_id)
        if standing is None:
            self._rows.schedule(REFRESH, grant_id, now_ms())
        elif not standing.taken and standing.attempts:
            wait_s = max(0, standing.wait_ms or 0) / 1000
            raise Retryable(f"not refreshed: {standing.last_error}", after_s=wait_s)
        elif time.monotonic() > deadline:
            raise Retryable("somebody else is refreshing, and not done yet", after_s=PATIENCE_S)
        else:
            time.sleep(random.uniform(0.05, 0.15))  # noqa: S311 - spread, not secrecy

    def _refresh(self, row: Taken, wanted: Wanted) -> None:
        """With `row` held: read again, ask the provider if that is still `wanted`, commit."""
        try:
            grant = self._grants.get(row.key)
            if grant.refusal:  # its tokens may be destroyed
                self._rows.finish(row, None)
                raise Reauthorize(grant.refusal)
            old = self._tokens.open(grant, job=REFRESH)
        except (NotFound, KeyDestroyed):
            self._rows.remove(row)  # the grant is gone, or its tenant erased
            raise
        login = self._logins.get(grant.login)
        if login is None:
            raise Misconfigured(f"login {grant.login} is off")
        if wanted(login, grant, old):
            self._renew(row, grant, login, old)
        else:
            plan = self._states.renewed(grant, row)
            outcome = Outcome(row, next_due_ms(login, old), plan.turned, look=plan.look)
            self._write(outcome, plan)

    def _renew(self, row: Taken, grant: Grant, login: Login, old: Tokens) -> None:
        result = "unexpected"
        try:
            new = self._ask(row, grant, login, old)
            self._keep(row, grant, login, new)
            result = "done"
        except GatewayError as error:
            result = error.reason
            if isinstance(error, Reauthorize):
                self._refuse(row, grant, error)
            elif isinstance(error, Retryable | OutcomeUnknown):
                self._degrade(row, grant, old, error)
            raise
        finally:
            self._metrics.refreshes.labels(login.name, result).inc()

    def _ask(self, row: Taken, grant: Grant, login: Login, old: Tokens) -> Refreshed:
        if login.rotates:
            self._grants.asking(row, grant)
        try:
            new = login.refresh(self._client, old)
        except SAYS_NO:
            if login.rotates:
                self._patiently()(self._grants.answered, row, grant)
            raise
        kept = msgspec.structs.replace(
            new.tokens,
            refresh_token=new.tokens.refresh_token or old.refresh_token,
            subject=new.tokens.subject or old.subject,
        )
        return Refreshed(kept, new.scopes)

    def _keep(self, row: Taken, grant: Grant, login: Login, new: Refreshed) -> None:
        """Commit the provider's answer, however often that takes: it may not be had again.

        Raises `LeaseLost` when another was quicker, or an attempt whose own answer was lost.
        """
        tokens = new.tokens
        sealed = self._patiently()(self._tokens.seal, grant.tenant, grant.id, tokens)
        renewal = Renewal(grant.id, grant.version, sealed, *lifetime_ms(tokens), new.scopes)
        due_at_ms = next_due_ms(login, tokens)
        allows_other = new.scopes is not None and new.scopes != frozenset(grant.scopes)

        def commit() -> None:
            plan = self._states.renewed(grant, row, allows_other=allows_other)
            self._write(Outcome(row, due_at_ms, plan.turned, renewal, look=plan.look), plan)

        self._patiently()(commit)

    def _refuse(self, row: Taken, grant: Grant, error: Reauthorize) -> None:
        reason = str(error)
        if grant.asked_at_ms is not None:
            reason = f"an earlier refresh got no answer, and may have spent its token: {reason}"

        def commit() -> None:
            plan = self._states.refused(grant, row, reason)
            refused = (grant, reason)
            self._write(Outcome(row, None, plan.turned, refused=refused, look=plan.look), plan)

        self._patiently()(commit)

    def _degrade(self, row: Taken, grant: Grant, old: Tokens, error: GatewayError) -> None:
        """Say once that nothing works, if the token has ended; before that nobody needs to know."""
        if old.expires_at is None or old.expires_at > datetime.now(UTC):
            return

        def commit() -> None:
            plan = self._states.expired(grant, row, f"it has expired, and {told(error)}")
            if plan.turned:
                first = Meanwhile(row, plan.turned).commit
                self._store.write(Turn(first=first, appends=plan.appends))

        self._patiently()(commit)

    def _patiently(self) -> "Retrying":
        """As long as the row is surely ours, seal and commit together."""
        return until_stored(self._rows.seconds / 4)

    def _write(self, outcome: Outcome, plan: Plan) -> None:
        self._store.write(Turn(first=outcome.commit, appends=plan.appends))
