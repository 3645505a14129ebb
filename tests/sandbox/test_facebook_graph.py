"""Graph as connecting and revoking use it: people, Pages, permissions, subscriptions, proofs."""

import hashlib
import hmac
import time

import pytest

from tests.sandbox.logins import AMARA, FACEBOOK, MARCO, OLENA, Login, params_of
from tests.sandbox.stage import OTHER_PAGE, PAGE, SECRET

APP_TOKEN = f"{FACEBOOK}|{SECRET}"
OWNED = "3333333333"


def proof(token: str, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), token.encode(), hashlib.sha256).hexdigest()


def test_me_tells_the_email_only_if_it_was_granted(login: Login) -> None:
    token = login.facebook(permission=["email", "pages_show_list"])
    assert login.graph("GET", "/me", token, fields="id,name,email").json() == {
        "id": OLENA,
        "name": "Olena Kovalenko",
        "email": "olena@example.com",
    }
    login.control(f"facebook/people/{OLENA}/revoke-permission", permission="email")
    assert login.graph("GET", "/me", token, fields="name,email").json() == {
        "id": OLENA,
        "name": "Olena Kovalenko",
    }


def test_permissions_say_what_was_granted_and_declined(login: Login) -> None:
    token = login.facebook(permission=["email"])
    data = login.graph("GET", "/me/permissions", token).json()["data"]
    assert {"permission": "email", "status": "granted"} in data
    assert {"permission": "pages_messaging", "status": "declined"} in data
    assert login.graph("GET", f"/{OLENA}/permissions", APP_TOKEN).json()["data"] == data


def test_accounts_come_in_pages_with_their_tokens(login: Login) -> None:
    token = login.facebook()
    first = login.graph("GET", "/me/accounts", token, fields="name,access_token,tasks", limit=1)
    [page] = first.json()["data"]
    assert page["id"] == PAGE
    assert page["tasks"] == [
        "ADVERTISE",
        "ANALYZE",
        "CREATE_CONTENT",
        "MESSAGING",
        "MODERATE",
        "MANAGE",
    ]
    assert page["access_token"] == login.page_token(token, PAGE)
    paging = first.json()["paging"]
    assert paging["cursors"] == {"before": PAGE, "after": PAGE}
    assert paging["next"].startswith("https://graph.facebook.com/v24.0/me/accounts?")
    assert params_of(paging["next"])["access_token"] == [token]
    second = login.graph("GET", "/me/accounts", token, limit=1, after=PAGE).json()
    assert [page["id"] for page in second["data"]] == [OTHER_PAGE]
    assert "next" not in second["paging"]


def test_only_chosen_pages_are_there(login: Login) -> None:
    token = login.facebook(page=OTHER_PAGE)
    listed = login.graph("GET", "/me/accounts", token).json()["data"]
    assert [page["id"] for page in listed] == [OTHER_PAGE]
    error = login.graph("GET", f"/{PAGE}", token).json()["error"]
    assert (error["type"], error["code"], error["error_subcode"]) == (
        "GraphMethodException",
        100,
        33,
    )
    assert login.graph("GET", "/me/accounts", login.facebook(permission="email")).json() == {
        "data": []
    }


def test_trap_a_business_owned_page_is_listed_nowhere(login: Login) -> None:
    login.control("pages", id=OWNED, name="Hotel", managers=[AMARA])
    login.control(f"facebook/pages/{OWNED}", business_owned=True)
    token = login.facebook(AMARA)
    assert login.graph("GET", "/me/accounts", token).json() == {"data": []}
    debugged = login.graph("GET", "/debug_token", APP_TOKEN, input_token=token).json()["data"]
    targets = {one["scope"]: one.get("target_ids") for one in debugged["granular_scopes"]}
    assert targets["pages_messaging"] == [OWNED]
    fields = "id,name,access_token,tasks,instagram_business_account"
    page = login.graph("GET", f"/{OWNED}", token, fields=fields).json()
    assert set(page) == {"id", "name", "access_token", "tasks"}


def test_a_linked_instagram_account_needs_its_permission(login: Login) -> None:
    fields = "instagram_business_account{id,username}"
    assert login.graph("GET", f"/{PAGE}", login.facebook(), fields=fields).json() == {"id": PAGE}
    query = login.ask_facebook(config_id=None, scope="pages_show_list,instagram_basic")
    ticked = {"permission": ["pages_show_list", "instagram_basic"], "page": PAGE}
    back = login.decide("/v24.0/dialog/oauth", query, **ticked)
    code = params_of(back.headers["location"])["code"][0]
    token = login.exchange_facebook(code).json()["access_token"]
    linked = login.graph("GET", f"/{PAGE}", token, fields=fields).json()
    assert linked["instagram_business_account"] == {
        "id": "17841400000000001",
        "username": "demo.page",
    }


def test_subscribing_replaces_and_is_read_back(login: Login) -> None:
    token = login.page_token(login.facebook(), PAGE)
    apps = f"/{PAGE}/subscribed_apps"
    assert login.graph("GET", apps, token).json() == {"data": []}
    for fields in ("messages,feed", "messages,message_echoes"):
        answer = login.graph("POST", apps, token, subscribed_fields=fields)
        assert answer.json() == {"success": True}
    [app] = login.graph("GET", apps, token).json()["data"]
    assert (app["id"], app["subscribed_fields"]) == (FACEBOOK, ["messages", "message_echoes"])
    assert login.state("facebook")["subscriptions"] == {PAGE: ["messages", "message_echoes"]}
    assert login.graph("DELETE", apps, token).json() == {"success": True}
    assert login.state("facebook")["subscriptions"] == {}


def test_names_of_instagram_are_no_fields_of_a_page(login: Login) -> None:
    token = login.page_token(login.facebook(), PAGE)
    apps = f"/{PAGE}/subscribed_apps"
    error = login.graph("POST", apps, token, subscribed_fields="messages,messaging_seen").json()
    assert error["error"]["code"] == 100
    assert error["error"]["message"].startswith("(#100) Param subscribed_fields[1] must be one of")
    assert login.graph("POST", apps, token).json()["error"]["code"] == 100


def test_subscribing_needs_the_pages_token_and_its_rights(login: Login) -> None:
    user = login.facebook()
    token = login.page_token(user, PAGE)
    apps = f"/{PAGE}/subscribed_apps"

    def refused(token: str) -> int:
        answer = login.graph("POST", apps, token, subscribed_fields="messages")
        return int(answer.json()["error"]["code"])

    assert refused(user) == 210
    assert refused(login.page_token(user, OTHER_PAGE)) == 100
    login.control(f"facebook/people/{OLENA}/revoke-permission", permission="pages_messaging")
    assert refused(token) == 200
    assert login.graph("POST", apps, token, subscribed_fields="feed").is_success
    login.control(f"facebook/people/{OLENA}/revoke-permission", permission="pages_manage_metadata")
    assert refused(token) == 200
    login.control(f"facebook/people/{MARCO}/gain-role", page=PAGE, tasks=["MESSAGING"])
    assert refused(login.page_token(login.facebook(MARCO), PAGE)) == 200


@pytest.mark.parametrize("by", ["user", "app"])
def test_revoking_all_permissions_ends_every_token(login: Login, by: str) -> None:
    user = login.facebook()
    page = login.page_token(user, PAGE)
    token = user if by == "user" else APP_TOKEN
    assert login.graph("DELETE", f"/{OLENA}/permissions", token).json() == {"success": True}
    for dead in (user, page):
        error = login.graph("GET", "/me", dead).json()["error"]
        assert (error["code"], error["error_subcode"]) == (190, 458)
    assert login.state("facebook")["live_tokens"] == 0
    assert login.graph("DELETE", f"/{OLENA}/permissions", APP_TOKEN).json()["error"]["code"] == 100
    assert login.http.get("/api/callbacks").json() == {"callbacks": []}


def test_revoking_one_permission_leaves_the_others(login: Login) -> None:
    token = login.facebook()
    gone = login.graph("DELETE", f"/{OLENA}/permissions/pages_messaging", token)
    assert gone.json() == {"success": True}
    data = login.graph("GET", "/me/permissions", token).json()["data"]
    assert {"permission": "pages_messaging", "status": "declined"} in data
    assert {"permission": "email", "status": "granted"} in data
    again = login.graph("DELETE", f"/{OLENA}/permissions/pages_messaging", token)
    assert again.json()["error"]["code"] == 100


def test_one_person_revokes_nothing_of_another(login: Login) -> None:
    login.facebook(MARCO)
    error = login.graph("DELETE", f"/{MARCO}/permissions", login.facebook()).json()["error"]
    assert error["code"] == 100
    people = login.state("facebook")["people"]
    assert [person["connected"] for person in people] == [True, True, False]


def test_proofs_are_checked_when_sent_and_needed_when_told(login: Login) -> None:
    token = login.facebook()
    assert login.graph("GET", "/me", token, appsecret_proof=proof(token)).is_success
    wrong = login.graph("GET", "/me", token, appsecret_proof=proof(token, "other")).json()
    assert wrong["error"]["message"] == "Invalid appsecret_proof provided in the API argument"
    login.control("switches", require_proof=True)
    needed = login.graph("GET", "/me", token).json()["error"]
    assert (needed["code"], "appsecret_proof" in needed["message"]) == (100, True)
    now = str(int(time.time()))
    timed = {"appsecret_proof": proof(f"{token}|{now}"), "appsecret_time": now}
    assert login.graph("GET", "/me", token, **timed).is_success
    login.control("clock", forward_s=301)
    assert not login.graph("GET", "/me", token, **timed).is_success


def test_a_lost_role_ends_the_pages_token_alone(login: Login) -> None:
    user = login.facebook()
    page = login.page_token(user, PAGE)
    login.control(f"facebook/people/{OLENA}/lose-role", page=PAGE)
    assert login.graph("GET", "/me", page).json()["error"]["error_subcode"] == 492
    listed = login.graph("GET", "/me/accounts", user).json()["data"]
    assert [one["id"] for one in listed] == [OTHER_PAGE]


def test_what_is_missing_or_unknown_is_refused(login: Login) -> None:
    token = login.facebook()
    assert login.graph("GET", "/me").json()["error"]["code"] == 104
    assert login.graph("GET", "/me", "EAAnonsense").json()["error"]["code"] == 190
    assert login.graph("GET", "/me", token, field="id").json()["error"]["code"] == 100
    assert login.graph("GET", "/me", token, fields="id,birthday").json()["error"]["code"] == 100
    assert login.graph("GET", "/me/accounts", token, limit="x").json()["error"]["code"] == 100
    assert login.graph("GET", "/999", token).json()["error"]["error_subcode"] == 33
    unknown = login.graph("GET", "/me/horoscope/today", token)
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, 2500)


def test_the_wrong_host_has_no_such_path(login: Login) -> None:
    token = login.facebook()
    elsewhere = login.call("GET", "graph.instagram.com", "/v24.0/me", token)
    assert elsewhere.json()["error"]["code"] == 190
    assert login.http.get("/v24.0/me", params={"access_token": token}).status_code == 404
