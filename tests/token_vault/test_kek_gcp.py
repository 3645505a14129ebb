"""Google Cloud KMS as far as it goes without the service: a fake client below Tink's integration.

The client that is made for real, its credentials and its transport are not verified.
"""

import pytest
from google.api_core import exceptions
from google.auth import exceptions as auth

from contracts.errors import GatewayError, KeyUnavailable, Misconfigured, UnknownKey
from tests.kms.google import GoogleClient
from token_vault.kek import gcp
from token_vault.kek.kms import ANSWER_S, CONNECT_S

NAME = "projects/p/locations/global/keyRings/r/cryptoKeys/k"


@pytest.fixture
def client() -> GoogleClient:
    """With one key."""
    found = GoogleClient()
    found.create(NAME)
    return found


def test_calls_are_bounded_and_not_repeated_for_a_minute(client: GoogleClient) -> None:
    key = gcp.key_of(client, NAME)
    assert key.decrypt(key.encrypt(b"key", b""), b"") == b"key"
    assert client.timeouts == [(None, CONNECT_S + ANSWER_S)] * 2


@pytest.mark.parametrize(
    ("error", "kind", "says"),
    [
        (exceptions.PermissionDenied, KeyUnavailable, "Encrypter/Decrypter"),
        (exceptions.Forbidden, KeyUnavailable, "permission denied"),
        (exceptions.Unauthenticated, KeyUnavailable, "credentials"),
        (exceptions.FailedPrecondition, KeyUnavailable, "enable or restore it"),
        (exceptions.NotFound, Misconfigured, "no such key"),
        (exceptions.InvalidArgument, UnknownKey, "another key"),
        (exceptions.ServiceUnavailable, KeyUnavailable, "does not answer"),
        (exceptions.DeadlineExceeded, KeyUnavailable, "does not answer"),
        (exceptions.ResourceExhausted, KeyUnavailable, "does not answer"),
        (auth.DefaultCredentialsError, Misconfigured, "GOOGLE_APPLICATION_CREDENTIALS"),
        (auth.RefreshError, KeyUnavailable, "does not answer"),
        (auth.TransportError, KeyUnavailable, "does not answer"),
    ],
)
def test_each_refusal_is_told_apart(
    client: GoogleClient, error: type[Exception], kind: type[GatewayError], says: str
) -> None:
    client.raising = error("secret detail")
    with pytest.raises(kind, match=says) as caught:
        gcp.key_of(client, NAME).encrypt(b"key", b"")
    assert type(caught.value) is kind
    assert "secret" not in str(caught.value)


def test_a_key_that_is_not_there(client: GoogleClient) -> None:
    with pytest.raises(Misconfigured, match="no such key"):
        gcp.key_of(client, NAME + "2").encrypt(b"key", b"")


def test_a_credentials_file_that_is_not_there_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nonexistent/key.json")
    with pytest.raises(Misconfigured, match="GOOGLE_APPLICATION_CREDENTIALS"):
        gcp.open_key(NAME)
