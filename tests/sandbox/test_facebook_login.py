"""Facebook's dialog and token endpoint, held to the documented forms."""

import pytest

from tests.sandbox.logins import AMARA, FACEBOOK, MARCO, OLENA, Login, boxes, query_of
from tests.sandbox.stage import OTHER_PAGE, PAGE, SECRET

DIALOG = "/v24.0/dialog/oauth"
ALL = {
    "email",
    "pages_show_list",
    "pages_manage_metadata",
    "pages_messaging",
    "pages_read_engagement",
    "pages_read_user_content",
    "pages_manage_engagement",
}


def test_the_dialog_asks_who_it_is_then_what_to_allow(login: Login) -> None:
    who = login.http.get(DIALOG, params=login.ask_facebook(None))
    assert [name in who.text for name in ("Olena Kovalenko", "Marco Rossi")] == [True, True]
    assert f"sandbox_person={OLENA}" in who.text
    what = login.http.get(DIALOG, params=login.ask_facebook())
    assert set(boxes(what)["permission"]) == ALL
    assert boxes(what)["page"] == [PAGE, OTHER_PAGE]
    assert "<script" not in what.text
    assert what.headers["content-security-policy"] == (
        "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    )


def test_continue_comes_back_with_code_and_state(login: Login) -> None:
    query = login.ask_facebook(return_scopes="true")
    answer = login.decide(DIALOG, query, permission=["email", "pages_messaging"], page=PAGE)
    assert answer.headers["location"].startswith(login.redirect_uri("meta") + "?code=")
    assert answer.headers["location"].endswith("#_=_")
    back = query_of(answer)
    assert back["state"] == "s1"
    assert back["granted_scopes"] == "email,pages_messaging,public_profile"
    assert set(back["denied_scopes"].split(",")) == ALL - {"email", "pages_messaging"}


def test_cancel_comes_back_with_the_refusal(login: Login) -> None:
    assert query_of(login.decide(DIALOG, login.ask_facebook(), decision="cancel")) == {
        "error": "access_denied",
        "error_code": "200",
        "error_description": "Permissions error",
        "error_reason": "user_denied",
        "state": "s1",
    }
    assert login.state("facebook")["waiting_codes"] == 0


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"client_id": "999"}, "Invalid App ID"),
        ({"redirect_uri": "https://evil.example/"}, "URL blocked"),
        ({"config_id": None, "scope": "email,public_everything"}, "Invalid Scopes"),
        ({"scope": "email"}, "send one of them"),
        ({"response_type": "token"}, "response_type"),
        ({"auth_typ": "rerequest"}, "Unknown parameter: auth_typ"),
        ({"sandbox_person": "5"}, "no such person"),
    ],
)
def test_what_is_wrong_is_said_on_the_page_and_nobody_is_sent_back(
    login: Login, changed: dict[str, str | None], says: str
) -> None:
    query = login.ask_facebook(**changed)
    for answer in (login.http.get(DIALOG, params=query), login.decide(DIALOG, query)):
        assert answer.status_code == 400
        assert says in answer.text
        assert "location" not in answer.headers


def test_only_what_is_offered_can_be_chosen(login: Login) -> None:
    for ticked in ({"permission": "business_management"}, {"page": "31"}, {"extra": "1"}):
        assert login.decide(DIALOG, login.ask_facebook(), **ticked).status_code == 400
    assert login.decide(DIALOG, login.ask_facebook(AMARA), page=PAGE).status_code == 400
    assert login.state("facebook")["waiting_codes"] == 0


def test_scope_asks_for_what_it_names(login: Login) -> None:
    query = login.ask_facebook(config_id=None, scope="pages_show_list,instagram_basic")
    offered = boxes(login.http.get(DIALOG, params=query))["permission"]
    assert offered == ["pages_show_list", "instagram_basic"]


def test_what_was_declined_is_asked_again_only_on_request(login: Login) -> None:
    login.facebook(permission=["email"])
    plain = login.http.get(DIALOG, params=login.ask_facebook())
    assert boxes(plain)["permission"] == ["email"]
    again = login.http.get(DIALOG, params=login.ask_facebook(auth_type="rerequest"))
    assert set(boxes(again)["permission"]) == ALL


def test_a_code_is_exchanged_once_for_the_same_address(login: Login) -> None:
    code = query_of(login.decide(DIALOG, login.ask_facebook()))["code"]
    other = login.exchange_facebook(code, redirect_uri=login.redirect_uri("meta") + "/")
    assert (other.status_code, other.json()["error"]["error_subcode"]) == (400, 36008)
    assert login.exchange_facebook(code, client_secret="wrong").json()["error"]["code"] == 1
    assert login.exchange_facebook(code, client_id="5").json()["error"]["code"] == 101
    good = login.exchange_facebook(code)
    assert good.headers["facebook-api-version"] == "v24.0"
    assert set(good.json()) == {"access_token", "token_type", "expires_in"}
    assert good.json()["token_type"] == "bearer"
    used = login.exchange_facebook(code).json()["error"]
    assert (used["type"], used["code"], used["error_subcode"]) == ("OAuthException", 100, 36009)
    assert login.exchange_facebook("AQx").json()["error"]["code"] == 100


def test_codes_expire(login: Login) -> None:
    code = query_of(login.decide(DIALOG, login.ask_facebook()))["code"]
    assert login.control("codes/expire") == {"expired": 1}
    assert login.exchange_facebook(code).json()["error"]["error_subcode"] == 36007
    code = query_of(login.decide(DIALOG, login.ask_facebook()))["code"]
    login.control("clock", forward_s=600)
    assert login.exchange_facebook(code).json()["error"]["error_subcode"] == 36007


def long_lived(login: Login, token: str) -> str:
    params = {"client_id": FACEBOOK, "client_secret": SECRET, "fb_exchange_token": token}
    answer = login.graph("GET", "/oauth/access_token", grant_type="fb_exchange_token", **params)
    assert answer.json()["expires_in"] == 5_183_944
    return str(answer.json()["access_token"])


def test_a_token_is_exchanged_for_a_long_lived_one_until_it_expires(login: Login) -> None:
    short = login.facebook()
    token = long_lived(login, short)
    login.control("clock", forward_s=5_400)
    expired = login.graph("GET", "/me", short).json()["error"]
    assert (expired["code"], expired["error_subcode"]) == (190, 463)
    assert login.graph("GET", "/me", token).is_success
    params = {"client_id": FACEBOOK, "client_secret": SECRET, "fb_exchange_token": short}
    dead = login.graph("GET", "/oauth/access_token", grant_type="fb_exchange_token", **params)
    assert dead.json()["error"]["error_subcode"] == 463


def debugged(login: Login, token: str) -> dict[str, object]:
    app = f"{FACEBOOK}|{SECRET}"
    answer = login.graph("GET", "/debug_token", input_token=token, access_token=app)
    data: dict[str, object] = answer.json()["data"]
    return data


def test_debug_token_tells_what_a_token_is_worth(login: Login) -> None:
    token = login.facebook(permission=["email", "pages_show_list"], page=PAGE)
    data = debugged(login, token)
    assert (data["app_id"], data["type"], data["is_valid"]) == (FACEBOOK, "USER", True)
    assert data["user_id"] == OLENA
    assert data["scopes"] == ["email", "pages_show_list", "public_profile"]
    assert data["granular_scopes"] == [
        {"scope": "email"},
        {"scope": "pages_show_list", "target_ids": [PAGE]},
        {"scope": "public_profile"},
    ]
    of_page = debugged(login, login.page_token(long_lived(login, token), PAGE))
    assert (of_page["type"], of_page["profile_id"], of_page["expires_at"]) == ("PAGE", PAGE, 0)
    login.control(f"facebook/people/{OLENA}/change-password")
    dead = debugged(login, token)
    assert dead["is_valid"] is False
    assert dead["error"] == {
        "code": 190,
        "message": "Error validating access token: The session has been invalidated because the "
        "user changed their password or Facebook has changed the session for security reasons.",
        "subcode": 460,
    }
    assert debugged(login, "nonsense")["is_valid"] is False


def test_all_pages_leave_target_ids_out(login: Login) -> None:
    token = login.facebook(permission="pages_show_list", all_pages="true")
    granular = debugged(login, token)["granular_scopes"]
    assert granular == [{"scope": "pages_show_list"}, {"scope": "public_profile"}]


def test_debug_token_wants_the_apps_token(login: Login) -> None:
    token = login.facebook()
    assert (
        login.graph("GET", "/debug_token", token, input_token=token).json()["error"]["code"] == 100
    )
    other = login.graph("GET", "/debug_token", f"{FACEBOOK}|wrong", input_token=token)
    assert other.json()["error"]["code"] == 190


def test_two_people_run_the_same_page(login: Login) -> None:
    first = login.page_token(login.facebook(OLENA), PAGE)
    second = login.page_token(login.facebook(MARCO), PAGE)
    assert first != second
    login.control(f"facebook/people/{OLENA}/remove-app")
    assert login.graph("GET", f"/{PAGE}", first).json()["error"]["error_subcode"] == 458
    assert login.graph("GET", f"/{PAGE}", second).is_success
