"""Signatures over raw bodies, and Meta's handshake."""

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.kit import signatures
from connectors.kit.meta.endpoint import MetaEndpoint
from connectors.kit.meta.settings import MetaApps
from connectors.kit.signatures import check_hub_signature
from contracts.connector import Delivery, VerifiedDelivery
from contracts.errors import BadSignature, MalformedDelivery
from contracts.tokens import Secret

BODY = (
    rb'{"object":"page","entry":[{"id":"1","time":1790000000123,"messaging":'
    rb'[{"message":{"mid":"m_1","text":"caf\u00e9 \ud83d\ude00"}}]}]}'
)
SIGNED = "sha256=c9fdf30bf6498259b4885e79272b105deac3d9d66c443ae0e5b4959749ec7c27"
"""Of BODY, with the secret `test-secret`."""

ENDPOINT = MetaEndpoint(
    MetaApps(
        meta_verify_token=Secret("verify-me"),
        meta_app_secret=Secret("test-secret"),
        meta_app_secret_previous=Secret("older-secret"),
        instagram_app_secret=Secret("instagram-secret"),
        instagram_app_secret_previous=Secret("older-instagram-secret"),
    )
)


def delivery(signature: str, body: bytes = BODY) -> Delivery:
    return Delivery(headers={"x-hub-signature-256": signature}, body=body)


def test_a_known_vector() -> None:
    assert ENDPOINT.verify(delivery(SIGNED)).signer == "meta"


def test_the_previous_secret_is_known_by_its_name() -> None:
    digest = hmac.new(b"older-secret", BODY, hashlib.sha256).hexdigest()
    assert ENDPOINT.verify(delivery(f"sha256={digest}")).signer == "meta-previous"


def signed(secret: bytes, body: bytes) -> Delivery:
    return delivery(f"sha256={hmac.new(secret, body, hashlib.sha256).hexdigest()}", body)


INSTAGRAM = BODY.replace(b'"page"', b'"instagram"')


@pytest.mark.parametrize(
    ("secret", "signer"),
    [
        (b"test-secret", "meta"),
        (b"older-secret", "meta-previous"),
        (b"instagram-secret", "instagram"),
        (b"older-instagram-secret", "instagram-previous"),
    ],
)
def test_instagram_is_signed_by_either_app(secret: bytes, signer: str) -> None:
    assert ENDPOINT.verify(signed(secret, INSTAGRAM)).signer == signer


@pytest.mark.parametrize("secret", [b"instagram-secret", b"older-instagram-secret"])
@pytest.mark.parametrize(
    "body",
    [
        BODY,
        BODY.replace(b'"page"', b'"permissions"'),
        INSTAGRAM[:-1] + b',"object":"page"}',
        INSTAGRAM[:-1] + b',"entry":[],"object":"page"}',
    ],
)
def test_the_instagram_app_signs_for_instagram_alone(secret: bytes, body: bytes) -> None:
    with pytest.raises(BadSignature):
        ENDPOINT.verify(signed(secret, body))


def test_what_the_instagram_app_signed_and_cannot_be_read_is_for_split_to_say() -> None:
    verified = ENDPOINT.verify(signed(b"instagram-secret", b'{"object":"instagram"}'))
    with pytest.raises(MalformedDelivery):
        ENDPOINT.split(verified)


def test_without_the_meta_app_its_objects_are_nobodys() -> None:
    apps = MetaApps(meta_verify_token=Secret("v"), instagram_app_secret=Secret("instagram-secret"))
    endpoint = MetaEndpoint(apps)
    assert endpoint.verify(signed(b"instagram-secret", INSTAGRAM)).signer == "instagram"
    for secret in (b"test-secret", b"instagram-secret"):
        with pytest.raises(BadSignature):
            endpoint.verify(signed(secret, BODY))


@pytest.mark.parametrize(
    "signature",
    [
        "",
        "sha256=",
        SIGNED.removeprefix("sha256="),
        SIGNED.upper(),
        SIGNED[:-1],
        SIGNED + " ",
        "sha1=" + "0" * 40,
        "sha256=" + "0" * 64,
        "sha256=\u00e9\udcff",
    ],
)
def test_anything_else_is_refused(signature: str) -> None:
    with pytest.raises(BadSignature):
        ENDPOINT.verify(delivery(signature))


def test_no_header_is_refused() -> None:
    with pytest.raises(BadSignature, match="no X-Hub-Signature-256"):
        ENDPOINT.verify(Delivery(headers={"x-hub-signature": "sha1=0"}, body=BODY))


@pytest.mark.parametrize("body", [BODY + b" ", BODY[:-1], BODY.replace(b"\\u00e9", "é".encode())])
def test_the_bytes_as_they_came_are_what_was_signed(body: bytes) -> None:
    with pytest.raises(BadSignature):
        ENDPOINT.verify(delivery(SIGNED, body))


def test_without_a_secret_nothing_passes() -> None:
    with pytest.raises(BadSignature):
        check_hub_signature(delivery(SIGNED), [])


def test_nobody_else_makes_a_verified_delivery() -> None:
    with pytest.raises(TypeError, match=r"Endpoint\.verify"):
        VerifiedDelivery(delivery(SIGNED), "meta", object())


def test_the_handshake_returns_the_challenge() -> None:
    query = {
        "hub.mode": "subscribe",
        "hub.verify_token": "verify-me",
        "hub.challenge": "1158201444",
    }
    assert ENDPOINT.handshake(query) == "1158201444"


@pytest.mark.parametrize(
    "wrong",
    [
        {"hub.verify_token": "verify-you"},
        {"hub.verify_token": ""},
        {"hub.verify_token": "\udcff"},
        {"hub.mode": "unsubscribe"},
        {"hub.challenge": None},
        {"hub.mode": None},
        {"hub.verify_token": None},
    ],
)
def test_another_handshake_is_refused(wrong: dict[str, str | None]) -> None:
    query = {"hub.mode": "subscribe", "hub.verify_token": "verify-me", "hub.challenge": "1"} | wrong
    with pytest.raises(BadSignature):
        ENDPOINT.handshake({key: value for key, value in query.items() if value is not None})


@given(st.binary(min_size=1, max_size=200), st.binary(max_size=500))
def test_it_is_the_hmac_of_the_standard_library(key: bytes, body: bytes) -> None:
    assert signatures._hmac_sha256(key, body) == hmac.digest(key, body, "sha256").hex()
