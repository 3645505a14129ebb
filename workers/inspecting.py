"""Asks the provider how a connection stands: what its grants allow, what its account delivers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from contracts.accounts import Registers, Subscribed, Subscribes
from contracts.causes import REFUSED, REGISTRATION, SCOPES, SUBSCRIPTION, of_grant
from contracts.connection import AccountDetails, encode_details
from contracts.connector import Connector
from contracts.errors import (
    Misconfigured,
    PermissionMissing,
    Reauthorize,
    Retryable,
    TokenRefused,
)
from contracts.login import Login, OAuthLogin
from storage.activity import Activity
from storage.connections import Connection, Grant
from storage.database import now_ms
from storage.gaps import Gap, gap
from storage.grants import RECONCILE, Grants
from storage.inspections import Allowed, Inspections, NewParent, Seen
from token_vault import Purpose, Vault
from workers.calling import Accounts
from workers.normalizing import account_details
from workers.refreshing import Refresher

if TYPE_CHECKING:
    import httpx

Refused = Sequence[tuple[Grant, str]]
"""Grants, and why the provider does not take them."""

_NOTHING: Final = Subscribed(on=False)


class Look(NamedTuple):
    """A connection that is looked at, and when something was received for it. `calling` is called
    before calls to the provider.
    """

    connection: Connection
    activity: Activity | None
    calling: Callable[[], None]


class Found(NamedTuple):
    """What a look found out. `missing`: features chosen that do not work."""

    causes: dict[str, str]
    missing: Sequence[str] = ()
    allowed: Sequence[Allowed] = ()
    refused: Refused = ()
    subscription: Seen | None = None
    gap: Gap | None = None
    parent: NewParent | None = None


class Permissions(NamedTuple):
    """What the grants of a connection allow; `scopes` None: one of them cannot be asked. `refused`:
    those that the provider did not take just now, `dead`: those and the ones before.
    """

    scopes: frozenset[str] | None
    allowed: Sequence[Allowed]
    refused: Refused
    dead: Refused
    is_alive: bool


class Inspector:
    """Looks at connections, and subscribes them where that is needed. Holds nothing over a call,
    and writes nothing.
    """

    def __init__(
        self,
        grants: Grants,
        inspections: Inspections,
        accounts: Accounts,
        refresher: Refresher,
        vault: Vault,
        logins: Mapping[str, Login],
        connectors: Mapping[str, Connector],
    ) -> None:
        self._grants, self._inspections = grants, inspections
        self._accounts, self._refresher, self._vault = accounts, refresher, vault
        self._logins, self._connectors = logins, connectors

    def look(self, look: Look) -> Found:
        """Raises `Misconfigured` for a provider or a login that is off, and what logins and
        connectors raise for a provider that cannot answer now.
        """
        return self._look(look, ())

    def _look(self, look: Look, refused: Refused) -> Found:
        """`refused`: grants that the provider did not take just now."""
        connector = self._connectors.get(look.connection.provider)
        if connector is None:
            raise Misconfigured(f"provider {look.connection.provider} is off")
        grants = self._grants.of_connection(look.connection.id)
        connection = look.connection
        given = self._permissions(look, grants, refused)
        if not given.is_alive:
            dead = {of_grant(REFUSED, grant.id): reason for grant, reason in given.dead}
            return Found(dead, connection.missing, given.allowed, given.refused)
        lacking = _lacking(connector, connection.features, given.scopes)
        found = Found({}, list(lacking), given.allowed, given.refused)
        if lacking:
            found.causes[SCOPES] = "; ".join(lacking.values())
        works = _working(connector, connection.features, lacking)
        if (
            works
            and isinstance(connector, Subscribes)
            and self._accounts.can_call(connection, grants)
        ):
            return self._subscription(look, connector, works, found)
        return found

    # -- what grants allow ------------------------------------------------------------------

    def _permissions(self, look: Look, grants: Sequence[Grant], already: Refused) -> Permissions:
        asked = self._inspections.asked([grant.id for grant in grants])
        allowed: list[Allowed] = []
        refused = [*already]
        dead = {grant.id for grant, _ in already}
        live = [grant for grant in grants if not grant.refusal]
        for grant in live:
            if grant.id in dead:
                continue
            login = self._logins.get(grant.login)
            if not isinstance(login, OAuthLogin):
                continue
            try:
                look.calling()
                allowed.append(self._allowed(grant, login, asked.get(grant.id, frozenset())))
            except Reauthorize as error:
                refused.append((self._grants.get(grant.id), str(error)))
        is_whole = len(allowed) + len(refused) == len(live)
        scopes = frozenset[str]().union(*(one.scopes for one in allowed)) if is_whole else None
        before = [(grant, grant.refusal) for grant in grants if grant.refusal]
        return Permissions(scopes, allowed, refused, before + refused, len(refused) < len(live))

    def _allowed(self, grant: Grant, login: OAuthLogin, asked: frozenset[str]) -> Allowed:
        try:
            scopes = self._scopes(grant, login)
        except TokenRefused:  # whether the grant has ended as well, a refresh tells
            self._refresher.renew(grant)
            scopes = self._scopes(grant, login)
        now = self._grants.get(grant.id)
        wanted = asked | set(now.scopes) | set(now.declined)
        return Allowed(now, scopes, wanted - scopes)

    def _scopes(self, grant: Grant, login: OAuthLogin) -> frozenset[str]:
        tokens = self._refresher.fresh(grant.id, job=RECONCILE)
        told = login.permissions(self._accounts.plain(), tokens)
        return frozenset(grant.scopes) if told is None else told

    # -- what the account delivers ----------------------------------------------------------

    def _subscription(
        self, look: Look, connector: Subscribes, features: Collection[str], found: Found
    ) -> Found:
        connection = look.connection
        details = account_details(connection, self._vault.tenant(connection.tenant))
        if not details.parent and (parent := self._parent(look, connector, details, found)):
            details = msgspec.structs.replace(details, parent=parent)
            found = found._replace(parent=self._part(connection, details))
        account = details.subscribed
        route = self._vault.deployment().hash("route", connection.provider, account)
        known = self._inspections.subscription(connection.provider, route, connection.id)
        if known and known.ending:
            raise Retryable("the account is being disconnected just now", after_s=5)
        look.calling()
        dead = {grant.id for grant, _ in found.refused}
        caller = self._accounts.caller_for(connection, job=RECONCILE, but=dead)
        first: Subscribed | None = None
        shown: Subscribed | None = None
        refusal = ""
        try:
            if isinstance(connector, Registers) and _is_to_be_registered(connection):
                if problem := _registered(connector, caller.client, details.account):
                    found.causes[REGISTRATION] = problem
                look.calling()
            if connection.status != "pending":
                first = shown = connector.inspect(caller.client, account, features)
            if shown is None or not _is_whole(shown):
                look.calling()
                connector.subscribe(caller.client, account, features)
                look.calling()
                shown = connector.inspect(caller.client, account, features)
        except PermissionMissing as error:
            refusal = _disallowed(error)
        except Reauthorize as error:  # another grant may do, and may allow less
            grant = self._grants.get(caller.grant.id)
            return self._look(look, [*found.refused, (grant, str(error))])
        good_ms = known.checked_at_ms if known and connection.status != "pending" else None
        seen = _seen(connection.provider, route, shown, refusal, good_ms)
        if seen.detail:
            found.causes[SUBSCRIPTION] = seen.detail
        return found._replace(subscription=seen, gap=_lost(seen, first, good_ms, look.activity))

    def _parent(
        self, look: Look, connector: Subscribes, details: AccountDetails, found: Found
    ) -> str:
        """Of an account that was connected without. What refuses to say it refuses the rest too,
        which is found out there.
        """
        look.calling()
        dead = {grant.id for grant, _ in found.refused}
        client = self._accounts.caller_for(look.connection, job=RECONCILE, but=dead).client
        try:
            return connector.parent(client, details.account)
        except (PermissionMissing, Reauthorize):
            return ""

    def _part(self, connection: Connection, details: AccountDetails) -> NewParent:
        keys = self._vault.tenant(connection.tenant)
        route = self._vault.deployment().hash("route", connection.provider, details.parent)
        sealed = keys.seal(Purpose.CONNECTION, connection.id.encode(), encode_details(details))
        return NewParent(route, connection.sealed, sealed)


def _is_to_be_registered(connection: Connection) -> bool:
    """While it is being set up, and as long as that is refused: who takes the account elsewhere
    later means it, also when its subscription goes with it.
    """
    return connection.status == "pending" or REGISTRATION in connection.causes


def _registered(connector: Registers, client: httpx.Client, account: str) -> str:
    """Why it could not be; empty when it is."""
    try:
        connector.register(client, account)
    except PermissionMissing as error:
        return _disallowed(error)
    return ""


def _disallowed(error: PermissionMissing) -> str:
    return f"the provider does not allow it: {error}"


def _seen(
    provider: str, route: bytes, shown: Subscribed | None, refusal: str, good_ms: int | None
) -> Seen:
    """The subscription after we saw to it. `shown` None: nothing was to be seen."""
    if shown is not None and not refusal and _is_whole(shown):
        return Seen(provider, route, True, checked_at_ms=now_ms())
    if shown is None:
        return Seen(provider, route, None, (), refusal, good_ms)
    return Seen(provider, route, shown.on, [*shown.missing], refusal or _lacks(shown), good_ms)


def _lost(
    seen: Seen, before: Subscribed | None, good_ms: int | None, activity: Activity | None
) -> Gap | None:
    """What was not delivered while the subscription was not whole, now that it is. What has only
    begun (`before` None) has lost nothing.
    """
    if seen.detail or before is None or _is_whole(before) or good_ms is None:
        return None
    heard_ms = activity.last_at_ms if activity and not before.on else 0
    return gap(seen.account, max(good_ms, heard_ms), seen.checked_at_ms or now_ms(), "unsubscribed")


def _is_whole(shown: Subscribed) -> bool:
    return shown.on and not shown.missing


def _lacks(shown: Subscribed) -> str:
    if not shown.on:
        return "the provider shows none, although we asked for it"
    return f"the provider does not show {', '.join(sorted(shown.missing))}"


def _lacking(
    connector: Connector, chosen: Collection[str], scopes: frozenset[str] | None
) -> dict[str, str]:
    """Features that were chosen and lack scopes, and which, in words. Where nobody chose, or the
    scopes are not known, nothing is missed.
    """
    lacking: dict[str, str] = {}
    for feature in connector.features:
        missing = sorted(set(feature.scopes) - scopes) if scopes is not None else []
        if feature.name in chosen and missing:
            lacking[feature.name] = f"{feature.name} needs {', '.join(missing)}, not granted"
    return lacking


def _working(connector: Connector, chosen: Collection[str], lacking: Collection[str]) -> list[str]:
    wanted = chosen or connector.usual_features()
    names = [feature.name for feature in connector.features]
    return [name for name in names if name in wanted and name not in lacking]
