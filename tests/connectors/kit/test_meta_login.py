"""Facebook Login for Business: dialog, code, long-lived token, end. Traps by their names."""

from datetime import timedelta
from typing import Any

import httpx
import pytest
from pytest_httpx import HTTPXMock

from connectors.kit.meta.auth import appsecret_proof
from connectors.kit.transport.transport import Transport
from contracts.errors import OutcomeUnknown, Permanent, ProviderError, Reauthorize, Retryable
from contracts.tokens import Secret
from tests.connectors.kit.oauth import (
    META,
    NOW,
    URI,
    asked,
    code,
    consent,
    form,
    meta,
    paths,
    tokens,
)

GRAPH = "https://graph.facebook.com/v24.0"
TOKEN_URL = f"{GRAPH}/oauth/access_token"
GRANULAR = [
    {"scope": "pages_messaging", "target_ids": ["11", 12]},
    {"scope": "pages_show_list"},
]


@pytest.fixture
def client() -> httpx.Client:
    return Transport().client()


# -- the dialog ------------------------------------------------------------------------------------


def test_the_dialog_asks_for_scopes() -> None:
    url = META.consent_url(consent("pages_messaging", "email"))
    assert url.startswith("https://www.facebook.com/v24.0/dialog/oauth?")
    assert asked(url) == {
        "client_id": "3",
        "redirect_uri": URI,
        "response_type": "code",
        "state": "STATE1",
        "return_scopes": "true",
        "scope": "email,pages_messaging",
    }


def test_trap_a_configuration_takes_the_place_of_scopes() -> None:
    named = asked(meta(login_config_id="55").consent_url(consent("pages_messaging")))
    assert "scope" not in named
    assert named["config_id"] == "55"
    assert named["override_default_response_type"] == "true"


def test_trap_what_was_declined_is_asked_for_again_only_on_request() -> None:
    assert "auth_type" not in asked(META.consent_url(consent("email")))
    assert asked(META.consent_url(consent("email", again=True)))["auth_type"] == "rerequest"


# -- the exchange ----------------------------------------------------------------------------------


def _gives(
    httpx_mock: HTTPXMock, *, granted: tuple[str, ...] = ("pages_messaging",), **data: Any
) -> None:
    """What Graph answers to a consent, from the code to the name."""
    httpx_mock.add_response(url=TOKEN_URL, json={"access_token": "SHORT1", "expires_in": 5183})
    checked = {"app_id": "3", "type": "USER", "is_valid": True, "user_id": "77", "expires_at": 9}
    httpx_mock.add_response(
        url=_url("debug_token", "3|SECRET3", input_token="SHORT1"),
        json={"data": checked | {"scopes": list(granted), "granular_scopes": GRANULAR} | data},
    )


def _lengthens(httpx_mock: HTTPXMock, **answer: Any) -> None:
    httpx_mock.add_response(url=TOKEN_URL, json={"access_token": "LONG1"} | answer)


def _knows(httpx_mock: HTTPXMock, token: str = "LONG1", fields: str = "id,name") -> None:
    httpx_mock.add_response(
        url=_url("me", token, fields=fields),
        json={"id": "77", "name": "Olena", "email": "o@example.net", "birthday": "1990-01-01"},
    )


def _declines(httpx_mock: HTTPXMock) -> None:
    told = [
        {"permission": "pages_messaging", "status": "granted"},
        {"permission": "email", "status": "declined"},
        {"permission": "pages_show_list", "status": "expired"},
    ]
    httpx_mock.add_response(url=_url("me/permissions", "LONG1"), json={"data": told})


def _url(path: str, token: str, **params: str) -> httpx.URL:
    proof = appsecret_proof(Secret(token), Secret("SECRET3"))
    return httpx.URL(f"{GRAPH}/{path}", params=params | {"appsecret_proof": proof})


def test_a_code_becomes_a_long_lived_token(client: httpx.Client, httpx_mock: HTTPXMock) -> None:
    _gives(httpx_mock)
    _lengthens(httpx_mock, expires_in=5_184_000)
    _knows(httpx_mock)
    _declines(httpx_mock)
    granted = META.exchange(client, code())
    assert granted.tokens.access_token.reveal() == "LONG1"
    assert (granted.tokens.obtained_at, granted.tokens.subject) == (NOW, "77")
    assert granted.tokens.expires_at == NOW + timedelta(days=60)
    assert granted.scopes == {"pages_messaging"}
    assert granted.declined == {"email"}
    assert granted.ids == {"77"}
    assert granted.targets == {"pages_messaging": {"11", "12"}}
    assert granted.name == "Olena"


def test_trap_secret_and_code_stand_in_no_address(
    client: httpx.Client, httpx_mock: HTTPXMock
) -> None:
    _gives(httpx_mock)
    _lengthens(httpx_mock)
    _knows(httpx_mock)
    _declines(httpx_mock)
    META.exchange(client, code())
    spent, lengthened = (r for r in httpx_mock.get_requests() if r.method == "POST")
    own = {"client_id": "3", "client_secret": "SECRET3"}
    assert form(spent) == own | {"code": "CODE1", "redirect_uri": URI}
    assert form(lengthened) == own | {
        "grant_type": "fb_exchange_token",
        "fb_exchange_token": "SHORT1",
    }
    for sent in httpx_mock.get_requests():
        assert "SECRET3" not in str(sent.url)
        assert "CODE1" not in str(sent.url)


def test_trap_a_token_of_a_business_does_not_end_and_is_not_lengthened(
    client: httpx.Client, httpx_mock: HTTPXMock
) -> None:
    _gives(httpx_mock, type="SYSTEM_USER", expires_at=0)
    _knows(httpx_mock, "SHORT1")
    granted = META.exchange(client, code())
    assert granted.tokens.access_token.reveal() == "SHORT1"
    assert granted.tokens.expires_at is None
    assert [path for _, path in paths(httpx_mock)] == [
        "/v24.0/oauth/access_token",
        "/v24.0/debug_token",
        "/v24.0/me",
    ]


@pytest.mark.parametrize(
    ("scopes", "fields", "email"),
    [(("pages_messaging",), "id,name", None), (("email",), "id,name,email", "o@example.net")],
)
def test_an_address_is_asked_for_and_kept_only_where_it_was_granted(
    scopes: tuple[str, ...],
    fields: str,
    email: str | None,
    client: httpx.Client,
    httpx_mock: HTTPXMock,
) -> None:
    _gives(httpx_mock, granted=scopes)
    _lengthens(httpx_mock)
    told = {"id": "77", "name": "Olena"} | ({"email": email} if email else {})
    httpx_mock.add_response(url=_url("me", "LONG1", fields=fields), json=told)
    _declines(httpx_mock)
    granted = META.exchange(client, code())
    assert granted.email == email
    assert granted.tokens.expires_at is None  # its life was not told


def test_trap_a_token_of_another_app_is_not_taken(
    client: httpx.Client, httpx_mock: HTTPXMock
) -> None:
    _gives(httpx_mock, app_id="999")
    with pytest.raises(Permanent, match="META_APP_ID"):
        META.exchange(client, code())


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        ({"code": 100, "error_subcode": 36009}, Reauthorize, "the code is not accepted"),
        ({"code": 100}, Reauthorize, "the code is not accepted"),
        ({"code": 1}, Permanent, "META_APP_SECRET"),
        ({"code": 101}, Permanent, "META_APP_ID"),
        ({"code": 1, "is_transient": True}, OutcomeUnknown, "temporary"),
    ],
)
def test_a_code_is_refused(
    error: dict[str, Any],
    kind: type[ProviderError],
    words: str,
    client: httpx.Client,
    httpx_mock: HTTPXMock,
) -> None:
    httpx_mock.add_response(400, json={"error": error | {"message": "CODE1 SECRET3"}})
    with pytest.raises(kind, match=words) as caught:
        META.exchange(client, code())
    assert type(caught.value) is kind
    assert "1 SECRET" not in str(caught.value)


def test_trap_a_lost_answer_to_a_code_is_not_asked_for_again(
    client: httpx.Client, httpx_mock: HTTPXMock
) -> None:
    httpx_mock.add_exception(httpx.ReadTimeout("CODE1"))
    with pytest.raises(OutcomeUnknown) as caught:
        META.exchange(client, code())
    assert "CODE1" not in str(caught.value)
    assert len(httpx_mock.get_requests()) == 1


def test_what_is_no_token_is_an_unknown_outcome(
    client: httpx.Client, httpx_mock: HTTPXMock
) -> None:
    httpx_mock.add_response(content=b"access_token=TOKEN1&expires=5183")
    with pytest.raises(OutcomeUnknown) as caught:
        META.exchange(client, code())
    assert "TOKEN1" not in str(caught.value)


# -- what is granted now ---------------------------------------------------------------------------


def test_permissions_are_those_of_the_token(client: httpx.Client, httpx_mock: HTTPXMock) -> None:
    data = {"app_id": "3", "is_valid": True, "scopes": ["pages_messaging"]}
    httpx_mock.add_response(json={"data": data})
    assert META.permissions(client, tokens()) == frozenset({"pages_messaging"})
    httpx_mock.add_response(json={"data": {"is_valid": False, "error": {"code": 190}}})
    with pytest.raises(Reauthorize):
        META.permissions(client, tokens())


# -- the end ---------------------------------------------------------------------------------------


def test_a_consent_ends_by_the_apps_own_token(client: httpx.Client, httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(
        method="DELETE", url=_url("77/permissions", "3|SECRET3"), json={"success": True}
    )
    META.revoke(client, tokens())
    (sent,) = httpx_mock.get_requests()
    assert sent.headers["authorization"] == "Bearer 3|SECRET3"


def test_trap_a_consent_that_has_ended_already_is_a_success(
    client: httpx.Client, httpx_mock: HTTPXMock
) -> None:
    removed = {"error": {"code": 190, "error_subcode": 458, "message": "removed"}}
    httpx_mock.add_response(400, method="DELETE", json=removed)
    META.revoke(client, tokens())
    assert len(httpx_mock.get_requests()) == 1


@pytest.mark.parametrize("valid", [True, False])
def test_trap_not_there_may_mean_not_allowed_so_the_token_tells(
    valid: bool, client: httpx.Client, httpx_mock: HTTPXMock
) -> None:
    gone = {"error": {"code": 100, "error_subcode": 33}}
    httpx_mock.add_response(400, method="DELETE", json=gone)
    httpx_mock.add_response(json={"data": {"app_id": "3", "is_valid": valid}})
    if valid:
        with pytest.raises(Permanent, match="not there"):
            META.revoke(client, tokens())
    else:
        META.revoke(client, tokens())


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ({"status_code": 503}, Retryable),
        ({"status_code": 400, "json": {"error": {"code": 2}}}, Retryable),
        ({"status_code": 400, "json": {"error": {"code": 190}}}, Permanent),
        ({"status_code": 400, "json": {"error": {"code": 10}}}, Permanent),
    ],
)
def test_a_consent_that_could_not_be_ended(
    answer: dict[str, Any], kind: type[ProviderError], client: httpx.Client, httpx_mock: HTTPXMock
) -> None:
    httpx_mock.add_response(**answer)
    with pytest.raises(kind):
        META.revoke(client, tokens())


def test_nobodys_consent_cannot_be_ended(client: httpx.Client) -> None:
    with pytest.raises(Permanent, match="never told"):
        META.revoke(client, tokens(subject=""))
