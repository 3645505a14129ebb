"""A key in Google Cloud KMS, through Tink's integration.

Not verified against the service: there is no emulator of it. Its errors are tested with a fake
client.
"""

from typing import Any, Final, Protocol

from google.api_core import exceptions
from google.auth import exceptions as auth
from google.cloud import kms_v1
from tink.integration import gcpkms

from contracts.errors import GatewayError, KeyUnavailable, Misconfigured, UnknownKey
from token_vault.kek.kms import ANSWER_S, CONNECT_S, Answering, Answers, does_not_answer
from token_vault.keysets import Aead

SCHEME: Final = "gcp-kms://"
_NO_CREDENTIALS: Final = (
    "no Google credentials: give the process a service account, or GOOGLE_APPLICATION_CREDENTIALS"
)
ANSWERS: Final[Answers] = {
    "PermissionDenied": (
        KeyUnavailable,
        "permission denied: the service account needs Cloud KMS CryptoKey Encrypter/Decrypter",
    ),
    "Forbidden": (KeyUnavailable, "permission denied, or the Cloud KMS API is off in this project"),
    "Unauthenticated": (
        KeyUnavailable,
        "Google does not accept the gateway's credentials: renew them",
    ),
    "FailedPrecondition": (
        KeyUnavailable,
        "the key's version is disabled or about to be destroyed: enable or restore it",
    ),
    "NotFound": (Misconfigured, "Google has no such key"),
    "InvalidArgument": (UnknownKey, "another key wrapped this, or it was changed"),
}
"""Classes of `google.api_core.exceptions` (their codes: google.rpc.Code)."""


class Client(Protocol):
    """What is used of `kms_v1.KeyManagementServiceClient`."""

    def encrypt(self, *, request: Any, retry: Any, timeout: float) -> Any: ...

    def decrypt(self, *, request: Any, retry: Any, timeout: float) -> Any: ...


class _Bounded:
    """A client whose calls take seconds, not the minute of retries that is Google's default."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def encrypt(self, request: Any) -> Any:
        return self._client.encrypt(request=request, retry=None, timeout=CONNECT_S + ANSWER_S)

    def decrypt(self, request: Any) -> Any:
        return self._client.decrypt(request=request, retry=None, timeout=CONNECT_S + ANSWER_S)


def open_key(name: str) -> Aead:
    """The key of this resource name, with application default credentials.

    Raises `Misconfigured` without credentials.
    """
    try:
        return key_of(kms_v1.KeyManagementServiceClient(), name)
    except auth.GoogleAuthError as error:
        raise explain(error) from None


def key_of(client: Client, name: str) -> Aead:
    """The key, asked for through `client`."""
    uri = SCHEME + name
    key = gcpkms.new_client(kms_v1_client=_Bounded(client), key_uri=uri).get_aead(uri)
    return Answering(key, (auth.GoogleAuthError,), explain)


def explain(error: BaseException) -> GatewayError:
    """Our error for what Google's client raised."""
    if isinstance(error, auth.DefaultCredentialsError):
        return Misconfigured(_NO_CREDENTIALS)
    if isinstance(error, exceptions.GoogleAPIError):
        names = [kind.__name__ for kind in type(error).__mro__]
        for name in names:
            if name in ANSWERS:
                kind, text = ANSWERS[name]
                return kind(f"{text} ({names[0]})")
    return does_not_answer(error)
