"""API keys: only their hashes are kept; a key is shown once, when it is made."""

import hashlib
import secrets
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple, get_args

import sqlalchemy as sa

from contracts.errors import InvalidInput, NotFound, Unauthenticated
from storage.connections import new_id
from storage.database import Database, now_ms
from storage.schema import api_keys

Role = Literal["crm", "operator", "admin"]
ROLES: Final[tuple[Role, ...]] = get_args(Role)


class ApiKey(NamedTuple):
    """A key's row without its hash. `tenant` None: for all tenants."""

    id: str
    name: str
    role: Role
    tenant: str | None
    created_at_ms: int
    revoked_at_ms: int | None


_COLUMNS: Final = [api_keys.c[name] for name in ApiKey._fields]


class ApiKeys:
    """Stores API keys of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, role: str, tenant: str | None, name: str) -> tuple[ApiKey, str]:
        """A new key and its clear text (`cbg_` and 43 characters). Raises `InvalidInput`."""
        if role not in ROLES:
            raise InvalidInput(f"role: one of {', '.join(ROLES)}")
        clear = f"cbg_{secrets.token_urlsafe(32)}"
        key = ApiKey(new_id("key"), name, role, tenant, now_ms(), None)
        with self._database.write() as connection:
            connection.execute(sa.insert(api_keys).values(**key._asdict(), hash=_hash(clear)))
        return key, clear

    def authenticate(self, clear: str) -> ApiKey:
        """The key of a clear text, found by its hash. Raises `Unauthenticated`."""
        with self._database.read() as connection:
            wanted = sa.select(*_COLUMNS).where(api_keys.c.hash == _hash(clear))
            row = connection.execute(wanted).first()
        if row is None or row.revoked_at_ms is not None:
            raise Unauthenticated("unknown or revoked API key")
        return ApiKey(*row)

    def list(self) -> Sequence[ApiKey]:
        """Oldest first, revoked ones too."""
        with self._database.read() as connection:
            rows = connection.execute(sa.select(*_COLUMNS).order_by(api_keys.c.created_at_ms))
            return [ApiKey(*row) for row in rows]

    def revoke(self, key_id: str) -> ApiKey:
        """Revoke for good; once more changes nothing. Raises `NotFound`."""
        live = sa.and_(api_keys.c.id == key_id, api_keys.c.revoked_at_ms.is_(None))
        with self._database.write() as connection:
            connection.execute(sa.update(api_keys).where(live).values(revoked_at_ms=now_ms()))
            row = connection.execute(sa.select(*_COLUMNS).where(api_keys.c.id == key_id)).first()
        if row is None:
            raise NotFound("no such key")  # who revokes may give the key itself
        return ApiKey(*row)


def _hash(clear: str) -> bytes:
    """SHA-256; a key has 256 random bits, so that a slow hash would add nothing."""
    return hashlib.sha256(clear.encode()).digest()
