"""A key-encryption key in memory that can be away, and a clock that is moved by hand."""

from collections.abc import Callable
from pathlib import Path

from contracts.errors import KeyUnavailable
from token_vault import Kek, Keks, load_kek
from token_vault.keysets import Aead, Sealing, new_aead


class FakeKms:
    """A KMS: `connect` is what the vault gets; `away` makes everything raise."""

    def __init__(self, uri: str = "fake-kms://key") -> None:
        self.uri = uri
        self.away = False
        self.calls = 0
        self.meanwhile: Callable[[], None] | None = None
        """What happens once, while the next answer is on its way."""
        self._key = Sealing(new_aead())

    def connect(self) -> Aead:
        self._answer()
        return self

    def keks(self, previous: Kek | None = None) -> Keks:
        """What a vault is built with; `previous` while that one is being rotated."""
        return Keks(self.kek(), previous)

    def kek(self) -> Kek:
        """This KMS's key, as settings would name it."""
        return Kek(self.uri, self.connect)

    def encrypt(self, plaintext: bytes, associated_data: bytes) -> bytes:
        self._answer()
        return self._key.encrypt(plaintext, associated_data)

    def decrypt(self, ciphertext: bytes, associated_data: bytes) -> bytes:
        self._answer()
        happens, self.meanwhile = self.meanwhile, None
        if happens is not None:
            happens()
        return self._key.decrypt(ciphertext, associated_data)

    def _answer(self) -> None:
        self.calls += 1
        if self.away:
            raise KeyUnavailable("the KMS does not answer")


class Clock:
    """Seconds that pass only when told."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now

    def pass_s(self, seconds: float) -> None:
        self.now += seconds


def local(ring: Path, previous: Path | None = None) -> Keks:
    """Keyring files, as `GATEWAY_KEK_URI` and `GATEWAY_KEK_URI_PREVIOUS` name them."""

    def kek(path: Path) -> Kek:
        return Kek(f"local:{path}", lambda: load_kek(f"local:{path}"))

    return Keks(kek(ring), None if previous is None else kek(previous))
