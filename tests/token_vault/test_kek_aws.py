"""AWS KMS: what its refusals mean, where credentials come from, how long it may take."""

import re
import socket
import time
from collections.abc import Iterator

import pytest

from contracts.errors import GatewayError, KeyUnavailable, Misconfigured, UnknownKey
from tests.kms.aws import MADE_UP, REGION, KmsServer
from tests.processes import free_port
from token_vault import load_kek
from token_vault.kek.kms import ANSWER_S, CONNECT_S
from token_vault.keysets import Aead

ABSENT = f"aws-kms://arn:aws:kms:{REGION}:123456789012:key/11111111-2222-3333-4444-555555555555"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[KmsServer]:
    """AWS on loopback, and the environment of a process that uses it."""
    found = KmsServer(free_port())
    for name, value in {**MADE_UP, "AWS_ENDPOINT_URL_KMS": found.url}.items():
        monkeypatch.setenv(name, value)
    found.start()
    yield found
    found.stop()


@pytest.fixture
def key(server: KmsServer) -> Aead:
    """A key that has been used."""
    key = load_kek(f"aws-kms://{server.create_key()}")
    key.encrypt(b"key", b"place")
    return key


@pytest.mark.parametrize(
    ("code", "kind", "says"),
    [
        ("AccessDeniedException", KeyUnavailable, "kms:Encrypt and kms:Decrypt"),
        ("DisabledException", KeyUnavailable, "disabled: enable it"),
        ("KMSInvalidStateException", KeyUnavailable, "cancel its deletion"),
        ("ExpiredTokenException", KeyUnavailable, "credentials"),
        ("UnrecognizedClientException", KeyUnavailable, "credentials"),
        ("NotFoundException", Misconfigured, "no such key"),
        ("InvalidKeyUsageException", Misconfigured, "symmetric"),
        ("ThrottlingException", KeyUnavailable, "does not answer (ThrottlingException)"),
        ("KMSInternalException", KeyUnavailable, "does not answer (KMSInternalException)"),
        ("SomethingNew", KeyUnavailable, "does not answer (SomethingNew)"),
    ],
)
def test_each_refusal_is_told_apart(
    server: KmsServer, key: Aead, code: str, kind: type[GatewayError], says: str
) -> None:
    server.refusing = code
    with pytest.raises(kind, match=re.escape(says)) as caught:
        key.encrypt(b"key", b"place")
    assert str(caught.value).startswith("GATEWAY_KEK_URI=aws-kms://arn:aws:kms:")
    assert type(caught.value) is kind


def test_a_key_that_is_not_there(server: KmsServer) -> None:
    for setting in ("GATEWAY_KEK_URI", "GATEWAY_KEK_URI_PREVIOUS"):
        with pytest.raises(Misconfigured, match=f"^{setting}={ABSENT}: AWS has no such key"):
            load_kek(ABSENT, setting).encrypt(b"key", b"place")


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL_KMS", "AWS_ENDPOINT_URL"])
@pytest.mark.parametrize(
    "url", ["hunter2", "hunter2.example.com", "https://hunter2 b", "https://[hunter2"]
)
def test_an_endpoint_that_is_none(monkeypatch: pytest.MonkeyPatch, name: str, url: str) -> None:
    for known, value in {**MADE_UP, name: url}.items():
        monkeypatch.setenv(known, value)
    with pytest.raises(Misconfigured, match="AWS_ENDPOINT_URL_KMS") as caught:
        load_kek(ABSENT).encrypt(b"key", b"place")
    assert "hunter2" not in str(caught.value)


def test_aws_learns_nothing_of_what_a_key_is_bound_to(server: KmsServer) -> None:
    """An encryption context stands in CloudTrail in clear: tenants' names would."""
    key = load_kek(f"aws-kms://{server.create_key()}")
    key.decrypt(key.encrypt(b"key", b"tenant acme"), b"tenant acme")
    assert server.contexts == [None, None]


def test_without_credentials_it_says_so_and_takes_them_once_there_are_some(
    server: KmsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = load_kek(f"aws-kms://{server.create_key()}")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(Misconfigured, match="no AWS credentials"):
        key.encrypt(b"key", b"place")
    for name, value in MADE_UP.items():
        monkeypatch.setenv(name, value)
    time.sleep(1.1)
    key.encrypt(b"key", b"place")


@pytest.mark.parametrize("missing", ["AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"])
def test_half_of_the_credentials_and_a_profile_that_is_not_there(
    server: KmsServer, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    key = load_kek(f"aws-kms://{server.create_key()}")
    if missing == "AWS_PROFILE":
        monkeypatch.setenv("AWS_PROFILE", "absent")
    else:
        monkeypatch.delenv(missing)
    with pytest.raises(Misconfigured, match=r"credentials|AWS_PROFILE"):
        key.encrypt(b"key", b"place")


def test_a_kms_that_takes_and_never_answers_costs_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        for name, value in {**MADE_UP, "AWS_ENDPOINT_URL_KMS": url}.items():
            monkeypatch.setenv(name, value)
        began = time.monotonic()
        with pytest.raises(KeyUnavailable, match=r"does not answer \(ReadTimeoutError\)"):
            load_kek(ABSENT).encrypt(b"key", b"place")
        assert time.monotonic() - began < 2 * (CONNECT_S + ANSWER_S) + 2


def test_other_keys_ciphertext_is_unknown_to_decrypt(server: KmsServer, key: Aead) -> None:
    sealed = key.encrypt(b"key", b"place")
    for code in ("IncorrectKeyException", "InvalidCiphertextException"):
        server.refusing = code
        with pytest.raises(UnknownKey, match="another key"):
            key.decrypt(sealed, b"place")
