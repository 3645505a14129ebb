"""Who calls: API keys, their roles and the tenant they are bound to."""

import hashlib
import re
import time
from collections.abc import Callable
from typing import Final, Protocol

from contracts.errors import Forbidden, NotFound, Unauthenticated
from gateway.metrics import Metrics
from gateway.threads import Threads
from storage.api_keys import ApiKey, Role

REMEMBERED_S: Final = 5.0
"""How long a key that was good is not asked for again: a revoked one may work for so long."""
MOST_REMEMBERED: Final = 10_000
_SCHEME: Final = "bearer "
_FORM: Final = re.compile(r"cbg_[A-Za-z0-9_-]{43}")
"""What is not of this form is refused without the database."""


class KeyStore(Protocol):
    """What `storage.ApiKeys` is to the edge."""

    def authenticate(self, clear: str) -> ApiKey: ...


class Auth:
    """Finds and checks the key of a call."""

    def __init__(
        self,
        keys: KeyStore,
        threads: Threads,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` counts seconds."""
        self._keys = keys
        self._threads = threads
        self._refused = metrics.refused_auth
        self._clock = clock
        self._known: dict[bytes, tuple[float, ApiKey]] = {}

    async def key(self, authorization: str | None, roles: frozenset[Role]) -> ApiKey:
        """The key of an `Authorization` header, if it has one of `roles`; an admin has all.

        Raises `Unauthenticated`, `Forbidden`, and `StoreUnavailable` for a key not seen lately.
        """
        try:
            key = await self._find(authorization or "")
            if key.role != "admin" and key.role not in roles:
                raise Forbidden(f"needs the role {' or '.join(sorted(roles))}")
        except (Unauthenticated, Forbidden) as error:
            self._refused.labels(error.reason).inc()
            raise
        return key

    def forget(self) -> None:
        """Ask the store again from now on; for the process that revoked a key itself."""
        self._known.clear()

    async def _find(self, authorization: str) -> ApiKey:
        if authorization[: len(_SCHEME)].lower() != _SCHEME:
            raise Unauthenticated("send Authorization: Bearer <key>")
        clear = authorization[len(_SCHEME) :].strip()
        if not _FORM.fullmatch(clear):
            raise Unauthenticated("not an API key: cbg_ and 43 characters")
        digest = hashlib.sha256(clear.encode()).digest()
        known = self._known.get(digest)
        if known is not None and self._clock() < known[0]:
            return known[1]
        self._known.pop(digest, None)
        key = await self._threads.run(self._keys.authenticate, clear)
        if len(self._known) >= MOST_REMEMBERED:
            self._known.clear()
        self._known[digest] = (self._clock() + REMEMBERED_S, key)
        return key


def tenant_of(key: ApiKey, asked: str | None) -> str | None:
    """The tenant that a call is about: the key's own, or the one asked for by a key of all tenants.

    Raises `Forbidden` when a tenant's key asks for another one.
    """
    if key.tenant is None:
        return asked
    if asked not in (None, key.tenant):
        raise Forbidden("the key is bound to another tenant")
    return key.tenant


def require_tenant(key: ApiKey, tenant: str, missing: str) -> None:
    """Let a key see what belongs to `tenant`; others are told `missing`, as if it did not exist."""
    if key.tenant not in (None, tenant):
        raise NotFound(missing)


def require_all_tenants(key: ApiKey) -> None:
    """Refuse keys of one tenant where something belongs to none. Raises `Forbidden`."""
    if key.tenant is not None:
        raise Forbidden("needs a key that is not bound to a tenant")
