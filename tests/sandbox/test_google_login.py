"""Google's consent screen, token endpoints and the API calls of connecting."""

import base64
import hashlib

import jwt
import pytest

from tests.sandbox.logins import API, GOOGLE, GOOGLE_SECRET, SUB, Json, Login, query_of

DIALOG = "/o/oauth2/v2/auth"
CALENDAR, EVENTS, GMAIL = f"{API}calendar.readonly", f"{API}calendar.events", f"{API}gmail.readonly"
VERIFIER = "v" * 64
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=")


def a_code(login: Login, *scopes: str, **changed: str | None) -> str:
    answer = login.decide(DIALOG, login.ask_google(**changed), scope=list(scopes))
    return query_of(answer)["code"]


def test_the_screen_has_an_empty_box_for_each_scope(login: Login) -> None:
    who = login.http.get(DIALOG, params=login.ask_google(None))
    assert "marco@example.com" in who.text
    what = login.http.get(DIALOG, params=login.ask_google()).text
    assert f'value="{CALENDAR}">' in what
    assert f'value="{API}userinfo.email" checked disabled>' in what


def test_a_hint_chooses_the_account_unless_told_to_ask(login: Login) -> None:
    for hint in ("olena@example.com", SUB):
        query = login.ask_google(None, login_hint=hint)
        assert "Account of olena@example.com" in login.http.get(DIALOG, params=query).text
    query = login.ask_google(None, login_hint=SUB, prompt="select_account")
    assert "Choose an account" in login.http.get(DIALOG, params=query).text
    query = login.ask_google(None, login_hint="nobody@example.com")
    assert "Choose an account" in login.http.get(DIALOG, params=query).text


def test_continue_comes_back_with_what_was_ticked(login: Login) -> None:
    query = login.ask_google(scope=f"openid email {CALENDAR} {EVENTS}")
    back = query_of(login.decide(DIALOG, query, scope=EVENTS))
    assert set(back) == {"state", "iss", "code", "scope", "authuser", "prompt"}
    assert set(back["scope"].split()) == {"openid", f"{API}userinfo.email", EVENTS}
    refused = query_of(login.decide(DIALOG, query, decision="cancel"))
    assert refused == {"error": "access_denied", "state": "s1"}
    assert login.decide(DIALOG, query, scope=GMAIL).status_code == 400
    silent = query_of(login.http.get(DIALOG, params=login.ask_google(prompt="none")))
    assert silent == {"error": "interaction_required", "state": "s1"}


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"client_id": "other"}, "invalid_client"),
        ({"redirect_uri": "https://evil.example/"}, "redirect_uri_mismatch"),
        ({"scope": f"{API}everything"}, "invalid_scope"),
        ({"scope": None}, "Missing required parameter: scope"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"include_granted_scopes": "True"}, "include_granted_scopes"),
        ({"access_type": "forever"}, "access_type"),
        ({"prompt": "none consent"}, "prompt"),
        ({"code_challenge": "short", "code_challenge_method": "S256"}, "code_challenge"),
        ({"code_challenge": VERIFIER[:43], "code_challenge_method": "plain"}, "must be S256"),
        ({"colour": "blue"}, "Unknown parameter: colour"),
    ],
)
def test_what_is_wrong_is_said_on_googles_own_page(
    login: Login, changed: dict[str, str | None], says: str
) -> None:
    answer = login.http.get(DIALOG, params=login.ask_google(**changed))
    assert answer.status_code == 400
    assert says in answer.text


def test_tokens_have_the_documented_fields(login: Login) -> None:
    tokens = login.google(CALENDAR)
    assert set(tokens) == {
        "access_token",
        "expires_in",
        "token_type",
        "scope",
        "refresh_token",
        "id_token",
    }
    assert tokens["access_token"].startswith("ya29.")
    assert tokens["refresh_token"].startswith("1//0")
    assert (tokens["expires_in"], tokens["token_type"]) == (3_599, "Bearer")
    assert set(tokens["scope"].split()) == {"openid", f"{API}userinfo.email", CALENDAR}


def test_the_id_token_is_signed_with_a_published_key(login: Login) -> None:
    token = login.google(CALENDAR, nonce="n1")["id_token"]
    keys = login.call("GET", "www.googleapis.com", "/oauth2/v3/certs").json()
    [key] = jwt.PyJWKSet.from_dict(keys).keys
    assert jwt.get_unverified_header(token)["kid"] == key.key_id
    claims = jwt.decode(
        token, key.key, algorithms=["RS256"], audience=GOOGLE, issuer="https://accounts.google.com"
    )
    assert (claims["sub"], claims["email"], claims["email_verified"], claims["nonce"]) == (
        SUB,
        "olena@example.com",
        True,
        "n1",
    )
    assert "name" not in claims
    told = login.call("GET", "oauth2.googleapis.com", "/tokeninfo", params={"id_token": token})
    assert (told.json()["sub"], told.json()["email_verified"]) == (SUB, "true")
    forged = login.call(
        "GET", "oauth2.googleapis.com", "/tokeninfo", params={"id_token": token[:-4] + "AAAA"}
    )
    assert forged.json()["error"] == "invalid_token"


def test_a_refresh_token_comes_with_consent_and_offline_alone(login: Login) -> None:
    assert "refresh_token" not in login.google(CALENDAR, access_type=None)
    again = query_of(login.http.get(DIALOG, params=login.ask_google()))
    assert again["prompt"] == "none"
    assert "refresh_token" not in login.exchange_google(again["code"]).json()
    assert "refresh_token" in login.google(CALENDAR, prompt="consent")


def test_granted_scopes_are_included_on_request(login: Login) -> None:
    login.google(CALENDAR)
    more = login.ask_google(scope=f"openid {GMAIL}")
    code = query_of(login.decide(DIALOG, more, scope=GMAIL))["code"]
    assert CALENDAR not in login.exchange_google(code).json()["scope"]
    all_ = {**more, "include_granted_scopes": "true", "prompt": "consent"}
    code = query_of(login.decide(DIALOG, all_, scope=GMAIL))["code"]
    assert {CALENDAR, GMAIL} <= set(login.exchange_google(code).json()["scope"].split())


def test_the_client_shows_itself_by_basic_or_in_the_body(login: Login) -> None:
    form = {"grant_type": "authorization_code", "redirect_uri": login.redirect_uri("google")}
    own = {"client_id": GOOGLE, "client_secret": GOOGLE_SECRET}

    def token(form: dict[str, str], auth: tuple[str, str] | None = None) -> tuple[int, str]:
        answer = login.call("POST", "oauth2.googleapis.com", "/token", data=form, auth=auth)
        return answer.status_code, answer.json().get("error", "")

    code = a_code(login)
    assert token({**form, "code": code}) == (401, "invalid_client")
    assert token({**form, "code": code, **own, "client_secret": "x"}) == (401, "invalid_client")
    assert token({**form, "code": code, **own}, (GOOGLE, GOOGLE_SECRET)) == (400, "invalid_request")
    assert token({**form, "code": code}, (GOOGLE, "x")) == (401, "invalid_client")
    assert token({**form, "code": code, **own}) == (200, "")


def test_a_code_is_exchanged_once_for_the_same_address(login: Login) -> None:
    code = a_code(login)
    other = login.exchange_google(code, redirect_uri="https://other.example/")
    assert other.json()["error"] == "redirect_uri_mismatch"
    assert login.exchange_google(code).is_success
    used = login.exchange_google(code)
    assert (used.status_code, used.json()) == (
        400,
        {"error": "invalid_grant", "error_description": "Bad Request"},
    )
    assert login.exchange_google("4/0Ax").json()["error"] == "invalid_grant"
    late = a_code(login)
    login.control("clock", forward_s=600)
    assert login.exchange_google(late).json()["error"] == "invalid_grant"


def test_a_challenge_needs_its_verifier(login: Login) -> None:
    challenge = {"code_challenge": CHALLENGE.decode(), "code_challenge_method": "S256"}

    def described(**form: str) -> str:
        code = a_code(login, **challenge)
        return str(login.exchange_google(code, **form).json().get("error_description"))

    assert described() == "Missing code verifier."
    assert described(code_verifier="w" * 64) == "Invalid code verifier."
    assert described(code_verifier=VERIFIER) == "None"
    unasked = login.exchange_google(a_code(login, prompt="consent"), code_verifier=VERIFIER)
    assert unasked.json()["error"] == "invalid_grant"


def test_refreshing_keeps_the_refresh_token(login: Login) -> None:
    tokens = login.google(CALENDAR)
    refresh = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    newer = login.google_token(**refresh).json()
    assert newer["access_token"] != tokens["access_token"]
    assert "refresh_token" not in newer
    assert newer["scope"] == tokens["scope"]
    assert login.google_token(**refresh, scope=CALENDAR).json()["scope"] == CALENDAR
    ungranted = login.google_token(**refresh, scope=GMAIL).json()
    assert ungranted["error"] == "invalid_scope"
    wrong = login.google_token(grant_type="refresh_token", refresh_token=tokens["access_token"])
    assert wrong.json()["error"] == "invalid_grant"
    assert login.google_token(grant_type="password").json()["error"] == "unsupported_grant_type"


def test_refresh_tokens_rotate_on_request(login: Login) -> None:
    first = login.google(CALENDAR)["refresh_token"]
    login.control("switches", google_rotates=True)
    second = login.google_token(grant_type="refresh_token", refresh_token=first).json()
    spent = login.google_token(grant_type="refresh_token", refresh_token=first)
    assert spent.json()["error"] == "invalid_grant"
    third = login.google_token(grant_type="refresh_token", refresh_token=second["refresh_token"])
    assert third.is_success


def test_of_a_hundred_refresh_tokens_the_oldest_dies(login: Login) -> None:
    oldest = login.google(CALENDAR)["refresh_token"]
    for _ in range(100):
        newest = login.google(CALENDAR, prompt="consent")["refresh_token"]
    first = login.google_token(grant_type="refresh_token", refresh_token=oldest)
    assert first.json()["error"] == "invalid_grant"
    assert login.google_token(grant_type="refresh_token", refresh_token=newest).is_success


def test_while_testing_refresh_tokens_end_after_a_week(login: Login) -> None:
    login.control("switches", google_testing=True)
    tokens = login.google(CALENDAR)
    assert tokens["refresh_token_expires_in"] == 604_800
    login.control("clock", forward_s=604_800)
    ended = login.google_token(
        grant_type="refresh_token", refresh_token=tokens["refresh_token"]
    ).json()
    assert ended["error"] == "invalid_grant"


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
def test_trap_revoking_any_token_ends_everything(login: Login, kind: str) -> None:
    calendar = login.google(CALENDAR)
    mail = login.google(GMAIL, scope=f"openid {GMAIL}")
    form = {"token": calendar[kind]}
    assert login.call("POST", "oauth2.googleapis.com", "/revoke", data=form).is_success
    other = login.google_token(grant_type="refresh_token", refresh_token=mail["refresh_token"])
    assert other.json()["error"] == "invalid_grant"
    [olena, *_] = login.state("google")["people"]
    assert (olena["connected"], olena["scopes"]) == (False, [])
    assert login.state("google")["live_tokens"] == 0
    again = login.call("POST", "oauth2.googleapis.com", "/revoke", data=form)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_token")


def test_userinfo_and_tokeninfo(login: Login) -> None:
    token = login.google(CALENDAR, scope=f"openid profile {CALENDAR}")["access_token"]
    info = login.call("GET", "openidconnect.googleapis.com", "/v1/userinfo", token).json()
    assert info == {
        "sub": SUB,
        "name": "Olena Kovalenko",
        "given_name": "Olena",
        "family_name": "Kovalenko",
    }
    told = login.call("GET", "oauth2.googleapis.com", "/tokeninfo", params={"access_token": token})
    assert told.json()["sub"] == SUB
    assert set(told.json()["scope"].split()) == {"openid", f"{API}userinfo.profile", CALENDAR}
    login.control("clock", forward_s=3_599)
    gone = login.call("GET", "openidconnect.googleapis.com", "/v1/userinfo", token)
    assert gone.status_code == 401


def test_calendars_of_every_kind_are_listed(login: Login) -> None:
    token = login.google(CALENDAR)["access_token"]
    path = "/calendar/v3/users/me/calendarList"

    def listed(**params: str) -> Json:
        answer = login.call("GET", "www.googleapis.com", path, token, params=params)
        document: Json = answer.json()
        return document

    everything = listed()
    assert everything["kind"] == "calendar#calendarList"
    assert [item["accessRole"] for item in everything["items"]] == [
        "owner",
        "writer",
        "reader",
        "reader",
    ]
    assert everything["items"][0]["primary"] is True
    assert str(everything["items"][3]["id"]).endswith("#holiday@group.v.calendar.google.com")
    first = listed(maxResults="3")
    assert "nextSyncToken" not in first
    rest = listed(maxResults="3", pageToken=str(first["nextPageToken"]))
    assert len(first["items"]) + len(rest["items"]) == 4
    assert [item["accessRole"] for item in listed(minAccessRole="writer")["items"]] == [
        "owner",
        "writer",
    ]
    assert listed(syncToken=str(rest["nextSyncToken"]))["items"] == []
    old = login.call("GET", "www.googleapis.com", path, token, params={"syncToken": "old"})
    assert (old.status_code, old.json()["error"]["errors"][0]["reason"]) == (
        410,
        "fullSyncRequired",
    )


def test_apis_want_the_right_scope(login: Login) -> None:
    token = login.google(EVENTS, scope=f"openid {EVENTS}")["access_token"]
    calendars = "/calendar/v3/users/me/calendarList"
    for host, path in (
        ("www.googleapis.com", calendars),
        ("gmail.googleapis.com", "/gmail/v1/users/me/profile"),
    ):
        error = login.call("GET", host, path, token).json()["error"]
        assert (error["code"], error["status"]) == (403, "PERMISSION_DENIED")
        assert error["errors"][0]["reason"] == "insufficientPermissions"
    error = login.call("GET", "www.googleapis.com", calendars, "ya29.nonsense").json()["error"]
    assert (error["code"], error["errors"][0]["reason"]) == (401, "authError")
    assert login.call("GET", "www.googleapis.com", "/calendar/v9/x", token).status_code == 404


def test_a_mailbox_tells_its_address(login: Login) -> None:
    token = login.google(GMAIL, scope=f"openid {GMAIL}")["access_token"]
    profile = login.call("GET", "gmail.googleapis.com", "/gmail/v1/users/me/profile", token)
    assert profile.json() == {
        "emailAddress": "olena@example.com",
        "messagesTotal": 3,
        "threadsTotal": 2,
        "historyId": "90210",
    }
