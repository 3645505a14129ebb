"""What happens at the providers themselves, and how the gateway hears of it."""

import base64
import hashlib
import hmac
import json
from urllib.parse import parse_qs

import jwt
import pytest

from sandbox.oauth.signed_request import signed_request
from tests.sandbox.logins import (
    ACCOUNT,
    ACCOUNT_SCOPED,
    API,
    GOOGLE,
    MARCO,
    OLENA,
    SUB,
    Login,
)
from tests.sandbox.stage import INSTAGRAM_SECRET, PAGE, SECRET, Receiver
from tests.sandbox.test_facebook_graph import proof

GMAIL = f"{API}gmail.readonly"
EVENT = "https://schemas.openid.net/secevent/"


def opened(body: bytes, secret: str) -> dict[str, object]:
    """The payload of a signed request, whose signature is checked."""
    [request] = parse_qs(body.decode(), strict_parsing=True)["signed_request"]
    signature, payload = request.split(".")
    expected = hmac.new(secret.encode(), payload.encode(), hashlib.sha256).digest()
    assert signature == base64.urlsafe_b64encode(expected).rstrip(b"=").decode()
    claims: dict[str, object] = json.loads(base64.urlsafe_b64decode(payload + "=="))
    return claims


def test_the_known_vector() -> None:
    assert signed_request("test-secret", "42", 1790000000) == (
        "Os5Dm65SU9HOEKTXcWFnDgd38emvDf-dWSp4KyJpZh4."
        "eyJhbGdvcml0aG0iOiJITUFDLVNIQTI1NiIsImlzc3VlZF9hdCI6MTc5MDAwMDAwMCwidXNlcl9pZCI6IjQyIn0"
    )


def test_another_app_secret_signs_and_is_asked_for(login: Login, told: Receiver) -> None:
    token = login.facebook(permission=["email", "pages_messaging"], page=PAGE)
    login.control("facebook/app", secret="another")
    login.control(f"pages/{PAGE}/contacts/7000000000000001/messages", text="Hello")
    [post] = told.wait_for(1)
    assert post.signed_with("another")
    assert login.graph("GET", "/me", token, appsecret_proof=proof(token, "another")).is_success
    assert not login.graph("GET", "/me", token, appsecret_proof=proof(token)).is_success


def test_removing_the_app_at_facebook_is_told_by_webhook_and_callback(
    login: Login, told: Receiver
) -> None:
    token = login.facebook(permission=["email", "pages_messaging"], page=PAGE)
    answer = login.control(f"facebook/people/{OLENA}/remove-app")
    assert answer["deauthorize"]["status"] == 200
    [(path, callback)] = told.told
    assert path == "/meta/deauthorize"
    assert callback.headers["content-type"] == "application/x-www-form-urlencoded"
    claims = opened(callback.body, SECRET)
    assert (claims["algorithm"], claims["user_id"]) == ("HMAC-SHA256", OLENA)
    [post] = told.wait_for(1)
    assert post.signed
    document = json.loads(post.body)
    assert document["object"] == "permissions"
    assert [entry["changes"][0]["field"] for entry in document["entry"]] == [
        "email",
        "pages_messaging",
        "public_profile",
    ]
    first = document["entry"][0]
    assert (first["id"], first["uid"], first["time"] < 10**11) == (OLENA, OLENA, True)
    assert first["changes"][0]["value"] == {"verb": "revoked", "target_ids": [PAGE]}
    assert login.graph("GET", "/me", token).json()["error"]["error_subcode"] == 458


def test_a_deletion_is_asked_for_after_the_removal(login: Login, told: Receiver) -> None:
    login.facebook()
    early = login.http.post(f"/api/facebook/people/{OLENA}/request-deletion", json={})
    assert early.status_code == 422
    login.control(f"facebook/people/{OLENA}/remove-app")
    answer = login.control(f"facebook/people/{OLENA}/request-deletion")["data_deletion"]
    assert json.loads(answer["answer"])["confirmation_code"] == "1"
    path, callback = told.told[-1]
    assert path == "/meta/data-deletion"
    assert opened(callback.body, SECRET)["user_id"] == OLENA
    kinds = [one["kind"] for one in login.http.get("/api/callbacks").json()["callbacks"]]
    assert kinds == ["deauthorize", "data_deletion"]


def test_one_permission_is_withdrawn_at_facebook(login: Login, told: Receiver) -> None:
    token = login.facebook()
    login.control(f"facebook/people/{OLENA}/revoke-permission", permission="pages_messaging")
    [entry] = told.wait_for(1)[0].entries
    assert entry["changes"] == [
        {
            "field": "pages_messaging",
            "value": {"verb": "revoked", "target_ids": [PAGE, "2222222222"]},
        }
    ]
    assert login.graph("GET", "/me", token).is_success
    assert told.told == []


def test_instagram_has_its_own_secret(login: Login, told: Receiver) -> None:
    token = login.instagram()
    login.control(f"instagram/accounts/{ACCOUNT}/remove-app")
    login.control(f"instagram/accounts/{ACCOUNT}/request-deletion")
    assert [path for path, _ in told.told] == ["/meta/deauthorize", "/meta/data-deletion"]
    for _, callback in told.told:
        assert opened(callback.body, INSTAGRAM_SECRET)["user_id"] == ACCOUNT_SCOPED
    assert login.ig("GET", "/v24.0/me", token).json()["error"]["error_subcode"] == 458


def test_a_password_change_ends_tokens_and_is_told_nobody(login: Login, told: Receiver) -> None:
    token, ig = login.facebook(), login.instagram()
    login.control(f"facebook/people/{OLENA}/change-password")
    login.control(f"instagram/accounts/{ACCOUNT}/change-password")
    assert login.graph("GET", "/me", token).json()["error"]["error_subcode"] == 460
    assert login.ig("GET", "/v24.0/me", ig).json()["error"]["error_subcode"] == 460
    assert (told.told, told.received) == ([], [])
    assert login.graph("GET", "/me", login.facebook()).is_success


def test_at_google_a_password_change_ends_what_reaches_the_mailbox(login: Login) -> None:
    calendar = login.google(f"{API}calendar.readonly")["refresh_token"]
    mail = login.google(GMAIL, scope=f"openid {GMAIL}")["refresh_token"]
    login.control(f"google/people/{SUB}/change-password")
    dead = login.google_token(grant_type="refresh_token", refresh_token=mail)
    assert dead.json()["error"] == "invalid_grant"
    assert login.google_token(grant_type="refresh_token", refresh_token=calendar).is_success


def claims_of(login: Login, token: str) -> dict[str, object]:
    """The claims of a security event, checked as a receiver does."""
    config = login.call("GET", "accounts.google.com", "/.well-known/risc-configuration").json()
    assert config["jwks_uri"] == "https://www.googleapis.com/oauth2/v3/certs"
    keys = login.call("GET", "www.googleapis.com", "/oauth2/v3/certs").json()
    [key] = jwt.PyJWKSet.from_dict(keys).keys
    claims: dict[str, object] = jwt.decode(
        token, key.key, algorithms=["RS256"], audience=GOOGLE, issuer=config["issuer"]
    )
    return claims


def test_removing_the_app_at_google_is_a_security_event(login: Login, told: Receiver) -> None:
    tokens = login.google(GMAIL, scope=f"openid email {GMAIL}")
    assert login.control(f"google/people/{SUB}/remove-app")["risc"]["status"] == 202
    [(path, post)] = told.told
    assert path == "/webhooks/google-risc"
    assert post.headers["content-type"] == "application/secevent+jwt"
    claims = claims_of(login, post.body.decode())
    assert "exp" not in claims
    assert set(claims) == {"iss", "aud", "iat", "jti", "events"}
    assert claims["events"] == {
        f"{EVENT}oauth/event-type/tokens-revoked": {
            "subject": {
                "subject_type": "iss-sub",
                "iss": "https://accounts.google.com/",
                "sub": SUB,
            }
        }
    }
    dead = login.google_token(grant_type="refresh_token", refresh_token=tokens["refresh_token"])
    assert dead.json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    ("fields", "uri", "content"),
    [
        ({"event": "sessions-revoked"}, "risc/event-type/sessions-revoked", "subject"),
        ({"event": "account-enabled"}, "risc/event-type/account-enabled", "subject"),
        (
            {"event": "account-credential-change-required"},
            "risc/event-type/account-credential-change-required",
            "subject",
        ),
        (
            {"event": "account-disabled", "reason": "hijacking"},
            "risc/event-type/account-disabled",
            "reason",
        ),
        ({"event": "verification", "state": "x"}, "risc/event-type/verification", "state"),
        (
            {"event": "token-revoked", "token": "1//0" + "a" * 40},
            "oauth/event-type/token-revoked",
            "subject",
        ),
    ],
)
def test_every_security_event(
    login: Login, told: Receiver, fields: dict[str, str], uri: str, content: str
) -> None:
    login.control(f"google/people/{SUB}/event", **fields)
    events = claims_of(login, told.told[-1][1].body.decode())["events"]
    assert isinstance(events, dict)
    assert content in events[EVENT + uri]


def test_a_token_is_named_by_its_beginning_or_by_a_hash(login: Login, told: Receiver) -> None:
    token = login.google(GMAIL, scope=f"openid {GMAIL}")["refresh_token"]
    twice = hashlib.sha512(hashlib.sha512(token.encode()).digest()).digest()
    for alg, named in (
        ("prefix", token[:16]),
        ("hash_base64_sha512_sha512", base64.b64encode(twice).decode()),
    ):
        login.control(f"google/people/{SUB}/event", event="token-revoked", token=token, alg=alg)
        events = claims_of(login, told.told[-1][1].body.decode())["events"]
        assert isinstance(events, dict)
        assert events[f"{EVENT}oauth/event-type/token-revoked"]["subject"] == {
            "subject_type": "oauth_token",
            "token_type": "refresh_token",
            "token_identifier_alg": alg,
            "token": named,
        }


def test_a_security_event_can_be_forged_and_repeated(login: Login, told: Receiver) -> None:
    login.control(f"google/people/{SUB}/event", event="verification", forge=True)
    with pytest.raises(jwt.InvalidSignatureError):
        claims_of(login, told.told[-1][1].body.decode())
    for _ in range(2):
        login.control(f"google/people/{SUB}/event", event="verification", jti="same")
        assert claims_of(login, told.told[-1][1].body.decode())["jti"] == "same"
    by_mail = {"event": "sessions-revoked", "subject": "id_token_claims"}
    login.control(f"google/people/{SUB}/event", **by_mail)
    events = claims_of(login, told.told[-1][1].body.decode())["events"]
    assert isinstance(events, dict)
    [event] = events.values()
    assert event["subject"]["email"] == "olena@example.com"


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        (f"facebook/people/{OLENA}/sulk", {}),
        ("facebook/people/5/remove-app", {}),
        (f"facebook/people/{OLENA}/remove-app", {}),
        (f"facebook/people/{OLENA}/revoke-permission", {"permission": "email"}),
        (f"facebook/people/{OLENA}/lose-role", {"page": "9"}),
        (f"facebook/people/{MARCO}/gain-role", {"page": PAGE, "tasks": ["MESSAGE"]}),
        ("facebook/pages/9/unsubscribe", {}),
        ("instagram/accounts/9/remove-app", {}),
        (f"instagram/accounts/{ACCOUNT}/remove-app", {}),
        (f"instagram/accounts/{ACCOUNT}/sulk", {}),
        (f"instagram/accounts/{ACCOUNT}/request-deletion", {}),
        (f"facebook/people/{OLENA}/request-deletion", {}),
        ("google/people/9/remove-app", {}),
        (f"google/people/{SUB}/sulk", {}),
        (f"google/people/{SUB}/event", {"event": "earthquake"}),
        (f"google/people/{SUB}/event", {"event": "token-revoked", "token": "short"}),
        ("trouble", {"kind": "earthquake"}),
        ("clock", {"forward_s": -1}),
        ("switches", {"require_prof": True}),
    ],
)
def test_what_cannot_be_is_refused(login: Login, path: str, fields: dict[str, object]) -> None:
    answer = login.http.post(f"/api/{path}", json=fields)
    assert answer.status_code == 422
    assert answer.json()["error"]


def test_people_can_be_added(login: Login) -> None:
    login.control("facebook/people", id="77", name="Ada", email="ada@example.com")
    login.control("pages", id="31", name="Ada's", dormant=True, managers=["77"])
    token = login.facebook("77")
    assert [page["id"] for page in login.graph("GET", "/me/accounts", token).json()["data"]] == [
        "31"
    ]
    login.control("google/people", sub="88", email="ada@example.com", name="Ada")
    assert login.google(sandbox_person="88")["refresh_token"]
    login.control("instagram/accounts", user_id="178", id="26", username="ada", name="Ada")
    token = login.instagram("178")
    assert login.ig("GET", "/v24.0/me", token, fields="username").json()["username"] == "ada"
