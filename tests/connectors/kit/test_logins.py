"""Logins keep grants alive: when they act, what they get, and whose turn it is when they cannot."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from pytest_httpx import HTTPXMock

from connectors.kit.google.login import GoogleLogin, granted
from connectors.kit.google.settings import GoogleSettings
from connectors.kit.instagram.login import InstagramLogin
from connectors.kit.instagram.settings import InstagramSettings
from connectors.kit.meta.auth import appsecret_proof
from connectors.kit.meta.login import MetaLogin
from connectors.kit.meta.settings import MetaSettings
from connectors.kit.transport.transport import Transport
from connectors.registry import build
from contracts.errors import (
    Misconfigured,
    Permanent,
    ProviderError,
    Reauthorize,
    Retryable,
    Throttled,
)
from contracts.login import Login, Tokens
from contracts.tokens import Secret

NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def _now() -> datetime:
    return NOW


GOOGLE = GoogleLogin(GoogleSettings(client_id="ID1", client_secret=Secret("SECRET1")), _now)
INSTAGRAM = InstagramLogin(InstagramSettings(app_id="2", app_secret=Secret("SECRET2")), _now)
META = MetaLogin(
    MetaSettings(app_secret=Secret("SECRET3"), verify_token=Secret("v"), app_id="3"), _now
)
LOGINS: list[Login] = [GOOGLE, INSTAGRAM, META]
every_login = pytest.mark.parametrize("login", LOGINS, ids=lambda login: login.name)


def _tokens(age: timedelta, life: timedelta | None, refresh: str | None = "REFRESH1") -> Tokens:
    return Tokens(
        access_token=Secret("TOKEN1"),
        obtained_at=NOW - age,
        expires_at=None if life is None else NOW - age + life,
        refresh_token=Secret(refresh) if refresh else None,
    )


OLD = _tokens(30 * DAY, 60 * DAY)


@pytest.fixture
def client() -> httpx.Client:
    return Transport().client()


# -- every login -----------------------------------------------------------------------------------


@every_login
@pytest.mark.parametrize(
    ("status", "kind"), [(500, Retryable), (503, Retryable), (429, Throttled), (404, Permanent)]
)
def test_a_status_without_words(
    login: Login,
    status: int,
    kind: type[ProviderError],
    client: httpx.Client,
    httpx_mock: HTTPXMock,
) -> None:
    httpx_mock.add_response(status, content=b"<html>TOKEN1</html>")
    with pytest.raises(kind) as caught:
        login.refresh(client, OLD)
    assert type(caught.value) is kind
    assert "TOKEN1" not in str(caught.value)


@every_login
def test_a_lost_answer_is_asked_for_again(
    login: Login, client: httpx.Client, httpx_mock: HTTPXMock
) -> None:
    """None of them rotates: the next call gives as good an answer."""
    assert not login.rotates
    httpx_mock.add_exception(httpx.ReadTimeout("REFRESH1 TOKEN1 SECRET1"))
    with pytest.raises(Retryable) as caught:
        login.refresh(client, OLD)
    assert "1" not in str(caught.value)


@every_login
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"<html>TOKEN1",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        b'{"access_token":"","expires_in":3599}',
        b'{"access_token":"NEW1","expires_in":-5}',
        b'{"access_token":"NEW1","expires_in":99999999999999999999}',
        b'{"data":{"is_valid":true,"expires_at":99999999999999999999}}',
    ],
)
def test_what_is_no_answer_changes_nothing(
    login: Login, body: bytes, client: httpx.Client, httpx_mock: HTTPXMock
) -> None:
    httpx_mock.add_response(content=body)
    with pytest.raises(Retryable) as caught:
        login.refresh(client, OLD)
    assert "TOKEN1" not in str(caught.value)
    assert caught.value.__cause__ is None


@every_login
def test_a_login_does_not_show_its_secrets(login: Login) -> None:
    assert "SECRET" not in repr(login) + repr(vars(login))


# -- google ----------------------------------------------------------------------------------------


def test_google_asks_ten_minutes_ahead() -> None:
    assert GOOGLE.due_at(_tokens(HOUR, HOUR)) == NOW - timedelta(minutes=10)
    short = _tokens(timedelta(), timedelta(seconds=60))
    assert GOOGLE.due_at(short) == NOW + timedelta(seconds=30)


def test_google_gives_a_new_token_and_says_what_is_granted(
    client: httpx.Client, httpx_mock: HTTPXMock
) -> None:
    scope = "openid email https://www.googleapis.com/auth/calendar.events.readonly"
    httpx_mock.add_response(json={"access_token": "NEW1", "expires_in": 3599, "scope": scope})
    refreshed = GOOGLE.refresh(client, OLD)
    (sent,) = httpx_mock.get_requests()
    assert str(sent.url) == "https://oauth2.googleapis.com/token"
    assert {name: value for name, (value,) in parse_qs(sent.content.decode()).items()} == {
        "grant_type": "refresh_token",
        "client_id": "ID1",
        "client_secret": "SECRET1",
        "refresh_token": "REFRESH1",
    }
    assert refreshed.tokens.access_token.reveal() == "NEW1"
    assert refreshed.scopes == frozenset(
        {
            "openid",
            "https://www.googleapis.com/auth/userinfo.email",
            "https://www.googleapis.com/auth/calendar.events.readonly",
        }
    )


def test_trap_the_refresh_token_is_not_sent_again(
    client: httpx.Client, httpx_mock: HTTPXMock
) -> None:
    httpx_mock.add_response(json={"access_token": "NEW1", "expires_in": 3599})
    assert GOOGLE.refresh(client, OLD).tokens.refresh_token is None
    httpx_mock.add_response(json={"access_token": "N", "expires_in": 9, "refresh_token": "R2"})
    sent = GOOGLE.refresh(client, OLD).tokens.refresh_token
    assert sent is not None
    assert sent.reveal() == "R2"


def test_trap_expiry_is_naive_or_missing_and_then_for_ever(
    client: httpx.Client, httpx_mock: HTTPXMock
) -> None:
    """google-auth's is naive, and None means that the token never ends. Ours is aware, by our own
    clock from before the call, and there is always one.
    """
    httpx_mock.add_response(json={"access_token": "NEW1", "expires_in": 3599})
    assert GOOGLE.refresh(client, OLD).tokens.expires_at == NOW + timedelta(seconds=3599)
    httpx_mock.add_response(json={"access_token": "NEW1"})
    assert GOOGLE.refresh(client, OLD).tokens.expires_at == NOW + HOUR


def test_trap_scopes_that_were_not_granted_are_not_asked_for(
    client: httpx.Client, httpx_mock: HTTPXMock
) -> None:
    httpx_mock.add_response(json={"access_token": "NEW1", "expires_in": 3599})
    assert GOOGLE.refresh(client, OLD).scopes is None
    assert b"scope" not in httpx_mock.get_requests()[0].content


def test_trap_email_and_profile_come_back_under_other_names() -> None:
    long = {f"https://www.googleapis.com/auth/userinfo.{name}" for name in ("email", "profile")}
    assert granted("email  profile") == granted(" ".join(sorted(long))) == long


@pytest.mark.parametrize(
    ("told", "kind", "code"),
    [
        ({"error": "invalid_grant"}, Reauthorize, "invalid_grant"),
        (
            {"error": "invalid_grant", "error_subtype": "invalid_rapt"},
            Reauthorize,
            "invalid_grant/invalid_rapt",
        ),
        ({"error": "invalid_client"}, Permanent, "invalid_client"),
        ({"error": "unauthorized_client"}, Permanent, "unauthorized_client"),
        ({"error": "deleted_client"}, Permanent, "deleted_client"),
        ({"error": "temporarily_unavailable"}, Retryable, "temporarily_unavailable"),
    ],
)
def test_google_refuses(
    told: dict[str, str],
    kind: type[ProviderError],
    code: str,
    client: httpx.Client,
    httpx_mock: HTTPXMock,
) -> None:
    httpx_mock.add_response(400, json=told | {"error_description": "me@example.net TOKEN1"})
    with pytest.raises(kind) as caught:
        GOOGLE.refresh(client, OLD)
    assert (type(caught.value), caught.value.code) == (kind, code)
    assert "example.net" not in str(caught.value)
    assert len(httpx_mock.get_requests()) == 1


@pytest.mark.parametrize(
    "told", [{"error": "TOKEN1"}, {"error": "invalid_grant", "error_subtype": "TOKEN1"}]
)
def test_what_is_no_code_is_not_repeated(
    told: dict[str, str], client: httpx.Client, httpx_mock: HTTPXMock
) -> None:
    httpx_mock.add_response(400, json=told)
    with pytest.raises(ProviderError) as caught:
        GOOGLE.refresh(client, OLD)
    assert "TOKEN1" not in f"{caught.value} {caught.value.code}"


def test_google_without_a_refresh_token_needs_its_owner(client: httpx.Client) -> None:
    tokens = _tokens(HOUR, HOUR, refresh=None)
    assert GOOGLE.due_at(tokens) == NOW
    with pytest.raises(Reauthorize):
        GOOGLE.refresh(client, tokens)


# -- instagram -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("age", "life", "due"),
    [
        (timedelta(), 60 * DAY, NOW + 30 * DAY),
        (timedelta(), DAY, NOW + DAY),
        (timedelta(), None, NOW + DAY),
    ],
)
def test_instagram_asks_at_half_life_and_after_a_day(
    age: timedelta, life: timedelta | None, due: datetime
) -> None:
    assert INSTAGRAM.due_at(_tokens(age, life)) == due


def test_instagram_gives_another_sixty_days(client: httpx.Client, httpx_mock: HTTPXMock) -> None:
    permissions = "instagram_business_basic,instagram_business_manage_messages"
    httpx_mock.add_response(
        url="https://graph.instagram.com/refresh_access_token"
        "?grant_type=ig_refresh_token&access_token=TOKEN1",
        json={"access_token": "NEW1", "expires_in": 5_184_000, "permissions": permissions},
    )
    refreshed = INSTAGRAM.refresh(client, OLD)
    assert refreshed.tokens.access_token.reveal() == "NEW1"
    assert refreshed.tokens.expires_at == NOW + 60 * DAY
    assert refreshed.scopes == frozenset(permissions.split(","))


def test_trap_a_token_younger_than_a_day_is_not_refreshed(client: httpx.Client) -> None:
    with pytest.raises(Retryable) as caught:
        INSTAGRAM.refresh(client, _tokens(HOUR, 60 * DAY))
    assert caught.value.after_s == 23 * 3600


def test_trap_a_token_that_ended_cannot_be_refreshed(client: httpx.Client) -> None:
    with pytest.raises(Reauthorize):
        INSTAGRAM.refresh(client, _tokens(60 * DAY, 60 * DAY))


def test_instagram_refuses_with_graphs_codes(client: httpx.Client, httpx_mock: HTTPXMock) -> None:
    error = {"message": "TOKEN1", "type": "OAuthException", "code": 190, "error_subcode": 460}
    httpx_mock.add_response(400, json={"error": error})
    with pytest.raises(Reauthorize, match="password") as caught:
        INSTAGRAM.refresh(client, OLD)
    assert "TOKEN1" not in str(caught.value)


# -- meta ------------------------------------------------------------------------------------------

PAGE = _tokens(DAY, None, refresh=None)


def _checked(httpx_mock: HTTPXMock, **data: Any) -> None:
    httpx_mock.add_response(
        json={"data": {"app_id": "3", "is_valid": True, "expires_at": 0, **data}}
    )


def test_meta_checks_once_a_day() -> None:
    assert META.due_at(PAGE) == NOW
    assert META.due_at(_tokens(timedelta(), HOUR)) == NOW + HOUR


def test_meta_finds_a_token_good(client: httpx.Client, httpx_mock: HTTPXMock) -> None:
    _checked(httpx_mock, scopes=["pages_messaging"], type="PAGE", app_id=3)
    refreshed = META.refresh(client, PAGE)
    (sent,) = httpx_mock.get_requests()
    assert sent.url.copy_with(query=None) == "https://graph.facebook.com/v24.0/debug_token"
    proof = appsecret_proof(Secret("3|SECRET3"), Secret("SECRET3"))
    assert dict(sent.url.params) == {"input_token": "TOKEN1", "appsecret_proof": proof}
    assert sent.headers["authorization"] == "Bearer 3|SECRET3"
    assert refreshed.tokens.access_token.reveal() == "TOKEN1"
    assert (refreshed.tokens.obtained_at, refreshed.tokens.expires_at) == (NOW, None)
    assert refreshed.scopes == frozenset({"pages_messaging"})
    assert META.due_at(refreshed.tokens) == NOW + DAY


def test_meta_learns_when_a_token_ends(client: httpx.Client, httpx_mock: HTTPXMock) -> None:
    _checked(httpx_mock, expires_at=int((NOW + HOUR).timestamp()))
    assert META.refresh(client, PAGE).tokens.expires_at == NOW + HOUR


@pytest.mark.parametrize(
    ("subcode", "words"),
    [
        (458, "removed"),
        (459, "log in"),
        (460, "password"),
        (463, "expired"),
        (464, "confirm"),
        (467, "invalidated"),
        (492, "role"),
        (None, "not valid"),
    ],
)
def test_meta_says_why_a_token_died(
    subcode: int | None, words: str, client: httpx.Client, httpx_mock: HTTPXMock
) -> None:
    told = {"code": 190, "subcode": subcode, "message": "Olena TOKEN1"}
    _checked(httpx_mock, is_valid=False, error=told)
    with pytest.raises(Reauthorize, match=words) as caught:
        META.refresh(client, PAGE)
    assert caught.value.code == (f"190/{subcode}" if subcode else "190")
    assert "Olena" not in str(caught.value)


def test_meta_without_a_reason_is_over_all_the_same(
    client: httpx.Client, httpx_mock: HTTPXMock
) -> None:
    _checked(httpx_mock, is_valid=False)
    with pytest.raises(Reauthorize):
        META.refresh(client, PAGE)


def test_trap_temporary_trouble_told_of_a_token_is_not_its_end(
    client: httpx.Client, httpx_mock: HTTPXMock
) -> None:
    _checked(httpx_mock, is_valid=False, error={"code": 2})
    with pytest.raises(Retryable):
        META.refresh(client, PAGE)


@pytest.mark.parametrize("code", [190, 102])
def test_trap_the_apps_own_secret_is_refused(
    code: int, client: httpx.Client, httpx_mock: HTTPXMock
) -> None:
    """Otherwise one wrong setting would ask every owner to connect again."""
    httpx_mock.add_response(400, json={"error": {"code": code, "message": "3|SECRET3"}})
    with pytest.raises(Permanent, match="META_APP_SECRET") as caught:
        META.refresh(client, PAGE)
    assert "SECRET3" not in str(caught.value)


def test_trap_a_token_of_another_app(client: httpx.Client, httpx_mock: HTTPXMock) -> None:
    _checked(httpx_mock, app_id="999")
    with pytest.raises(Permanent, match="META_APP_ID"):
        META.refresh(client, PAGE)


def test_meta_needs_its_app_id() -> None:
    with pytest.raises(Misconfigured, match="META_APP_ID"):
        MetaLogin(MetaSettings(app_secret=Secret("s"), verify_token=Secret("v")))


# -- which are on ----------------------------------------------------------------------------------

SETTINGS = {
    "meta": {"META_APP_SECRET": "s", "META_VERIFY_TOKEN": "v", "META_APP_ID": "1"},
    "instagram": {"INSTAGRAM_APP_ID": "1", "INSTAGRAM_APP_SECRET": "s"},
    "google": {"GOOGLE_CLIENT_ID": "1", "GOOGLE_CLIENT_SECRET": "s"},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_login_with_its_settings_is_on_and_the_others_are_off(name: str) -> None:
    registry = build(SETTINGS[name])
    on = {name, "whatsapp"} if name == "meta" else {name}
    assert {key: login.name for key, login in registry.logins.items()} == {one: one for one in on}
    assert registry.logins_off.keys() == SETTINGS.keys() - on | ({"whatsapp"} - on)
    assert json.dumps(registry.logins_off)


@pytest.mark.parametrize(
    ("name", "missing"), [(name, key) for name, keys in SETTINGS.items() for key in keys]
)
def test_a_login_without_them_is_off_and_says_why(name: str, missing: str) -> None:
    registry = build({k: v for k, v in SETTINGS[name].items() if k != missing})
    assert registry.logins_off[name] == missing
    assert name not in registry.logins
