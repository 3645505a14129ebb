"""A person on their way through a connect page, as a row."""

import secrets

import sqlalchemy as sa

from storage.connecting_schema import connect_sessions
from storage.database import now_ms
from tests.rig import Rig
from token_vault import Purpose


def put_session(rig: Rig, tenant: str, holds: str) -> None:
    """A session of `tenant`, with something sealed in it."""
    id_ = secrets.token_hex(32)
    sealed = rig.vault.tenant(tenant).seal(Purpose.CONNECT_SESSION, id_.encode(), holds.encode())
    row = {
        "id": id_,
        "tenant": tenant,
        "business": tenant.title(),
        "provider": "facebook",
        "login": "meta",
        "features": ["messages"],
        "stage": "choosing",
        "sealed": sealed,
        "connected": [],
        "created_at_ms": now_ms(),
        "expires_at_ms": now_ms() + 3_600_000,
    }
    with rig.database.write() as connection:
        connection.execute(sa.insert(connect_sessions).values(row))
