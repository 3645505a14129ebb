"""A key in HashiCorp Vault's Transit engine, through Tink's integration of hvac."""

import os
import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import hvac
from hvac import exceptions
from tink.integration import hcvault

from contracts.errors import GatewayError, KeyUnavailable, Misconfigured, UnknownKey
from token_vault.kek.kms import ANSWER_S, CONNECT_S, Answering, Answers, NotThisOne, does_not_answer
from token_vault.keysets import Aead

_PREFIX: Final = b"vault:v"
_TOKEN: Final = re.compile(r"[!-~]+")
_OTHER_KEY: Final = "another key wrapped this, or it was changed"
_DENIED: Final = (
    "permission denied: the token has expired, or its policy does not allow update on "
    "MOUNT/encrypt/NAME and MOUNT/decrypt/NAME"
)
SAID: Final[Answers] = {
    "message authentication failed": (UnknownKey, _OTHER_KEY),
    "too old": (NotThisOne, "the key's version is shut off: lower min_decryption_version"),
    "too new": (NotThisOne, "Vault lacks the newest version of the key: is it an old copy?"),
    "invalid ciphertext": (UnknownKey, _OTHER_KEY),
    "encryption key not found": (Misconfigured, "Vault has no such key"),
    "derivation": (Misconfigured, "the key must not be a derived one"),
}
"""What Transit says, in part, when it is asked something that it does not do. It says so with 400,
some versions with 500 (hashicorp/vault issue 10842)."""
ANSWERS: Final[Answers] = {
    "Unauthorized": (KeyUnavailable, "Vault does not accept the gateway's token: renew it"),
    "Forbidden": (KeyUnavailable, _DENIED),
    "InvalidPath": (Misconfigured, "Vault has no Transit engine at this path"),
    "VaultDown": (KeyUnavailable, "Vault is sealed or starting: unseal it"),
    "VaultNotInitialized": (KeyUnavailable, "Vault is not initialised"),
}
"""Classes of `hvac.exceptions`, one a status."""


def open_key(address: str, environ: Mapping[str, str] = os.environ) -> Aead:
    """The key at `host[:port]/mount/keys/name`, over HTTPS (port 443 when none is given).

    `environ` gives what Vault's own tools take from it: `VAULT_TOKEN` (or `VAULT_TOKEN_FILE`, a
    file that Vault Agent keeps), `VAULT_NAMESPACE`, `VAULT_CACERT`, `VAULT_CAPATH`. Raises
    `Misconfigured` without a token, and for what of these cannot be used.
    """
    host, _, path = address.partition("/")
    client = hvac.Client(
        url=f"https://{host}",
        token=_token(environ),
        verify=_authorities(environ),
        namespace=environ.get("VAULT_NAMESPACE"),
        timeout=(CONNECT_S, ANSWER_S),
        allow_redirects=False,
    )
    return Answering(_Transit(client, path, environ), (), explain)


class _Transit:
    """Looks at token and authorities anew for each call: whoever renews them restarts nothing."""

    def __init__(self, client: hvac.Client, path: str, environ: Mapping[str, str]) -> None:
        self._client = client
        self._key: Aead = hcvault.new_aead(path, client)
        self._environ = environ

    def encrypt(self, plaintext: bytes, associated_data: bytes) -> bytes:
        self._prepare()
        return self._key.encrypt(plaintext, associated_data)

    def decrypt(self, ciphertext: bytes, associated_data: bytes) -> bytes:
        if not (ciphertext.startswith(_PREFIX) and ciphertext.isascii()):
            raise UnknownKey(_OTHER_KEY)
        self._prepare()
        return self._key.decrypt(ciphertext, associated_data)

    def _prepare(self) -> None:
        _authorities(self._environ)
        self._client.token = _token(self._environ)


def _authorities(environ: Mapping[str, str]) -> str | bool:
    """Who vouches for Vault: a file, a directory, or (True) whom this machine trusts. Raises
    `Misconfigured`: in a call, what is not there would look as if Vault did not answer.
    """
    file, folder = environ.get("VAULT_CACERT"), environ.get("VAULT_CAPATH")
    if file:
        try:
            ssl.create_default_context(cafile=file)
        except OSError as error:  # of which ssl.SSLError is one
            raise Misconfigured(f"VAULT_CACERT: {error.strerror}") from None
    elif folder and not Path(folder).is_dir():
        raise Misconfigured("VAULT_CAPATH: no such directory")
    return file or folder or True


def _token(environ: Mapping[str, str]) -> str:
    """Raises `Misconfigured` without a token, and for one that no header can carry;
    `KeyUnavailable` while its file is not there.
    """
    path = environ.get("VAULT_TOKEN_FILE")
    try:
        token = Path(path).read_text().strip() if path else environ.get("VAULT_TOKEN")
    except (OSError, UnicodeDecodeError) as error:
        raise KeyUnavailable(f"VAULT_TOKEN_FILE cannot be read ({type(error).__name__})") from None
    if not token:
        raise Misconfigured("no token for Vault: set VAULT_TOKEN or VAULT_TOKEN_FILE")
    if not _TOKEN.fullmatch(token):
        name = "VAULT_TOKEN_FILE" if path else "VAULT_TOKEN"
        raise Misconfigured(f"{name}: no token of Vault: it has spaces or other signs in it")
    return token


def explain(error: BaseException) -> GatewayError:
    """Our error for what hvac raised."""
    if not isinstance(error, exceptions.VaultError):
        return does_not_answer(error)
    said = " ".join(map(str, error.errors or ()))
    found = next((SAID[part] for part in SAID if part in said), None)
    kind, text = found or ANSWERS.get(
        type(error).__name__, (KeyUnavailable, "Vault does not answer as it should")
    )
    return kind(f"{text} ({type(error).__name__})")
