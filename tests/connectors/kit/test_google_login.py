"""A consent at Google: the dialog, the code, who it was, the end. Traps by name."""

import hashlib
import json
from base64 import b64encode, urlsafe_b64encode
from datetime import timedelta
from typing import Any

import httpx
import jwt
import pytest
from pytest_httpx import HTTPXMock

from connectors.kit.transport.transport import Transport
from contracts.errors import (
    OutcomeUnknown,
    Permanent,
    ProviderError,
    Reauthorize,
    Retryable,
    TokenRefused,
)
from tests.connectors.kit.oauth import GOOGLE, NOW, URI, asked, code, consent, form, tokens

TOKEN_URL = "https://oauth2.googleapis.com/token"
READ = "https://www.googleapis.com/auth/calendar.events.readonly"
VERIFIER = "v" * 43
CHALLENGE = urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")
CLAIMS = {
    "iss": "https://accounts.google.com",
    "aud": "ID1",
    "sub": "1089",
    "email": "me@example.net",
    "email_verified": True,
    "name": "Olena",
    "picture": "https://example.net/olena.jpg",
    "iat": 1,
    "exp": 2,
}


@pytest.fixture
def client() -> httpx.Client:
    return Transport().client()


def _id_token(**claims: Any) -> str:
    return jwt.encode(CLAIMS | claims, "somebody's key, long enough for HS256", "HS256")


def _gives(httpx_mock: HTTPXMock, **answer: Any) -> None:
    told = {
        "access_token": "NEW1",
        "expires_in": 3599,
        "token_type": "Bearer",
        "scope": f"openid email {READ}",
        "refresh_token": "REFRESH1",
        "id_token": _id_token(),
    }
    left = {name: value for name, value in (told | answer).items() if value is not None}
    httpx_mock.add_response(url=TOKEN_URL, json=left)


# -- the dialog ------------------------------------------------------------------------------------


def test_the_dialog_asks_for_a_refresh_token_and_for_who_it_is() -> None:
    url = GOOGLE.consent_url(consent(READ, challenge=CHALLENGE))
    assert url.startswith("https://accounts.google.com/o/oauth2/v2/auth?")
    assert asked(url) == {
        "client_id": "ID1",
        "redirect_uri": URI,
        "response_type": "code",
        "scope": f"email {READ} openid",
        "state": "STATE1",
        "access_type": "offline",
        "include_granted_scopes": "true",
        "prompt": "consent",
        "hl": "en",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    }


def test_trap_the_flow_makes_a_verifier_of_its_own_that_nobody_keeps() -> None:
    assert "code_challenge" not in asked(GOOGLE.consent_url(consent(READ)))


# -- the exchange ----------------------------------------------------------------------------------


def test_a_code_becomes_tokens_and_a_person(client: httpx.Client, httpx_mock: HTTPXMock) -> None:
    _gives(httpx_mock)
    granted = GOOGLE.exchange(client, code(verifier=VERIFIER))
    (sent,) = httpx_mock.get_requests()
    assert sent.headers["authorization"] == f"Basic {b64encode(b'ID1:SECRET1').decode()}"
    assert form(sent) == {
        "grant_type": "authorization_code",
        "code": "CODE1",
        "redirect_uri": URI,
        "code_verifier": VERIFIER,
    }
    assert granted.tokens.access_token.reveal() == "NEW1"
    assert granted.tokens.refresh_token is not None
    assert granted.tokens.refresh_token.reveal() == "REFRESH1"
    assert (granted.tokens.obtained_at, granted.tokens.subject) == (NOW, "1089")
    assert granted.tokens.expires_at == NOW + timedelta(seconds=3599)
    assert granted.ids == {"1089"}
    assert (granted.name, granted.email) == ("Olena", "me@example.net")


@pytest.mark.parametrize("scope", ["openid", f"openid email profile {READ}", None])
def test_trap_others_than_the_asked_scopes_are_no_error(
    scope: str | None, client: httpx.Client, httpx_mock: HTTPXMock
) -> None:
    """People untick some, and Google joins older ones: oauthlib would raise, the code spent."""
    _gives(httpx_mock, scope=scope)
    granted = GOOGLE.exchange(client, code())
    assert granted.tokens.access_token.reveal() == "NEW1"
    long = {"email", "profile"} & set((scope or "").split())
    assert granted.scopes == {
        f"https://www.googleapis.com/auth/userinfo.{name}" if name in long else name
        for name in (scope or "").split()
    }


def test_trap_the_refresh_token_comes_once(client: httpx.Client, httpx_mock: HTTPXMock) -> None:
    _gives(httpx_mock, refresh_token=None)
    assert GOOGLE.exchange(client, code()).tokens.refresh_token is None


@pytest.mark.parametrize(
    "claims",
    [{"aud": "ID2"}, {"iss": "https://accounts.example"}, {"sub": ""}, {"sub": None}],
    ids=["aud", "iss", "empty", "none"],
)
def test_an_id_token_that_is_not_ours_is_not_taken(
    claims: dict[str, Any], client: httpx.Client, httpx_mock: HTTPXMock
) -> None:
    left = {name: value for name, value in (CLAIMS | claims).items() if value is not None}
    made = jwt.encode(left, "somebody's key, long enough for HS256", "HS256")
    _gives(httpx_mock, id_token=made)
    with pytest.raises(Permanent, match="ID token"):
        GOOGLE.exchange(client, code())


def test_without_an_id_token_nobody_consented(client: httpx.Client, httpx_mock: HTTPXMock) -> None:
    _gives(httpx_mock, id_token=None)
    with pytest.raises(Permanent, match="who consented"):
        GOOGLE.exchange(client, code())


def test_an_address_that_google_has_not_verified_is_nobodys(
    client: httpx.Client, httpx_mock: HTTPXMock
) -> None:
    _gives(httpx_mock, id_token=_id_token(email_verified=False))
    assert GOOGLE.exchange(client, code()).email is None


@pytest.mark.parametrize(
    ("status", "told", "kind"),
    [
        (400, {"error": "invalid_grant", "error_description": "Bad CODE1"}, Reauthorize),
        (401, {"error": "invalid_client"}, Permanent),
        (400, {"error": "redirect_uri_mismatch"}, Permanent),
        (503, {}, OutcomeUnknown),
    ],
)
def test_a_code_is_refused(
    status: int,
    told: dict[str, str],
    kind: type[ProviderError],
    client: httpx.Client,
    httpx_mock: HTTPXMock,
) -> None:
    httpx_mock.add_response(status, json=told)
    with pytest.raises(kind) as caught:
        GOOGLE.exchange(client, code())
    assert type(caught.value) is kind
    assert "CODE1" not in str(caught.value)
    assert len(httpx_mock.get_requests()) == 1


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"access_token=TOKEN1", b"[]", b"{}", b'{"access_token":""}', b"\xff"],
)
def test_what_is_no_token_is_an_unknown_outcome(
    body: bytes, client: httpx.Client, httpx_mock: HTTPXMock
) -> None:
    """oauthlib reads a form as well, which no provider sends any more."""
    httpx_mock.add_response(content=body)
    with pytest.raises(OutcomeUnknown) as caught:
        GOOGLE.exchange(client, code())
    assert "TOKEN1" not in str(caught.value)


def test_a_lost_answer_is_not_asked_for_again(client: httpx.Client, httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_exception(httpx.ReadTimeout("CODE1"))
    with pytest.raises(OutcomeUnknown):
        GOOGLE.exchange(client, code())
    assert len(httpx_mock.get_requests()) == 1


# -- what is granted now, and the end --------------------------------------------------------------


def test_permissions_are_asked_without_a_token_in_the_address(
    client: httpx.Client, httpx_mock: HTTPXMock
) -> None:
    httpx_mock.add_response(json={"aud": "ID1", "scope": f"openid email {READ}", "sub": "1089"})
    full = "https://www.googleapis.com/auth/userinfo.email"
    assert GOOGLE.permissions(client, tokens()) == frozenset({"openid", full, READ})
    (sent,) = httpx_mock.get_requests()
    assert str(sent.url) == "https://oauth2.googleapis.com/tokeninfo"
    assert form(sent) == {"access_token": "TOKEN1"}


@pytest.mark.parametrize(
    ("status", "told", "kind"),
    [
        (200, {"aud": "ID2", "scope": ""}, Permanent),
        (200, {}, Retryable),
        (400, {"error": "invalid_token", "error_description": "TOKEN1"}, TokenRefused),
        (503, {}, Retryable),
    ],
)
def test_permissions_that_cannot_be_told(
    status: int,
    told: dict[str, str],
    kind: type[ProviderError],
    client: httpx.Client,
    httpx_mock: HTTPXMock,
) -> None:
    httpx_mock.add_response(status, json=told)
    with pytest.raises(kind) as caught:
        GOOGLE.permissions(client, tokens())
    assert type(caught.value) is kind
    assert "TOKEN1" not in str(caught.value)


@pytest.mark.parametrize(("refresh", "sent"), [("REFRESH1", "REFRESH1"), (None, "TOKEN1")])
def test_a_consent_ends_by_its_refresh_token(
    refresh: str | None, sent: str, client: httpx.Client, httpx_mock: HTTPXMock
) -> None:
    httpx_mock.add_response(url="https://oauth2.googleapis.com/revoke", json={})
    GOOGLE.revoke(client, tokens(refresh=refresh))
    assert form(httpx_mock.get_requests()[0]) == {"token": sent}


def test_trap_a_consent_that_has_ended_already_is_a_success(
    client: httpx.Client, httpx_mock: HTTPXMock
) -> None:
    httpx_mock.add_response(400, json={"error": "invalid_token"})
    GOOGLE.revoke(client, tokens())


@pytest.mark.parametrize(
    ("status", "told", "kind"),
    [
        (503, {}, Retryable),
        (429, {}, Retryable),
        (400, {"error": "invalid_request"}, Permanent),
        (400, "nothing", Permanent),
    ],
)
def test_a_consent_that_could_not_be_ended(
    status: int, told: Any, kind: type[ProviderError], client: httpx.Client, httpx_mock: HTTPXMock
) -> None:
    httpx_mock.add_response(status, content=json.dumps(told).encode())
    with pytest.raises(kind):
        GOOGLE.revoke(client, tokens())
