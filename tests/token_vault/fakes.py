"""A key-encryption key in memory that can be away, and a clock that is moved by hand."""

from contracts.errors import KeyUnavailable
from token_vault.keysets import Aead, Sealing, new_aead


class FakeKms:
    """A KMS: `connect` is what the vault gets; `away` makes everything raise."""

    def __init__(self) -> None:
        self.away = False
        self.calls = 0
        self._key = Sealing(new_aead())

    def connect(self) -> Aead:
        self._answer()
        return self

    def encrypt(self, plaintext: bytes, associated_data: bytes) -> bytes:
        self._answer()
        return self._key.encrypt(plaintext, associated_data)

    def decrypt(self, ciphertext: bytes, associated_data: bytes) -> bytes:
        self._answer()
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
