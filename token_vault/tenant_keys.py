"""A tenant's keys in use: seal, open and hash, bound to purpose, tenant and id."""

from collections.abc import Callable
from enum import StrEnum

import tink

from token_vault.encoding import encode, hash_input
from token_vault.keysets import (
    PREFIX_BYTES,
    Hashing,
    Keyset,
    bare_aead,
    hashing,
    prefixes,
    primary_prefix,
    refusal,
)

HASH_BYTES = 16


class Purpose(StrEnum):
    """What sealed bytes are for: bytes sealed for one purpose never open for another."""

    MESSAGE = "message"
    PARKED = "parked"
    TOKEN = "token"  # noqa: S105 - the name of a purpose
    CONNECTION = "connection"
    CONNECT_SESSION = "connect-session"
    THREAD = "thread"
    SEND = "send"
    MEDIA = "media"
    RAW = "raw"
    PROFILE = "profile"


class HashKeys:
    """A PRF key in use; made by the vault."""

    __slots__ = ("_compute",)

    def __init__(self, prf: Keyset) -> None:
        self._compute: Hashing = hashing(prf)

    def hash(self, kind: str, *parts: str) -> bytes:
        """A keyed hash, 16 bytes, the same for the same `kind` and `parts` for ever.

        Without the key nobody can tell, or try out, what was hashed. Parts are kept apart:
        `("a", "bc")` and `("ab", "c")` differ.
        """
        return self._compute(hash_input((kind, *parts)), HASH_BYTES)


class DeploymentKeys(HashKeys):
    """The gateway's own PRF key, for what belongs to no tenant yet, such as route keys."""

    __slots__ = ()


class _DataKey:
    """A data key in use, of one version of its row."""

    __slots__ = ("decrypt", "encrypt", "prefixes", "sealing", "version")

    def __init__(self, version: int, keyset: Keyset) -> None:
        bare = bare_aead(keyset)
        self.version = version
        self.encrypt, self.decrypt = bare.encrypt, bare.decrypt
        self.prefixes = prefixes(keyset)
        self.sealing = primary_prefix(keyset)


class TenantKeys(HashKeys):
    """One tenant's data key and PRF key. Safe to share between threads; hold it for one batch.

    Who holds it goes on opening after the tenant was destroyed, so ask the vault anew each time.
    """

    __slots__ = ("_bound", "_data", "_newer", "tenant")

    def __init__(
        self,
        tenant: str,
        data: Keyset,
        prf: Keyset,
        *,
        version: int,
        newer: Callable[[int], tuple[int, Keyset] | None],
    ) -> None:
        """`version` is that of the data key's row; `newer` gives the row's data key, with its
        version, if it has another one by now.
        """
        super().__init__(prf)
        self.tenant = tenant
        self._bound = {purpose: encode(purpose.value, tenant) for purpose in Purpose}
        self._data = _DataKey(version, data)
        self._newer = newer

    @property
    def sealing(self) -> bytes:
        """Output prefix of what `seal` makes: which of the tenant's data keys it is."""
        return self._data.sealing

    def seal(self, purpose: Purpose, id: bytes, plaintext: bytes) -> bytes:  # noqa: A002
        """Seal `plaintext` so that it opens only for this purpose, tenant and `id`.

        `id` is minted before sealing and never changes: not a position, not a row number.
        """
        return self._data.encrypt(plaintext, self._bound[purpose] + id)

    def open(self, purpose: Purpose, id: bytes, sealed: bytes) -> bytes:  # noqa: A002
        """Undo `seal`. Raises `Tampered`, or `UnknownKey` when no key of the tenant sealed it.

        What was sealed under a data key made since these were opened is opened with that one;
        asking the key store for it may raise `KeyDestroyed | KeyUnavailable`.
        """
        data = self._data
        try:
            return data.decrypt(sealed, self._bound[purpose] + id)
        except tink.TinkError:
            if sealed[:PREFIX_BYTES] in data.prefixes or not self._renew(data):
                raise refusal(sealed, data.prefixes) from None
        return self.open(purpose, id, sealed)

    def _renew(self, seen: _DataKey) -> bool:
        """Go on with the data key of today; whether that is another one than `seen`."""
        if self._data is seen:
            newer = self._newer(seen.version)
            if newer is None:
                return False
            self._data = _DataKey(*newer)
        return True
