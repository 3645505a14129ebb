"""Acts on what providers tell of consents: each kind has its consequence."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Literal

import structlog

from contracts.connector import Event
from contracts.content.account import AccountNotice, PrivacyDeletionRequested
from contracts.content.parts import Content
from contracts.errors import Conflict, Retryable, Tampered, Unavailable, VaultError
from storage.connecting_schema import LIVE
from storage.connections import Connection, Grant
from storage.drain import DrainStore
from storage.due import Taken
from storage.grants import Grants
from storage.revocations import Revocations
from storage.sharing import Person
from storage.signals import PERSON, SIGNAL, Heeded, Signal, Signals
from storage.turns import TAKING, Append, Turn
from token_vault import Vault
from workers.grant_states import GrantStates
from workers.normalizing import Normalizer, utc

log = structlog.get_logger()

Severity = Literal["info", "warning", "critical"]


class Heeding:
    """The job of a signal's due row, repeatable whatever it does; safe to share between threads."""

    def __init__(
        self,
        signals: Signals,
        grants: Grants,
        revocations: Revocations,
        store: DrainStore,
        states: GrantStates,
        vault: Vault,
        normalizer: Normalizer,
        channels: Mapping[str, str],
    ) -> None:
        """`channels`: by provider, of those too that are off."""
        self._signals, self._grants, self._revocations = signals, grants, revocations
        self._store, self._states, self._vault = store, states, vault
        self._normalizer, self._channels = normalizer, channels

    def run(self, row: Taken) -> None:
        """Raises `LeaseLost | Conflict | Unavailable`, after which it comes due again."""
        signal = self._signals.get(row.key)
        grants = self._signals.concerned(signal)
        CONSEQUENCES[signal.kind](self, row, signal, grants)
        log.info("signal.heeded", signal=signal.id, kind=signal.kind, grants=len(grants))

    # -- consequences ---------------------------------------------------------------------------

    def revoke(self, row: Taken, signal: Signal, grants: Sequence[Grant]) -> None:
        """The consent was withdrawn: connections that only it carried end, and others go on."""
        self._store.write(Turn(first=self._end(row, signal, grants).commit))

    def delete(self, row: Taken, signal: Signal, grants: Sequence[Grant]) -> None:
        """The same, and each tenant to which the person had consented is told. A `deauthorize`
        usually came before, so what was ended then counts; it is done when all of that is.
        """
        heeded = self._end(row, signal, grants)
        past = [one for person in _people(signal) for one in self._revocations.naming(person)]
        self._say_deletion(signal, [*self._carried(grants), *(one for one, _ in past)])
        if any(state == "running" for _, state in past):
            raise Retryable("connections of that person are being ended")
        ended = max(heeded.ended, len({one.id for one, _ in past}))
        self._store.write(Turn(first=heeded._replace(ended=ended).commit))

    def forget(self, row: Taken, signal: Signal, grants: Sequence[Grant]) -> None:
        """Its tokens are dead: they are destroyed, and the owner may consent again."""
        reason = REASONS[signal.kind]
        plans = [self._states.refused(grant, row, reason) for grant in grants]
        heeded = Heeded(
            row,
            turned=[one for plan in plans for one in plan.turned],
            refused=[(grant, reason) for grant in grants],
        )
        appends = [append for plan in plans for append in plan.appends]
        self._store.write(Turn(first=heeded.commit, appends=appends))

    def disable(self, row: Taken, signal: Signal, grants: Sequence[Grant]) -> None:
        """The account is shut. Where somebody had taken it over, nothing of it is used any more."""
        if signal.detail == "hijacking":
            self.forget(row, signal, grants)
        else:
            self._notice(row, signal, grants, "critical")

    def look(self, row: Taken, signal: Signal, grants: Sequence[Grant]) -> None:
        """Whether its tokens still work, the provider is asked now."""
        look = [connection.id for connection in self._carried(grants)]
        self._store.write(Turn(first=Heeded(row, look=look).commit))

    def warn(self, row: Taken, signal: Signal, grants: Sequence[Grant]) -> None:
        self._notice(row, signal, grants, "warning")

    def greet(self, row: Taken, signal: Signal, grants: Sequence[Grant]) -> None:
        self._notice(row, signal, grants, "info")

    def nothing(self, row: Taken, signal: Signal, _: Sequence[Grant]) -> None:
        """It only proves that signals reach us."""
        self._store.write(Turn(first=Heeded(row).commit))

    # -- what they are made of ------------------------------------------------------------------

    def _carried(self, grants: Iterable[Grant], *statuses: str) -> list[Connection]:
        """Their connections in one of `statuses`, or those in use: each once, in order of ids."""
        found = {c.id: c for grant in grants for c in self._grants.carried(grant.id)}
        return [found[id_] for id_ in sorted(found) if found[id_].status in (statuses or LIVE)]

    def _end(self, row: Taken, signal: Signal, grants: Sequence[Grant]) -> Heeded:
        """Order the end of what these grants alone carry; what is left to be written."""
        ids = {grant.id for grant in grants}
        removed, look, cut, ended = set(ids), set[str](), list[tuple[str, str]](), 0
        for connection in self._carried(grants, *LIVE, "revoking"):
            carrying = set(self._grants.carrying(connection.id))
            if carrying <= ids:
                ended += self._order(connection, signal)
                removed -= carrying  # whose tokens the revocation destroys
            else:
                look.add(connection.id)
                cut += [(connection.id, grant) for grant in sorted(carrying & ids)]
        return Heeded(row, removed=sorted(removed), cut=cut, look=look, ended=ended)

    def _order(self, connection: Connection, signal: Signal) -> int:
        try:
            self._revocations.order(connection.id, reason=REASONS[signal.kind], by=signal.login)
        except Conflict:  # it was revoked meanwhile
            return 0
        return 1

    def _notice(
        self, row: Taken, signal: Signal, grants: Sequence[Grant], severity: Severity
    ) -> None:
        """Tell the connections, and ask the provider how they are."""
        concerned = self._carried(grants)
        content = AccountNotice(
            notice=signal.kind,
            severity=severity,
            detail=REASONS[signal.kind],
        )
        appends = [a for c in concerned for a in self._message(content, signal, c)]
        heeded = Heeded(row, look=[c.id for c in concerned])
        self._store.write(Turn(first=heeded.commit, appends=appends, statuses=TAKING))

    def _say_deletion(self, signal: Signal, connections: Sequence[Connection]) -> None:
        """Each tenant is told whose data is to be deleted, once, whatever became of it."""
        if signal.code is None or not connections:
            return
        try:
            who = self._who(signal)
        except Unavailable:
            raise
        except VaultError as error:  # what has to be ended is ended all the same
            log.error("signal.not_said", signal=signal.id, reason=error.reason)
            return
        content = PrivacyDeletionRequested(subject_id=who, confirmation_code=signal.code)
        first = {c.tenant: c for c in sorted(connections, key=lambda c: c.id, reverse=True)}
        appends = [a for c in first.values() for a in self._message(content, signal, c)]
        self._store.write(Turn(appends=appends, statuses=(*LIVE, "revoking", "revoked")))

    def _who(self, signal: Signal) -> str:
        """As the provider named them. Raises `VaultError` when its day is over."""
        if signal.sealed is None:
            raise Tampered("nothing says who asked")
        day = utc(signal.received_at_ms).date()
        return self._vault.escrow.open(day, "", signal.id, signal.sealed, job=SIGNAL).decode()

    def _message(
        self, content: Content, signal: Signal, connection: Connection
    ) -> Sequence[Append]:
        channel = self._channels.get(connection.provider)
        if channel is None:
            return []
        event = Event(content, f"signal|{signal.id}", utc(signal.at_ms))
        try:
            return [self._normalizer.append(event, signal.received_at_ms, channel, connection)]
        except Unavailable:
            raise
        except VaultError as error:  # one tenant's keys must not silence the others
            log.warning("signal.not_said", connection=connection.id, reason=error.reason)
            return []


Consequence = Callable[[Heeding, Taken, Signal, Sequence[Grant]], None]

CONSEQUENCES: Final[Mapping[str, Consequence]] = {
    "deauthorize": Heeding.revoke,
    "deletion": Heeding.delete,
    "tokens-revoked": Heeding.forget,
    "token-revoked": Heeding.forget,
    "account-disabled": Heeding.disable,
    "sessions-revoked": Heeding.look,
    "account-enabled": Heeding.greet,
    "credential-change-required": Heeding.warn,
    "verification": Heeding.nothing,
}
"""Kind of signal → what follows. What a provider withdraws it revokes; what is merely dead waits
for its owner."""


def _people(signal: Signal) -> list[Person]:
    return [Person(signal.login, name) for kind, name in signal.names if kind == PERSON]


REASONS: Final[Mapping[str, str]] = {
    "deauthorize": "the app was removed in the account's own settings",
    "deletion": "deletion of their data was requested at the provider",
    "tokens-revoked": "access was withdrawn in the Google account",
    "token-revoked": "access was withdrawn in the Google account",
    "account-disabled": "Google has disabled the account",
    "account-enabled": "Google has enabled the account again: it may have to be connected anew",
    "credential-change-required": "Google asks the account's owner for a new password",
}
"""Kind of signal → what people are told."""
