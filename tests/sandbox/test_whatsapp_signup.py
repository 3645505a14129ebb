"""Embedded Signup: a window that tells the page, and a code for no redirect address."""

import html
import json
import re
from typing import Any

import httpx
import pytest

from tests.sandbox.logins import FACEBOOK, MARCO, OLENA, Login
from tests.sandbox.stage import SECRET
from tests.sandbox.whatsapp import NUMBER, WABA, signed_up, signup

DIALOG = "/v24.0/dialog/whatsapp"


def told(answer: httpx.Response) -> tuple[Any, str, str]:
    """What the closing window tells the page, the code, and to which origin."""
    assert answer.status_code == 200, answer.text
    found = {n: html.unescape(v) for n, v in re.findall(r'data-(\w+)="(.*?)"', answer.text)}
    return json.loads(found["told"]), found["code"], found["origin"]


def exchanged(login: Login, code: str, **more: str) -> httpx.Response:
    own = {"client_id": FACEBOOK, "client_secret": SECRET, "code": code}
    return login.graph("GET", "/oauth/access_token", **own, **more)


def test_a_signup_gives_a_system_users_token_for_what_was_shared(login: Login) -> None:
    message, code, origin = told(signed_up(login, OLENA))
    assert origin == login.gateway
    ids = {"phone_number_id": NUMBER, "waba_id": WABA, "business_id": "202290129340398"}
    assert (message["type"], message["event"], message["data"]) == (
        "WA_EMBEDDED_SIGNUP",
        "FINISH",
        ids,
    )
    answer = exchanged(login, code).json()
    assert "expires_in" not in answer
    asked = {"input_token": answer["access_token"]}
    checked = login.graph("GET", "/debug_token", f"{FACEBOOK}|{SECRET}", **asked).json()["data"]
    assert (checked["type"], checked["expires_at"]) == ("SYSTEM_USER", 0)
    assert {one["scope"]: one["target_ids"] for one in checked["granular_scopes"]} == {
        "whatsapp_business_management": [WABA],
        "whatsapp_business_messaging": [WABA],
    }


def test_a_code_is_for_no_redirect_and_thirty_seconds(login: Login) -> None:
    _, code, _ = told(signed_up(login, OLENA))
    wrong = exchanged(login, code, redirect_uri=login.redirect_uri("whatsapp")).json()["error"]
    assert (wrong["code"], wrong["error_subcode"]) == (100, 36008)
    login.control("clock", forward_s=30)
    assert exchanged(login, code).json()["error"]["error_subcode"] == 36007


def test_cancel_and_lies_are_told_as_well(login: Login) -> None:
    message, code, _ = told(signed_up(login, OLENA, decision="cancel"))
    assert (message["event"], code) == ("CANCEL", "")
    login.control("switches", signup_lies=True)
    message, _, _ = told(signed_up(login, OLENA))
    assert message["data"]["waba_id"] != WABA


def test_a_number_of_the_business_app_keeps_it(login: Login) -> None:
    login.control("whatsapp/wabas", id="900", name="Corner", managers=[MARCO])
    number = {"id": "901", "waba": "900", "display": "+49 30 1", "name": "Corner", "on_app": True}
    login.control("whatsapp/numbers", **number)
    message, _, _ = told(signed_up(login, MARCO, number="901"))
    assert message["event"] == "FINISH_WHATSAPP_BUSINESS_APP_ONBOARDING"


@pytest.mark.parametrize(
    "changed",
    [{"origin": "https://evil.example"}, {"response_type": "token"}, {"client_id": "9"}],
)
def test_what_is_wrong_is_said_in_the_window(login: Login, changed: dict[str, str]) -> None:
    assert login.http.get(DIALOG, params=signup(login, OLENA, **changed)).status_code == 400


def test_the_script_is_served_under_its_own_path(login: Login) -> None:
    answer = login.http.get("/en_US/sdk.js")
    assert answer.headers["content-type"].startswith("text/javascript")
    assert "fbAsyncInit" in answer.text
