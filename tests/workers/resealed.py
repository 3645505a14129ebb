"""What rotations of tenants' data keys are tested with: rows in every sealed column."""

import secrets
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from contracts.connector import Item
from contracts.tokens import Secret
from gateway.connecting import Connecting, ManualAccount
from storage import schema
from storage.connections import Connections
from storage.leases import Leases
from storage.resealing import SealedRows
from storage.rotations import Rotations
from storage.sealed import SEALED, Sealed
from tests.rig import Rig, text
from tests.workers.sessions import put_session
from token_vault import Purpose, Vault
from workers.resealing import Resealer

BROKEN = b'{"id":"10","messaging":[{"message":3}]}'


def populate(rig: Rig, tenant: str, page: str, texts: int = 5) -> None:
    """A connection with a token, messages and a parked item: something in every sealed column."""
    connecting = Connecting(Connections(rig.database), rig.vault, ("facebook",))
    connecting.add(ManualAccount(tenant, "facebook", page), Secret(f"token of {tenant}"))
    rig.drain(rig.put(*(text(page, "7", f"{tenant} {n}") for n in range(texts))))
    rig.drain(rig.put_items([Item("facebook", page, BROKEN.replace(b"10", page.encode()))]))
    put_session(rig, tenant, f"session of {tenant}")


def fill(rig: Rig, tenant: str, each: int = 1) -> None:
    """Made-up rows in each sealed column that has less than `each` of the tenant."""
    for column in SEALED:
        for _ in range(each - len(rows(rig, column, tenant))):
            _put_made_up(rig, column, tenant)


def _put_made_up(rig: Rig, column: Sealed, tenant: str) -> None:
    needed = [c for c in column.table.c if not c.nullable and c.server_default is None]
    row = {c.name: _made_up(c.type) for c in needed} | {"tenant": tenant}
    keys = rig.vault.tenant(tenant)
    sealed = keys.seal(Purpose(column.purpose), column.id_of(row), b"made up")
    with rig.database.write() as connection:
        connection.execute(sa.insert(column.table).values(row | {"sealed": sealed}))


def _made_up(kind: sa.types.TypeEngine[Any]) -> Any:
    if isinstance(kind, sa.LargeBinary):
        return secrets.token_bytes(16)
    if isinstance(kind, sa.Text):
        return secrets.token_hex(8)
    return False if isinstance(kind, sa.Boolean) else 1


def rows(rig: Rig, column: Sealed, tenant: str) -> list[Mapping[Any, Any]]:
    """A tenant's rows of a sealed column."""
    query = sa.select(column.table).where(column.table.c.tenant == tenant)
    with rig.database.read() as connection:
        return [*connection.execute(query.order_by(column.key)).mappings()]


def contents(rig: Rig, tenant: str, vault: Vault | None = None) -> dict[str, list[bytes]]:
    """Everything of a tenant, opened."""
    keys = (vault or rig.vault).tenant(tenant)
    return {
        column.table.name: [
            keys.open(Purpose(column.purpose), column.id_of(row), row["sealed"])
            for row in rows(rig, column, tenant)
            if row["sealed"]
        ]
        for column in SEALED
    }


def sealed_by(rig: Rig, tenant: str) -> set[bytes]:
    """The keys that have sealed something of a tenant."""
    every = [row["sealed"] for column in SEALED for row in rows(rig, column, tenant)]
    return {value[:5] for value in every if value}


def settle(rig: Rig) -> None:
    """Let the time pass after which nobody seals with an old key."""
    with rig.database.write() as connection:
        connection.execute(sa.update(schema.rotations).values(settled_ms=0))


def resealer(rig: Rig) -> Resealer:
    """Another worker's."""
    leases = Leases(rig.database, seconds=rig.settings.lease_seconds)
    rows = SealedRows(rig.database)
    return Resealer(Rotations(rig.database), rows, leases, rig.vault, rig.parts.openings)


def state(orders: Rotations, tenant: str = "acme") -> str:
    found = orders.get(tenant)
    return found.state if found else "never"
