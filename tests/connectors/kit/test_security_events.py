"""Google's security events: signature, issuer, audience, and each event's subject."""

from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from connectors.kit.google.security_events import EVENTS, ISSUER, SecurityEvents
from contracts.errors import BadSignature, InvalidInput
from contracts.signals import Told

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
ANOTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
CLIENT = "123-x.apps.googleusercontent.com"
RISC = "https://schemas.openid.net/secevent/risc/event-type/"
OAUTH = "https://schemas.openid.net/secevent/oauth/event-type/"
ACCOUNT = {"subject": {"subject_type": "iss-sub", "iss": ISSUER, "sub": "1089"}}
EVENT = f"{RISC}account-disabled"


def key_of(kid: str) -> Any:
    if kid != "known":
        raise BadSignature("no such key")
    return KEY.public_key()


def token(
    events: Any, *, key: Any = KEY, kid: str | None = "known", alg: str = "RS256", **changed: Any
) -> bytes:
    claims = {
        "iss": ISSUER,
        "aud": CLIENT,
        "iat": int(datetime.now(UTC).timestamp()),
        "jti": "ab12",
        "events": events,
        **changed,
    }
    claims = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(claims, key, alg, headers={"kid": kid} if kid else None).encode()


def read(raw: bytes) -> list[Told]:
    return SecurityEvents([CLIENT, "another of ours"]).read(raw, key_of)


@pytest.mark.parametrize(
    ("kind", "ours"),
    [
        (f"{RISC}sessions-revoked", "sessions-revoked"),
        (f"{OAUTH}tokens-revoked", "tokens-revoked"),
        (f"{RISC}tokens-revoked", "tokens-revoked"),
        (f"{RISC}account-disabled", "account-disabled"),
        (f"{RISC}account-enabled", "account-enabled"),
        (f"{RISC}account-credential-change-required", "credential-change-required"),
    ],
)
def test_events_of_an_account_name_it(kind: str, ours: str) -> None:
    (told,) = read(token({kind: ACCOUNT}))
    assert (told.login, told.kind, told.names) == ("google", ours, (("user", "1089"),))
    assert told.once == f"ab12.{ours}"


@pytest.mark.parametrize(
    ("algorithm", "kind"),
    [("prefix", "token-prefix"), ("hash_base64_sha512_sha512", "token-hash")],
)
def test_a_revoked_token_is_named_in_two_ways(algorithm: str, kind: str) -> None:
    subject = {
        "subject_type": "oauth_token",
        "token_type": "refresh_token",
        "token_identifier_alg": algorithm,
        "token": "1//0abcdefghijkl",
    }
    (told,) = read(token({f"{OAUTH}token-revoked": {"subject": subject}}))
    assert told.names == ((kind, "1//0abcdefghijkl"),)


def test_a_verification_names_nobody_and_an_unknown_event_is_nothing() -> None:
    (told,) = read(token({f"{RISC}verification": {"state": "hello"}}))
    assert (told.kind, told.names) == ("verification", ())
    assert read(token({f"{RISC}new-kind": ACCOUNT})) == []


def test_reasons_are_kept_where_they_are_documented() -> None:
    (told,) = read(token({EVENT: ACCOUNT | {"reason": "hijacking"}}))
    assert told.detail == "hijacking"
    (told,) = read(token({EVENT: ACCOUNT | {"reason": "a person's words"}}))
    assert told.detail == ""


def test_any_of_our_clients_is_meant_and_several_at_once() -> None:
    assert read(token({EVENT: ACCOUNT}, aud="another of ours"))
    assert read(token({EVENT: ACCOUNT}, aud=["a stranger", CLIENT]))


@pytest.mark.parametrize(
    "forged",
    [
        token({EVENT: ACCOUNT}, key=ANOTHER),
        token({EVENT: ACCOUNT}, kid="invented"),
        token({EVENT: ACCOUNT}, iss="https://accounts.google.com"),
        token({EVENT: ACCOUNT}, iss="https://evil.example/"),
        token({EVENT: ACCOUNT}, aud="a stranger"),
        token({EVENT: ACCOUNT}, aud=None),
        token({EVENT: ACCOUNT}, jti=None),
        token({EVENT: ACCOUNT}, iat=None),
        token({EVENT: ACCOUNT}, iat=int((datetime.now(UTC) + timedelta(hours=1)).timestamp())),
        token({EVENT: ACCOUNT}, key="a" * 40, alg="HS256"),
    ],
)
def test_what_google_did_not_sign_for_us_is_refused(forged: bytes) -> None:
    with pytest.raises(BadSignature):
        read(forged)


@pytest.mark.parametrize(
    "malformed",
    [
        b"",
        b"a.b.c",
        b"\xff\xfe",
        b"A" * 20_000,
        token({EVENT: ACCOUNT}, kid=None),
        token([EVENT]),
        token({EVENT: {}}),
        token({EVENT: {"subject": {"sub": 7}}}),
        token({EVENT: "text"}),
        token({f"{OAUTH}token-revoked": {"subject": {"token": "x"}}}),
        token({EVENT: ACCOUNT}, iat=int((datetime.now(UTC) - timedelta(days=200)).timestamp())),
    ],
)
def test_the_malformed_is_refused(malformed: bytes) -> None:
    with pytest.raises((InvalidInput, BadSignature)):
        read(malformed)


def test_the_table_knows_every_documented_event() -> None:
    assert {ours for ours, _ in EVENTS.values()} == {
        "sessions-revoked",
        "tokens-revoked",
        "token-revoked",
        "account-disabled",
        "account-enabled",
        "credential-change-required",
        "verification",
    }
