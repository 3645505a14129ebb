"""Instagram Login: dialog, the three token endpoints, the two ids, subscriptions."""

import pytest

from tests.sandbox.logins import ACCOUNT, ACCOUNT_SCOPED, INSTAGRAM, Login, query_of

DIALOG = "/oauth/authorize"
MESSAGES = "instagram_business_manage_messages"


def a_code(login: Login) -> str:
    return query_of(login.decide(DIALOG, login.ask_instagram(), scope=MESSAGES))["code"]


def test_the_dialog_comes_back_with_a_code_that_ends_oddly(login: Login) -> None:
    who = login.http.get(DIALOG, params=login.ask_instagram(None))
    assert "demo.page" in who.text
    assert MESSAGES in login.http.get(DIALOG, params=login.ask_instagram()).text
    answer = login.decide(DIALOG, login.ask_instagram(), scope=MESSAGES)
    assert answer.headers["location"].endswith("#_")
    assert set(query_of(answer)) == {"code", "state"}
    assert query_of(login.decide(DIALOG, login.ask_instagram(), decision="cancel")) == {
        "error": "access_denied",
        "error_reason": "user_denied",
        "error_description": "The user denied your request.",
        "state": "s1",
    }


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"client_id": "1001"}, "Invalid platform app"),
        ({"redirect_uri": "https://evil.example/"}, "Invalid redirect_uri"),
        ({"scope": "instagram_business_basic,business_manage_messages"}, "Invalid scope"),
        ({"scope": MESSAGES}, "instagram_business_basic is needed"),
        ({"response_type": "token"}, "response_type"),
        ({"sandbox_person": "5"}, "no such account"),
        ({"scopes": "x"}, "Unknown parameter: scopes"),
    ],
)
def test_what_is_wrong_is_said_on_the_page(
    login: Login, changed: dict[str, str | None], says: str
) -> None:
    answer = login.http.get(DIALOG, params=login.ask_instagram(**changed))
    assert answer.status_code == 400
    assert says in answer.text


def test_the_exchange_answers_in_either_of_its_two_shapes(login: Login) -> None:
    permissions = f"instagram_business_basic,{MESSAGES}"
    [data] = login.exchange_instagram(a_code(login)).json()["data"]
    assert data["access_token"].startswith("IGAA")
    assert (data["user_id"], data["permissions"]) == (ACCOUNT_SCOPED, permissions)
    login.control("switches", instagram_flat=True)
    flat = login.exchange_instagram(a_code(login)).json()
    assert set(flat) == {"access_token", "user_id", "permissions"}
    assert flat["user_id"] == int(ACCOUNT_SCOPED)


def test_a_code_is_exchanged_once_within_the_hour(login: Login) -> None:
    code = a_code(login)
    other = login.exchange_instagram(code, redirect_uri="https://other.example/")
    assert other.json()["error_message"].startswith("Error validating verification code.")
    assert login.exchange_instagram(code, client_secret="x").status_code == 400
    assert login.exchange_instagram(code, client_id="x").status_code == 400
    assert login.exchange_instagram(code).is_success
    assert login.exchange_instagram(code).json() == {
        "error_type": "OAuthException",
        "code": 400,
        "error_message": "This authorization code has been used",
    }
    late = a_code(login)
    login.control("clock", forward_s=3_600)
    assert "expired" in login.exchange_instagram(late).json()["error_message"]
    trailing = login.exchange_instagram(a_code(login) + "#_").json()
    assert trailing["error_message"] == "Invalid authorization code"


def test_a_short_token_becomes_a_long_one(login: Login) -> None:
    short = login.exchange_instagram(a_code(login)).json()["data"][0]["access_token"]
    long = login.lasting(short).json()
    assert set(long) == {"access_token", "token_type", "expires_in"}
    assert (long["token_type"], long["expires_in"]) == ("bearer", 5_184_000)
    assert "error" in login.lasting(long["access_token"]).json()
    wrong = {"grant_type": "ig_exchange_token", "client_secret": "x", "access_token": short}
    assert login.ig("GET", "/access_token", **wrong).json()["error"]["code"] == 1


def test_a_token_is_refreshed_after_a_day_and_before_its_end(login: Login) -> None:
    token = login.instagram()

    def refresh(token: str) -> dict[str, object]:
        params = {"grant_type": "ig_refresh_token", "access_token": token}
        document: dict[str, object] = login.ig("GET", "/refresh_access_token", **params).json()
        return document

    assert "error" in refresh(token)
    login.control("clock", forward_s=86_400)
    newer = refresh(token)
    assert set(newer) == {"access_token", "token_type", "expires_in", "permissions"}
    assert newer["access_token"] != token
    login.control("clock", forward_s=5_184_000)
    error = refresh(token)["error"]
    assert isinstance(error, dict)
    assert (error["code"], error["error_subcode"]) == (190, 463)


def test_trap_an_account_has_two_ids(login: Login) -> None:
    token = login.instagram()
    me = login.ig("GET", "/v24.0/me", token, fields="user_id,id,username,name").json()
    assert me == {
        "user_id": ACCOUNT,
        "id": ACCOUNT_SCOPED,
        "username": "demo.page",
        "name": "Demo Page",
    }
    assert login.ig("GET", "/v24.0/me", token).json() == {"id": ACCOUNT_SCOPED}
    assert login.ig("GET", "/v24.0/me", token, fields="email").json()["error"]["code"] == 100


@pytest.mark.parametrize("name", ["me", ACCOUNT])
def test_one_field_subscribes_to_all(login: Login, name: str) -> None:
    token = login.instagram()
    apps = f"/v24.0/{name}/subscribed_apps"
    assert login.ig("GET", apps, token).json() == {"data": []}
    wrong = login.ig("POST", apps, token, subscribed_fields="message_edits")
    assert wrong.json()["error"]["code"] == 100
    assert login.ig("POST", apps, token, subscribed_fields="messages").json() == {"success": True}
    [app] = login.ig("GET", apps, token).json()["data"]
    assert app["id"] == INSTAGRAM
    assert {"messages", "comments", "messaging_seen"} <= set(app["subscribed_fields"])
    assert login.ig("DELETE", apps, token).json() == {"success": True}
    assert login.state("instagram")["subscriptions"] == {}


def test_a_token_is_good_for_its_own_account(login: Login) -> None:
    token = login.instagram()
    other = login.ig("GET", "/v24.0/17841400000000002/subscribed_apps", token)
    assert other.json()["error"]["error_subcode"] == 33
    assert login.ig("GET", "/v24.0/me").json()["error"]["code"] == 104
    assert login.ig("GET", "/v24.0/me", "nonsense").json()["error"]["code"] == 190
