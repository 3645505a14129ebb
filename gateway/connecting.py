"""Connects an account by hand: checked, sealed for its tenant, and routed from then on."""

import re
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

import structlog

from contracts.connection import AccountDetails, decode_details, encode_details
from contracts.errors import InvalidInput, KeyDestroyed, Tampered, UnknownKey
from contracts.login import Tokens
from contracts.tokens import Secret
from gateway.fit import Fit
from storage.connections import ADOPT_MS, Connection, Connections, Grant, Granted, new_id
from storage.database import now_ms
from token_vault import Purpose, TenantKeys, Vault, seal_tokens

log = structlog.get_logger()

MANUAL: Final = "manual"
"""The login of a grant that an operator brought: nobody consented through us."""

_TENANT: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_LONGEST: Final = 256


class ManualAccount(NamedTuple):
    """An account as an operator names it: `account` is the provider's id, `name` is for people,
    `parent` the provider's id of what it is part of, if anything.
    """

    tenant: str
    provider: str
    account: str
    name: str = ""
    parent: str = ""


class Connected(NamedTuple):
    """A connection with its details opened; `granted` is what the grants that carry it give,
    None when it has none that the provider takes, and so cannot call out.

    `details` is None once the tenant's keys were destroyed, and when they do not open.
    """

    connection: Connection
    details: AccountDetails | None
    granted: Granted | None

    @property
    def calls_out(self) -> bool:
        """Whether a grant carries it."""
        return self.granted is not None


def check_tenant(tenant: str) -> str:
    """`tenant` as it is. Raises `InvalidInput` unless it is a name that we give to tenants."""
    if not _TENANT.fullmatch(tenant):
        raise InvalidInput(
            "tenant: 1 to 64 of a-z, 0-9, '_', '.' and '-', beginning with a letter or a digit"
        )
    return tenant


class Connecting:
    """Adds connections and opens their details, over one database and one vault."""

    def __init__(self, connections: Connections, vault: Vault, providers: Collection[str]) -> None:
        """`providers`: the names that an account may be connected at."""
        self._connections = connections
        self._vault = vault
        self._fit = Fit(vault, connections.tenants)
        self._providers = providers

    def add(self, new: ManualAccount, token: Secret | None) -> Connected:
        """Store an active connection; without `token` it receives, but cannot call out.

        It is given what came in unrouted for its account in the last 72 hours, unless another
        tenant ever had the account. Makes the tenant's keys when it has none. Raises
        `InvalidInput`, `Conflict` when the tenant has the account already, `KeyDestroyed` for a
        tenant that was erased.
        """
        self._check(new)
        self._vault.create_tenant(new.tenant)
        keys = self._vault.tenant(new.tenant)
        now = now_ms()
        details = AccountDetails(new.account, new.name, parent=new.parent)
        id_ = new_id("con")
        connection = Connection(
            id=id_,
            tenant=new.tenant,
            provider=new.provider,
            account=keys.hash("account", new.provider, new.account),
            sealed=keys.seal(Purpose.CONNECTION, id_.encode(), encode_details(details)),
            status="active",
            status_reason="",
            created_at_ms=now,
            changed_at_ms=now,
            receives_from_ms=now - ADOPT_MS,
        )
        deployment = self._vault.deployment()
        routes = [deployment.hash("route", new.provider, route) for route in details.routes]
        grant = _grant(new, token, keys, now) if token else None
        added = self._connections.add(connection, routes, grant)
        return Connected(added, details, self._connections.granted([added.id]).get(added.id))

    def open(self, connections: Sequence[Connection]) -> list[Connected]:
        """The same connections with their details. Raises `UnknownKey` when the key store is
        another database's.
        """
        granted = self._connections.granted([connection.id for connection in connections])
        return [
            Connected(connection, self._details(connection), granted.get(connection.id))
            for connection in connections
        ]

    def _details(self, connection: Connection) -> AccountDetails | None:
        try:
            keys = self._vault.tenant(connection.tenant)
            plain = keys.open(Purpose.CONNECTION, connection.id.encode(), connection.sealed)
        except KeyDestroyed:
            return None
        except (Tampered, UnknownKey) as error:
            self._fit.check()
            log.error("connection.unreadable", connection=connection.id, reason=error.reason)
            return None
        return decode_details(plain)

    def _check(self, new: ManualAccount) -> None:
        check_tenant(new.tenant)
        if new.provider not in self._providers:
            raise InvalidInput(f"provider: one of {', '.join(sorted(self._providers))}")
        if not new.account or not _is_plain(new.account):
            raise InvalidInput(f"account: 1 to {_LONGEST} printable characters")
        if not _is_plain(new.name):
            raise InvalidInput(f"name: at most {_LONGEST} printable characters")
        if not _is_plain(new.parent):
            raise InvalidInput(f"parent: at most {_LONGEST} printable characters")


def _is_plain(text: str) -> bool:
    return len(text) <= _LONGEST and text.isprintable()


def _grant(new: ManualAccount, token: Secret, keys: TenantKeys, now: int) -> Grant:
    id_ = new_id("gra")
    tokens = Tokens(token, datetime.fromtimestamp(now / 1000, UTC))
    return Grant(
        id=id_,
        tenant=new.tenant,
        login=MANUAL,
        subject=keys.hash("subject", MANUAL, new.provider, new.account),
        scopes=[],
        sealed=seal_tokens(keys, id_, tokens),
        version=1,
        created_at_ms=now,
        obtained_at_ms=now,
    )
