"""The vault: makes, opens, caches and destroys the keys of tenants, days and the gateway itself."""

import time
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from functools import partial

import structlog

from contracts.errors import InvalidInput, KeyDestroyed, UnknownKey
from token_vault import keysets
from token_vault.cache import Expiring
from token_vault.escrow import ESCROW, Escrow
from token_vault.keks import Keks
from token_vault.keysets import Keyset
from token_vault.keystore import Erasure, KeyRow, KeyStore
from token_vault.proof import broken_keys
from token_vault.rotation import TENANT_DATA, KeyRotation
from token_vault.runs import OpenDay, RunOpener, RunSealer
from token_vault.tenant_keys import DeploymentKeys, TenantKeys

log = structlog.get_logger()

TENANT_PRF = "tenant-prf"
GATEWAY_PRF = "gateway-prf"
DAY = "day"

CACHE_S = 300.0
"""The longest that a process uses a key without asking for it again."""

GATEWAY = "gateway"
"""The name under which the gateway's own key is stored."""


class Vault:
    """The only way to keys. Safe to share between threads; build one per process, after forking.

    A key-encryption key is loaded when a key is first wrapped or unwrapped, so that a process
    starts without it. Opened keys are used for at most `cache_s` seconds: that is how long a
    process may go on opening what another one destroys.

    Methods raise `KeyUnavailable` when the key store or the key-encryption key is away and the
    cache does not help; other errors are said at each.
    """

    def __init__(
        self,
        keystore: KeyStore,
        keks: Keks,
        *,
        cache_s: float = CACHE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` counts seconds; connects to nothing and opens nothing yet."""
        self._store = keystore
        self._keks = keks
        self._kek_fits = False
        self._told: list[str] = []
        self._tenants: Expiring[str, TenantKeys] = Expiring(cache_s, clock)
        self._days: Expiring[date, OpenDay] = Expiring(cache_s, clock)
        self._deployment: DeploymentKeys | None = None
        self.rotation = KeyRotation(keystore, keks, self.forget)
        self.escrow = Escrow(keystore, keks)

    # -- the store itself -------------------------------------------------------------------

    def upgrade(self) -> None:
        """Bring the key store's schema to what this build needs; repeatable, race-safe."""
        self._store.create()

    def check(self) -> None:
        """Prove that the key-encryption keys are those of this key store; keys that are broken
        nevertheless are said in the log, once. Raises as `broken`.
        """
        broken = self.broken()
        if broken and broken != self._told:
            log.warning("vault.broken_keys", keys=broken)
        self._told = broken

    def broken(self) -> list[str]:
        """Keys that do not open though others do, `kind name`: a few of each key-encryption key
        are tried.

        A fresh store passes. Raises `UnknownKey | Tampered` when the key-encryption keys are not
        those of this key store: nothing may be wrapped or opened then.
        """
        broken = broken_keys(self._store, self._keks)
        self._kek_fits = True
        return broken

    def close(self) -> None:
        """Forget opened keys and let go of the key store's connections."""
        self._tenants.clear()
        self._days.clear()
        self._deployment = None
        self._store.close()

    # -- tenants ----------------------------------------------------------------------------

    def create_tenant(self, tenant: str) -> None:
        """Make the tenant's keys if it has none; of several at once, one set of keys wins.

        Raises `KeyDestroyed` for a tenant that was destroyed: a name never comes back to life.
        """
        if not tenant or not tenant.isprintable():
            raise InvalidInput("a tenant's name must be printable text")
        rows = self._store.read(tenant, (TENANT_DATA, TENANT_PRF))
        if any(row.wrapped is None for row in rows.values()):
            raise KeyDestroyed("the tenant's keys were destroyed")
        if len(rows) < 2:
            data = self._wrapped(TENANT_DATA, tenant, keysets.new_aead())
            self._store.add([data, self._wrapped(TENANT_PRF, tenant, keysets.new_prf())])

    def tenant(self, tenant: str) -> TenantKeys:
        """The tenant's keys. Raises `UnknownKey | KeyDestroyed | Tampered`."""
        return self._tenants.get(tenant) or self._open_tenant(tenant)

    def destroy_tenant(self, tenant: str) -> None:
        """Shred the tenant's keys, journaled; what they sealed is gone, in backups too.

        Repeatable. Raises `UnknownKey` for a tenant that never had keys.
        """
        try:
            self._destroy(tenant, (TENANT_DATA, TENANT_PRF), erasure="tenant", tenant=tenant)
        finally:  # what could not be scrubbed is destroyed all the same
            self._tenants.drop(tenant)

    def forget(self, tenant: str) -> None:
        """Drop the tenant's opened keys, so that the next use reads the key store."""
        self._tenants.drop(tenant)

    def _open_tenant(self, tenant: str) -> TenantKeys:
        generation = self._tenants.generation
        rows = self._store.read(tenant, (TENANT_DATA, TENANT_PRF))
        if len(rows) < 2:
            raise UnknownKey("the tenant has no keys in this key store")
        data, prf = rows[TENANT_DATA], rows[TENANT_PRF]
        newer = partial(self._newer, tenant)
        opened = self._keks.unwrap(data), self._keks.unwrap(prf)
        keys = TenantKeys(tenant, *opened, version=data.version, newer=newer)
        self._tenants.put(tenant, keys, generation)
        return keys

    def _newer(self, tenant: str, version: int) -> tuple[int, Keyset] | None:
        """The tenant's data key if its row is no longer the one of `version`."""
        row = self._store.read(tenant, (TENANT_DATA,)).get(TENANT_DATA)
        if row is None or row.version == version:
            return None
        return row.version, self._keks.unwrap(row)

    # -- the gateway itself -----------------------------------------------------------------

    def deployment(self) -> DeploymentKeys:
        """The gateway's own PRF key, made on first use. Raises `Tampered | UnknownKey`.

        Once opened it is kept while the process lives: nobody ever destroys it, and so an edge
        that has it goes on without the key-encryption key.
        """
        if self._deployment is None:
            self._deployment = DeploymentKeys(self._gateway_prf())
        return self._deployment

    def _gateway_prf(self) -> Keyset:
        row = self._store.read(GATEWAY, (GATEWAY_PRF,)).get(GATEWAY_PRF)
        if row is None:
            self._store.add([self._wrapped(GATEWAY_PRF, GATEWAY, keysets.new_prf())])
            row = self._store.read(GATEWAY, (GATEWAY_PRF,))[GATEWAY_PRF]
        return self._keks.unwrap(row)

    # -- days -------------------------------------------------------------------------------

    def ensure_days(self, first: date, count: int) -> None:
        """Make key pairs for `count` days from `first` on, for raw items and for escrow, where
        there are none; race-safe.
        """
        days = [(first + timedelta(days=n)).isoformat() for n in range(count)]
        for kind in (DAY, ESCROW):
            known = {row.name for row in self._store.of_kind(kind)}
            missing = [day for day in days if day not in known]
            if missing:
                self._store.add([self._day_pair(kind, name) for name in missing])

    def run_sealer(self, day: date) -> RunSealer:
        """A fresh run key that seals raw items of `day`; needs the day's public key alone.

        Without a pair for that day it makes one, which takes the key-encryption key. Raises
        `KeyDestroyed` for a day that was destroyed, `Tampered`.
        """
        row = self._day(day)
        if row is None:
            self.ensure_days(day, 1)
            row = self._day(day)
        if row is None or row.public is None:
            raise KeyDestroyed(f"the key of {day} was destroyed")
        return RunSealer(day, row.public)

    def run_opener(self, day: date, run_id: bytes, wrapped: bytes) -> RunOpener:
        """What opens the items that `RunSealer` `run_id` sealed on `day`; `wrapped` is its key.

        Raises `KeyDestroyed | UnknownKey | Tampered`.
        """
        opened = self._days.get(day) or self._open_day(day)
        return opened.run(run_id, wrapped)

    def destroy_day(self, day: date) -> None:
        """Shred the day's private key, journaled: nothing sealed for that day opens again.

        Repeatable. Raises `UnknownKey` for a day that never had a pair.
        """
        try:
            self._destroy(day.isoformat(), (DAY,), erasure="day", tenant=None)
        finally:
            self._days.drop(day)

    def days(self) -> list[tuple[date, bool]]:
        """Every day that ever had a pair, oldest first, and whether it was destroyed."""
        rows = self._store.of_kind(DAY)
        return [(date.fromisoformat(row.name), row.wrapped is None) for row in rows]

    def _day(self, day: date) -> KeyRow | None:
        return self._store.read(day.isoformat(), (DAY,)).get(DAY)

    def _day_pair(self, kind: str, name: str) -> KeyRow:
        pair = keysets.new_hpke()
        return self._wrapped(kind, name, pair)._replace(public=keysets.public_part(pair))

    def _open_day(self, day: date) -> OpenDay:
        generation = self._days.generation
        row = self._day(day)
        if row is None:
            raise UnknownKey(f"the key store has no key of {day}")
        opened = OpenDay(day, self._keks.unwrap(row))
        self._days.put(day, opened, generation)
        return opened

    # -- erasure journal --------------------------------------------------------------------

    def erasures(self) -> list[Erasure]:
        """The erasure journal, oldest first; replayed after the main database was restored."""
        return self._store.journal()

    def record_erasure(self, kind: str, tenant: str | None, detail: str) -> None:
        """Append to the journal; `detail` holds hashes or ids, never content."""
        self._store.record(kind, tenant, detail)

    # -- wrapping ---------------------------------------------------------------------------

    def _wrapped(self, kind: str, name: str, keyset: Keyset) -> KeyRow:
        """A first row for `keyset`; a store never gets keys wrapped by two keys by accident."""
        if not self._kek_fits:
            self.check()
        return self._keks.wrap(KeyRow(kind, name, 1, None, None), keyset)

    def _destroy(
        self, name: str, kinds: Sequence[str], *, erasure: str, tenant: str | None
    ) -> None:
        if not self._store.read(name, kinds):
            raise UnknownKey(f"nothing to destroy: this {erasure} never had keys")
        detail = "" if tenant else name
        self._store.destroy(name, kinds, erasure=erasure, tenant=tenant, detail=detail)
