"""Ends at the provider what a connection used there: a subscription, a consent."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

import structlog

from contracts.accounts import Offers, Subscribes
from contracts.connector import Connector
from contracts.errors import (
    AddressRefused,
    GatewayError,
    LeaseLost,
    Misconfigured,
    OutcomeUnknown,
    Permanent,
    ProviderError,
    Reauthorize,
    Retryable,
    TokenRefused,
    Unavailable,
    VaultError,
)
from contracts.login import Login, OAuthLogin, Tokens
from storage.connections import Connection, Grant, new_id
from storage.database import now_ms
from storage.escrow import EscrowStore, InEscrow
from storage.grants import Grants
from storage.partitions import DAY_MS, today
from storage.revocation_steps import SUBSCRIPTION, Revocation, Step
from token_vault import Escrowed, GrantTokens, Vault, open_from_escrow, seal_for_escrow
from token_vault.escrow import over
from workers.calling import MANUAL
from workers.normalizing import account_details
from workers.refreshing import Refresher
from workers.retrying import told

if TYPE_CHECKING:
    from connectors.kit.transport.transport import Transport

log = structlog.get_logger()

JOB: Final = "revoke"
"""For whom tokens are opened."""

ENDED: Final = "ended"
REFUSED: Final = "refused"
WAITING: Final = "waiting"
NONE: Final = "none"

_AWAY: Final = (Retryable, OutcomeUnknown, Misconfigured, AddressRefused)
_EPOCH: Final = date(1970, 1, 1)


class Token(NamedTuple):
    """Tokens with which the provider can be asked, of which login, and the account's id there."""

    login: str
    tokens: Tokens
    account: str


class Ending:
    """Asks the provider with what a revocation still has: its grants, or what is in escrow."""

    def __init__(
        self,
        grants: Grants,
        vault: Vault,
        tokens: GrantTokens,
        escrow: EscrowStore,
        refresher: Refresher,
        transport: "Transport",
        logins: Mapping[str, Login],
        connectors: Mapping[str, Connector],
    ) -> None:
        self._grants, self._vault = grants, vault
        self._tokens, self._escrow, self._refresher = tokens, escrow, refresher
        self._transport, self._logins, self._connectors = transport, logins, connectors

    def end(self, revocation: Revocation, connection: Connection, step: Step) -> Step:
        """`step`, as it ended: `ended`, `refused` for good, `none` to end, or `waiting` for a
        provider that is away. Raises `Unavailable` when parts of our own are, and `LeaseLost`.

        A fault of ours waits as well: it must not keep the steps behind it from being done.
        """
        how = self._unsubscribe if step.step == SUBSCRIPTION else self._withdraw
        try:
            return how(revocation, connection, step)
        except (Unavailable, LeaseLost):
            raise
        except (TokenRefused, Reauthorize) as error:
            return _ended(step, REFUSED, f"its token works no more ({told(error)})")
        except _AWAY as error:
            return _ended(step, WAITING, told(error))
        except (Permanent, VaultError) as error:
            return _ended(step, REFUSED, told(error))
        except Exception as error:
            log.exception("revoking.fault", revocation=revocation.id, step=step.step)
            return _ended(step, WAITING, told(error))

    def _unsubscribe(self, revocation: Revocation, connection: Connection, step: Step) -> Step:
        connector = self._connectors.get(connection.provider)
        if connector is None:
            raise Misconfigured(f"provider {connection.provider} is off")
        if not isinstance(connector, Subscribes):
            return _ended(step, NONE, "this provider has no subscriptions")
        failed: GatewayError = Permanent("there is no token left to ask with")
        for opened in self._each(revocation, connection, self._fresh):
            try:
                token = opened()
                login = self._login(_login_of(connector, token.login))
                client = self._transport.client(login.carry(token.tokens))
                connector.unsubscribe(client, token.account)
            except Unavailable:
                raise
            except (ProviderError, VaultError) as error:  # another grant's may work
                failed = error if not isinstance(failed, _AWAY) else failed
            else:
                return _ended(step, ENDED, "")
        raise failed

    def _withdraw(self, revocation: Revocation, connection: Connection, step: Step) -> Step:
        """End the consent of `step`: the tokens of its grant say whose it is."""
        opened = next(self._each(revocation, connection, self._open, only=step.grant), None)
        if opened is None:
            raise Permanent("there is no token left to ask with")
        token = opened()
        self._login(token.login).revoke(self._transport.client(), token.tokens)
        return _ended(step, ENDED, "")

    def _each(
        self,
        revocation: Revocation,
        connection: Connection,
        opened: Callable[[Grant], Tokens],
        only: str | None = None,
    ) -> Iterator[Callable[[], Token]]:
        """What opens the tokens of the connection's grants, one by one; after these were destroyed,
        of those in escrow.
        """
        grants = self._grants.of_connection(connection.id)
        if grants:
            keys = self._vault.tenant(connection.tenant)
            account = account_details(connection, keys).subscribed
            for grant in grants:
                if only in (None, grant.id):
                    yield partial(_token, grant, opened, account)
            return
        for kept in self._escrow.of_revocation(revocation.id, now_ms()):
            if only in (None, kept.grant):
                yield partial(self._opened, kept)

    def _open(self, grant: Grant) -> Tokens:
        return self._tokens.open(grant, job=JOB)

    def _fresh(self, grant: Grant) -> Tokens:
        return self._refresher.fresh(grant.id, job=JOB)

    def _opened(self, kept: InEscrow) -> Token:
        """What is in escrow; an access token that has ended is exchanged first."""
        day = _EPOCH + timedelta(days=kept.day)
        found: Escrowed = open_from_escrow(
            self._vault.escrow, day, kept.tenant, kept.grant, kept.sealed, job=JOB
        )
        tokens = found.tokens
        ended = tokens.expires_at is not None and tokens.expires_at <= datetime.now(UTC)
        if ended and tokens.refresh_token is not None:
            newer = self._login(kept.login).refresh(self._transport.client(), tokens).tokens
            tokens = Tokens(
                newer.access_token, newer.obtained_at, newer.expires_at, tokens.refresh_token
            )
        return Token(kept.login, tokens, found.account)

    def _login(self, name: str) -> OAuthLogin:
        login = self._logins.get(name)
        if login is None:
            raise Misconfigured(f"login {name} is off")
        if not isinstance(login, OAuthLogin):
            raise Permanent(f"at login {name} nobody consented")
        return login

    def into_escrow(self, revocation: Revocation, connection: Connection) -> list[InEscrow]:
        """Rows that keep the connection's tokens for the steps that wait. What does not open is
        left out: nobody can ask with it. Raises `Unavailable`.
        """
        day, now = today(), now_ms()
        that = _EPOCH + timedelta(days=day)
        self._vault.ensure_days(that, 1)
        rows = []
        for grant in self._grants.of_connection(connection.id):
            try:
                tenant = self._vault.tenant(connection.tenant)
                kept = Escrowed(self._open(grant), account_details(connection, tenant).subscribed)
            except Unavailable:
                raise
            except VaultError:
                continue
            rows.append(
                InEscrow(
                    id=new_id("esc"),
                    tenant=grant.tenant,
                    grant=grant.id,
                    login=grant.login,
                    day=day,
                    sealed=seal_for_escrow(self._vault.escrow, that, grant, kept),
                    created_at_ms=now,
                    until_ms=(over(that) - _EPOCH).days * DAY_MS,
                    revocation=revocation.id,
                )
            )
        return rows

    def forget(self, revocation: Revocation) -> None:
        """Nothing is left to ask the provider for."""
        self._escrow.drop(revocation.id)


def _token(grant: Grant, opened: Callable[[Grant], Tokens], account: str) -> Token:
    return Token(grant.login, opened(grant), account)


def _ended(step: Step, outcome: str, detail: str) -> Step:
    return step._replace(outcome=outcome, detail=detail)


def _login_of(connector: Connector, login: str) -> str:
    """A token brought by hand goes the way of the connector's own login."""
    return connector.login if login == MANUAL and isinstance(connector, Offers) else login
