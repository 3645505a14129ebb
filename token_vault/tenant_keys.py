"""A tenant's keys in use: seal, open and hash, bound to purpose, tenant and id."""

from enum import StrEnum

import tink

from token_vault.encoding import encode, hash_input
from token_vault.keysets import Hashing, Keyset, bare_aead, hashing, prefixes, refusal

HASH_BYTES = 16


class Purpose(StrEnum):
    """What sealed bytes are for: bytes sealed for one purpose never open for another."""

    MESSAGE = "message"
    PARKED = "parked"
    TOKEN = "token"  # noqa: S105 - the name of a purpose
    CONNECTION = "connection"
    RAW = "raw"


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


class TenantKeys(HashKeys):
    """One tenant's data key and PRF key. Safe to share between threads; hold it for one batch.

    Who holds it goes on opening after the tenant was destroyed, so ask the vault anew each time.
    """

    __slots__ = ("_bound", "_decrypt", "_encrypt", "_prefixes", "tenant")

    def __init__(self, tenant: str, data: Keyset, prf: Keyset) -> None:
        super().__init__(prf)
        self.tenant = tenant
        self._bound = {purpose: encode(purpose.value, tenant) for purpose in Purpose}
        bare = bare_aead(data)
        self._encrypt, self._decrypt = bare.encrypt, bare.decrypt
        self._prefixes = prefixes(data)

    def seal(self, purpose: Purpose, id: bytes, plaintext: bytes) -> bytes:  # noqa: A002
        """Seal `plaintext` so that it opens only for this purpose, tenant and `id`.

        `id` is minted before sealing and never changes: not a position, not a row number.
        """
        return self._encrypt(plaintext, self._bound[purpose] + id)

    def open(self, purpose: Purpose, id: bytes, sealed: bytes) -> bytes:  # noqa: A002
        """Undo `seal`. Raises `Tampered`, or `UnknownKey` when no key of the tenant sealed it."""
        try:
            return self._decrypt(sealed, self._bound[purpose] + id)
        except tink.TinkError:
            raise refusal(sealed, self._prefixes) from None
