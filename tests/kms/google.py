"""Google Cloud KMS's client in memory: two calls, and Google's errors."""

import os
from types import SimpleNamespace
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from google.api_core import exceptions


class GoogleClient:
    """`encrypt` and `decrypt` of `kms_v1.KeyManagementServiceClient`."""

    def __init__(self) -> None:
        self.raising: Exception | None = None
        """What every call raises."""
        self.timeouts: list[tuple[Any, float]] = []
        self._keys: dict[str, AESGCM] = {}

    def create(self, name: str) -> None:
        """A key of this resource name."""
        self._keys[name] = AESGCM(AESGCM.generate_key(256))

    def encrypt(self, *, request: Any, retry: Any, timeout: float) -> Any:
        key, bound = self._asked(request, retry, timeout)
        nonce = os.urandom(12)
        return SimpleNamespace(ciphertext=nonce + key.encrypt(nonce, request["plaintext"], bound))

    def decrypt(self, *, request: Any, retry: Any, timeout: float) -> Any:
        key, bound = self._asked(request, retry, timeout)
        sealed = request["ciphertext"]
        try:
            return SimpleNamespace(plaintext=key.decrypt(sealed[:12], sealed[12:], bound))
        except (InvalidTag, ValueError):
            text = "Decryption failed: verify that 'name' refers to the correct CryptoKey."
            raise exceptions.InvalidArgument(text) from None  # type: ignore[no-untyped-call]

    def _asked(self, request: Any, retry: Any, timeout: float) -> tuple[AESGCM, bytes]:
        self.timeouts.append((retry, timeout))
        if self.raising is not None:
            raise self.raising
        if request["name"] not in self._keys:
            raise exceptions.NotFound("no such key")  # type: ignore[no-untyped-call]
        return self._keys[request["name"]], request["additional_authenticated_data"]
