"""Asks the provider how a connection stands: what its grants allow, what its account delivers."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, NamedTuple

from contracts.accounts import Subscribed, Subscribes
from contracts.causes import REFUSED, SCOPES, SUBSCRIPTION, of_grant
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
from storage.inspections import MISSING, ON, Allowed, Inspections, Subscription
from token_vault import Vault
from workers.calling import Accounts
from workers.normalizing import account_details
from workers.refreshing import Refresher

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
    refused: Sequence[tuple[Grant, str]] = ()
    subscription: Subscription | None = None
    gap: Gap | None = None


class Permissions(NamedTuple):
    """What the grants of a connection allow; `scopes` None: one of them cannot be asked. `refused`:
    those that the provider did not take just now, `dead`: those and the ones before.
    """

    scopes: frozenset[str] | None
    allowed: Sequence[Allowed]
    refused: Sequence[tuple[Grant, str]]
    dead: Sequence[tuple[Grant, str]]
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
        connector = self._connectors.get(look.connection.provider)
        if connector is None:
            raise Misconfigured(f"provider {look.connection.provider} is off")
        grants = self._grants.of_connection(look.connection.id)
        connection = look.connection
        given = self._permissions(look, grants)
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

    def _permissions(self, look: Look, grants: Sequence[Grant]) -> Permissions:
        asked = self._inspections.asked([grant.id for grant in grants])
        allowed: list[Allowed] = []
        refused: list[tuple[Grant, str]] = []
        live = [grant for grant in grants if not grant.refusal]
        for grant in live:
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
        dead = [(grant, grant.refusal) for grant in grants if grant.refusal] + refused
        return Permissions(scopes, allowed, refused, dead, len(refused) < len(live))

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
        account = account_details(connection, self._vault.tenant(connection.tenant)).account
        route = self._vault.deployment().hash("route", connection.provider, account)
        known = self._inspections.subscription(connection.provider, route)
        if known and known.ending:
            raise Retryable("the account is being disconnected just now", after_s=5)
        look.calling()
        caller = self._accounts.caller_for(connection, job=RECONCILE)
        first = shown = _NOTHING
        refusal = ""
        try:
            if connection.status != "pending":
                first = shown = connector.inspect(caller.client, account, features)
            if not _is_whole(shown):
                look.calling()
                connector.subscribe(caller.client, account, features)
                look.calling()
                shown = connector.inspect(caller.client, account, features)
        except PermissionMissing as error:
            refusal = f"the provider does not allow it: {error}"
        except Reauthorize as error:
            grant = self._grants.get(caller.grant.id)
            if all(one.grant.id == grant.id for one in found.allowed):  # no other is left
                found.causes[of_grant(REFUSED, grant.id)] = str(error)
            return found._replace(refused=[*found.refused, (grant, str(error))])
        return _with(
            found, connection.provider, route, known, (first, shown), refusal, look.activity
        )


def _with(
    found: Found,
    provider: str,
    route: bytes,
    known: Subscription | None,
    shown: tuple[Subscribed, Subscribed],
    refusal: str,
    activity: Activity | None,
) -> Found:
    """`found`, with what the subscription was before and is after we saw to it."""
    before, after = shown
    good_ms = known.checked_at_ms if known else None
    if refusal or not _is_whole(after):
        reason = refusal or _lacks(after)
        found.causes[SUBSCRIPTION] = reason
        state = Subscription(provider, route, MISSING, sorted(after.missing), reason)
        return found._replace(subscription=state._replace(checked_at_ms=good_ms))
    now = now_ms()
    whole = Subscription(provider, route, ON, checked_at_ms=now)
    if good_ms is None or _is_whole(before):
        return found._replace(subscription=whole)
    heard_ms = activity.last_at_ms if activity and not before.on else 0
    lost = gap(route, max(good_ms, heard_ms), now, "unsubscribed")
    return found._replace(subscription=whole, gap=lost)


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
    names = [feature.name for feature in connector.features]
    return [name for name in names if (not chosen or name in chosen) and name not in lacking]
