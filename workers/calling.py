"""Calls to a provider on behalf of a connection: which of its grants carries them, tokens fresh."""

from collections.abc import Callable, Collection, Mapping, Sequence
from copy import copy
from datetime import timedelta
from typing import Final, NamedTuple, Self

import httpx

from connectors.kit.transport.transport import Transport
from contracts.accounts import Offers
from contracts.connector import Connector
from contracts.errors import Misconfigured, NotFound, Reauthorize, Retryable
from contracts.gates import Gate
from contracts.login import Login, OAuthLogin
from storage.connections import Connection, Grant
from storage.grants import Grants
from storage.pausing import require_unpaused
from workers.refreshing import Refresher

LASTS: Final = timedelta(minutes=2)
"""Tokens last for so long at least, where the provider gives such: longer than a job's calls."""

MANUAL: Final = "manual"
"""The login of a grant that an operator brought."""


class Caller(NamedTuple):
    """A client that carries the tokens of `grant`, to the provider's own hosts alone."""

    grant: Grant
    client: httpx.Client


class Accounts:
    """Lends out clients that call for a connection. Safe to share between threads."""

    def __init__(
        self,
        transport: Transport,
        refresher: Refresher,
        grants: Grants,
        logins: Mapping[str, Login],
        connectors: Mapping[str, Connector],
        account_of: Callable[[Connection], str],
    ) -> None:
        """`account_of`: the connection's id at the provider, whose limits its calls use."""
        self._transport = transport
        self._account_of = account_of
        self._refresher = refresher
        self._grants = grants
        self._logins = logins
        self._offers = {name: one for name, one in connectors.items() if isinstance(one, Offers)}

    def over(self, transport: Transport) -> Self:
        """The same, whose clients call over another transport."""
        other = copy(self)
        other._transport = transport  # noqa: SLF001 (our own kind)
        return other

    def client_for(
        self, connection: Connection, *, job: str, only: Collection[str] | None = None
    ) -> httpx.Client:
        """A client with fresh tokens of the connection's best grant, opened for `job`: for what a
        tenant asks of it. `only`: the hosts that it reaches.

        Raises `Paused`, `NotFound` when no grant carries it, `Reauthorize` when only its owner can
        help, `Misconfigured` when its login is off, and what `Refresher.fresh` raises.
        """
        require_unpaused(connection)
        return self.caller_for(connection, job=job, only=only).client

    def caller_for(
        self,
        connection: Connection,
        *,
        job: str,
        but: Collection[str] = (),
        only: Collection[str] | None = None,
    ) -> Caller:
        """The same for a paused one too, as looks need it; and whose tokens they are: what the
        provider says of them is said of it. `but`: the ids of grants that it is known to take no
        more.
        """
        first: Exception | None = None
        grants = [g for g in self._grants.of_connection(connection.id) if g.id not in but]
        for grant in best_first(grants):
            try:
                return self._caller(connection, grant, job, only)
            except (Reauthorize, Retryable) as error:
                first = first or error
        raise first or NotFound(f"no grant carries connection {connection.id}")

    def can_call(self, connection: Connection, grants: Sequence[Grant]) -> bool:
        """Whether there is a way for the tokens of its `grants`. There may be none for those that
        were brought by hand: nothing tells whose login is meant while that is off.
        """
        by_hand = all(grant.login == MANUAL for grant in grants)
        offered = self._offers.get(connection.provider)
        return not by_hand or bool(offered and offered.login in self._logins)

    def plain(self) -> httpx.Client:
        """A client without tokens, as logins want it."""
        return self._transport.client()

    def _caller(
        self, connection: Connection, grant: Grant, job: str, only: Collection[str] | None
    ) -> Caller:
        login = self._login(connection, grant)
        tokens = self._refresher.fresh(grant.id, job=job, at_least=LASTS)
        asset = Gate(connection.provider, self._account_of(connection))
        auth = login.carry(tokens)
        return Caller(grant, self._transport.client(auth, asset=asset, only=only))

    def _login(self, connection: Connection, grant: Grant) -> OAuthLogin:
        """A token brought by hand goes the way of those that its provider's own login gives."""
        offered = self._offers.get(connection.provider)
        usual = offered.login if offered else ""
        login = self._logins.get(grant.login) or self._logins.get(usual)
        if not isinstance(login, OAuthLogin):
            raise Misconfigured(f"login {usual or grant.login} is off")
        return login


def best_first(grants: Sequence[Grant]) -> list[Grant]:
    """Grants that the provider takes, those that allow the most first, then the newest."""
    live = [grant for grant in grants if not grant.refusal] or grants
    return sorted(live, key=lambda grant: (-len(grant.scopes), -(grant.obtained_at_ms or 0)))
