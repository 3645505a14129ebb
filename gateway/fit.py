"""Whether the key store belongs to the database: what one row that does not open has to mean."""

import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from contracts.errors import KeyDestroyed, Tampered, UnknownKey
from token_vault import TenantKeys

REMEMBERED_S: Final = 5.0
MOST_TENANTS: Final = 100
"""So many of the oldest tenants are asked after: also an old copy of the key store knows those."""


class Keys(Protocol):
    """What is needed of the vault."""

    def check(self) -> None: ...

    def tenant(self, tenant: str) -> TenantKeys: ...


class Fit:
    """Tells a row that is broken, and may be passed over, from a key store that opens nothing."""

    def __init__(
        self,
        vault: Keys,
        tenants: Callable[[int], Sequence[str]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`tenants(n)` names at most `n` tenants of the database, oldest first."""
        self._vault = vault
        self._tenants = tenants
        self._clock = clock
        self._good_until = float("-inf")

    def check(self) -> None:
        """Return when this key store opens the database's keys; remembered for 5 s, so that it
        costs nothing. Raises `UnknownKey` when it does not, `Unavailable` when that cannot be seen.
        """
        if self._clock() < self._good_until:
            return
        try:
            self._vault.check()
        except Tampered as error:
            raise UnknownKey(f"the key store does not open: {error}") from error
        tenants = self._tenants(MOST_TENANTS)
        if tenants and not any(map(self._knows, tenants)):
            raise UnknownKey("the key store knows no tenant of this database")
        self._good_until = self._clock() + REMEMBERED_S

    def _knows(self, tenant: str) -> bool:
        try:
            self._vault.tenant(tenant)
        except KeyDestroyed:
            return True
        except (UnknownKey, Tampered):
            return False
        return True
