"""Wrapping: keys under the key-encryption key of today, and those still under the one before."""

import threading
from collections.abc import Callable, Iterator

from contracts.errors import KeyDestroyed, Tampered, UnknownKey
from token_vault import keysets
from token_vault.encoding import encode
from token_vault.keysets import Aead, Keyset
from token_vault.keystore import KeyRow


class Kek:
    """A key-encryption key and the URI that rows remember it by; loaded when first used."""

    def __init__(self, uri: str, load: Callable[[], Aead]) -> None:
        """`load` may raise what loading raises; it is then called again at the next use."""
        self.uri = uri
        self._load = load
        self._lock = threading.Lock()
        self._aead: Aead | None = None

    def aead(self) -> Aead:
        """The key in use. Raises `KeyUnavailable | Misconfigured`."""
        with self._lock:
            if self._aead is None:
                self._aead = self._load()
            return self._aead


class Keks:
    """Wraps with the current key-encryption key; unwraps with either while it is being rotated."""

    def __init__(self, current: Kek, previous: Kek | None = None) -> None:
        self.current = current
        self.previous = previous

    def check(self) -> None:
        """Prove that the current key answers. Raises `KeyUnavailable` and what it raises."""
        kek = self.current.aead()
        kek.decrypt(kek.encrypt(b"", b"check"), b"check")

    def wrap(self, row: KeyRow, keyset: Keyset) -> KeyRow:
        """`row` with `keyset` wrapped by the current key, bound to the row's place."""
        wrapped = keysets.wrap(keyset, self.current.aead(), _place(row))
        return row._replace(wrapped=wrapped, kek=self.current.uri)

    def unwrap(self, row: KeyRow) -> Keyset:
        """The keyset of `row`. Raises `KeyDestroyed | UnknownKey | Tampered | KeyUnavailable`.

        The row's word on which key wrapped it saves a call to a KMS and is no more than a hint: a
        keyring that was moved goes by another name, and what wrapped a row is proved by opening it.
        """
        if row.wrapped is None:
            raise KeyDestroyed(f"the {row.kind} key was destroyed")
        refused: list[UnknownKey | Tampered] = []
        for kek in self._likeliest_first(row.kek):
            try:
                return keysets.unwrap(row.wrapped, kek.aead(), _place(row))
            except (UnknownKey, Tampered) as error:
                refused.append(error)
        raise next((error for error in refused if isinstance(error, Tampered)), refused[0])

    def _likeliest_first(self, uri: str | None) -> Iterator[Kek]:
        if self.previous is not None and self.previous.uri == uri:
            yield from (self.previous, self.current)
            return
        yield self.current
        if self.previous is not None and self.current.uri != uri:
            yield self.previous


def _place(row: KeyRow) -> bytes:
    """What a wrapped key is bound to, so that rows cannot be swapped or put back."""
    return encode("key", row.kind, row.name, str(row.version))
