"""Rotation: keys re-wrapped under another key-encryption key, tenants' data keys made anew."""

from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple

from contracts.errors import KeyDestroyed, KeyUnavailable, Tampered, UnknownKey, VaultError
from token_vault import keysets
from token_vault.keks import Keks
from token_vault.keysets import Keyset
from token_vault.keystore import KeyRow, KeyStore

TENANT_DATA: Final = "tenant-data"
BATCH: Final = 200
"""Keys re-wrapped in one transaction."""
CALLS: Final = 8
"""Keys re-wrapped at a time: a KMS takes tens of milliseconds for each of two calls."""
ATTEMPTS: Final = 10
"""How often another process may come between before we give up."""


class Wrapping(NamedTuple):
    """What wraps the key store's keys: `counts` by URI, None where it was never written down."""

    current: str
    previous: str | None
    counts: Mapping[str | None, int]


class Rewrapping(NamedTuple):
    """How far re-wrapping has come: keys done of `total`, and those (`kind name`) that are left."""

    done: int
    total: int
    unreadable: Sequence[str]
    """No key-encryption key of the settings opens them."""
    waiting: Mapping[str, str]
    """Their key-encryption key does not answer now, or not for them, and what it says."""


class KeyRotation:
    """Changes keys that are in use, by compare-and-swap on their rows: it may be killed at any
    moment and begun again, or be run twice at once.
    """

    def __init__(self, keystore: KeyStore, keks: Keks, forget: Callable[[str], None]) -> None:
        """`forget` drops a tenant's opened keys from this process's cache."""
        self._store = keystore
        self._keks = keks
        self._forget = forget

    def check(self) -> None:
        """Raises `KeyUnavailable` when the key store or the current key-encryption key is away, so
        that no tenant's keys could be changed, and what that key raises.
        """
        self._keks.check()
        self._store.live(1)

    # -- the key-encryption key -------------------------------------------------------------

    def wrapping(self) -> Wrapping:
        """Which key-encryption keys are set, and how many keys each has wrapped."""
        previous = self._keks.previous
        before = None if previous is None else previous.uri
        return Wrapping(self._keks.current.uri, before, self._store.count_by_kek())

    def rewrap(self) -> Generator[Rewrapping]:
        """Wrap every key that another key-encryption key wrapped; says how far after each batch.

        A key that neither opens, or not now, is left and named. Raises `KeyUnavailable` when the
        key store or the current one is away: what was done stays done.
        """
        self._keks.check()
        current = self._keks.current.uri
        counts = self._store.count_by_kek()
        total = sum(count for uri, count in counts.items() if uri != current)
        done, unreadable, waiting, after = 0, list[str](), dict[str, str](), ("", "")
        with ThreadPoolExecutor(CALLS, "rewrap") as pool:
            while rows := self._store.live(BATCH, after=after, but=current):
                fresh = list[KeyRow]()
                for row, found in zip(rows, pool.map(self._rewrapped, rows), strict=True):
                    match found:
                        case KeyRow():
                            fresh.append(found)
                        case KeyUnavailable():
                            waiting[f"{row.kind} {row.name}"] = str(found)
                        case _:
                            unreadable.append(f"{row.kind} {row.name}")
                done += self._store.replace(fresh)
                after = (rows[-1].kind, rows[-1].name)
                yield Rewrapping(done, total, unreadable, waiting)

    def _rewrapped(self, row: KeyRow) -> KeyRow | VaultError:
        try:
            keyset = self._keks.unwrap(row)
        except (UnknownKey, Tampered, KeyUnavailable) as error:
            return error
        return self._next(row, keyset)

    # -- tenants' data keys -----------------------------------------------------------------

    def tenants(self, after: str, limit: int) -> list[str]:
        """Tenants whose keys are not destroyed, by name, those after `after`."""
        rows = self._store.live(limit, after=(TENANT_DATA, after), kind=TENANT_DATA)
        return [row.name for row in rows]

    def sealing(self, tenant: str) -> bytes:
        """The output prefix of what the tenant's data key seals now. Raises `UnknownKey |
        KeyDestroyed | Tampered`.
        """
        return keysets.primary_prefix(self._keks.unwrap(self._row(tenant)))

    def renew(self, tenant: str, before: bytes) -> bytes:
        """Give the tenant a new data key, unless another than `before` seals already; its prefix.

        The old one still opens. Processes seal with the new one when their caches turn over, and
        open what it sealed at once. Raises as `sealing`.
        """

        def renewed(keyset: Keyset) -> Keyset:
            same = keysets.primary_prefix(keyset) == before
            return keysets.with_new_primary(keyset) if same else keyset

        return keysets.primary_prefix(self._change(tenant, renewed))

    def retire(self, tenant: str, sealing: bytes) -> None:
        """Remove the tenant's data keys but the one of prefix `sealing`, if that seals still.

        Whatever they sealed opens no more, in backups of the main database either; `scrub` makes
        them leave the key store's files too. Raises as `sealing`.
        """

        def retired(keyset: Keyset) -> Keyset:
            alone = len(keysets.prefixes(keyset)) == 1
            kept = alone or keysets.primary_prefix(keyset) != sealing
            return keyset if kept else keysets.primary_only(keyset)

        self._change(tenant, retired)

    def scrub(self) -> None:
        """Once after any number of `retire`: it writes the whole key store anew. Repeatable."""
        self._store.scrub()

    def _change(self, tenant: str, change: Callable[[Keyset], Keyset]) -> Keyset:
        for _ in range(ATTEMPTS):
            row = self._row(tenant)
            keyset = self._keks.unwrap(row)
            changed = change(keyset)
            if changed is keyset or self._store.replace([self._next(row, changed)]):
                self._forget(tenant)
                return changed
        raise KeyUnavailable("key store: other processes keep changing this key")

    def _row(self, tenant: str) -> KeyRow:
        row = self._store.read(tenant, (TENANT_DATA,)).get(TENANT_DATA)
        if row is None:
            raise UnknownKey("the tenant has no keys in this key store")
        if row.wrapped is None:
            raise KeyDestroyed("the tenant's keys were destroyed")
        return row

    def _next(self, row: KeyRow, keyset: Keyset) -> KeyRow:
        return self._keks.wrap(row._replace(version=row.version + 1), keyset)
