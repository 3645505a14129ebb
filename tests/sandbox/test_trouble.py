"""Trouble on request, the log of calls, the clock, and beginning anew."""

import hashlib
import json
import time

import pytest

from tests.sandbox.logins import API, Login
from tests.sandbox.stage import PAGE


def test_graph_in_trouble(login: Login) -> None:
    token = login.facebook()
    login.control("trouble", kind="unavailable", path="/me", count=2)
    for _ in range(2):
        answer = login.graph("GET", "/me", token)
        assert answer.status_code == 503
        assert (answer.json()["error"]["code"], answer.json()["error"]["is_transient"]) == (2, True)
    assert login.graph("GET", "/me", token).is_success
    login.control("trouble", kind="throttled", host="graph.facebook.com")
    limited = login.graph("GET", "/me", token)
    assert limited.json()["error"]["code"] == 4
    assert '"call_count":100' in limited.headers["x-app-usage"]


def test_usage_of_an_asset_is_told_with_answers_and_refusals(login: Login) -> None:
    token = login.facebook()
    login.control("trouble", kind="used", path="/me", asset=PAGE, percent=85)
    served = login.graph("GET", "/me", token)
    [counts] = served.json() and json.loads(served.headers["x-business-use-case-usage"])[PAGE]
    assert (counts["call_count"], counts["estimated_time_to_regain_access"]) == (85, 0)
    login.control("trouble", kind="limited", path="/me", asset=PAGE, minutes=3)
    limited = login.graph("GET", "/me", token)
    assert limited.json()["error"]["code"] == 32
    [counts] = json.loads(limited.headers["x-business-use-case-usage"])[PAGE]
    assert counts["estimated_time_to_regain_access"] == 3


def test_google_in_trouble(login: Login) -> None:
    token = login.google(f"{API}calendar.readonly")["access_token"]
    login.control("trouble", kind="unavailable", host="oauth2.googleapis.com")
    login.control("trouble", kind="throttled", host="www.googleapis.com")
    form = {"grant_type": "refresh_token", "refresh_token": "x"}
    away = login.google_token(**form)
    assert (away.status_code, away.json()["error"]) == (503, "temporarily_unavailable")
    path = "/calendar/v3/users/me/calendarList"
    limited = login.call("GET", "www.googleapis.com", path, token)
    assert (limited.status_code, limited.headers["retry-after"]) == (429, "7")
    assert limited.json()["error"]["errors"][0]["reason"] == "rateLimitExceeded"


def test_trouble_meets_only_whom_it_is_meant_for(login: Login) -> None:
    token = login.facebook()
    for meant in ({"path": "/you"}, {"host": "graph.instagram.com"}, {"method": "DELETE"}):
        login.control("trouble", kind="unavailable", **meant)
    assert login.graph("GET", "/me", token).is_success
    assert len(login.http.get("/api/state").json()["trouble"]) == 3
    assert login.control("trouble/clear") == {"trouble": []}
    assert login.ig("GET", "/v24.0/me", token).json()["error"]["code"] == 190


def test_a_lost_answer_was_done_all_the_same(login: Login) -> None:
    token = login.page_token(login.facebook(), PAGE)
    login.control("trouble", kind="lost", method="POST", path=f"/{PAGE}/subscribed_apps")
    lost = login.graph("POST", f"/{PAGE}/subscribed_apps", token, subscribed_fields="feed")
    assert lost.status_code == 502
    assert login.state("facebook")["subscriptions"] == {PAGE: ["feed"]}


def test_slowness(login: Login) -> None:
    token = login.facebook()
    login.control("trouble", kind="slow", path="/me", seconds=1)
    began = time.monotonic()
    assert login.graph("GET", "/me", token).is_success
    assert time.monotonic() - began >= 1.0


def test_calls_are_logged_without_their_tokens(login: Login) -> None:
    token = login.facebook()
    login.graph("GET", "/me", token, fields="id")
    login.call("POST", "oauth2.googleapis.com", "/revoke", data={"token": "a-token"})
    text = login.http.get("/api/calls").text
    assert token not in text
    assert "a-token" not in text
    exchange, me, revoke = login.http.get("/api/calls").json()["calls"]
    assert (exchange["path"], exchange["token"]) == ("/v24.0/oauth/access_token", None)
    assert exchange["params"] == ["client_id", "client_secret", "code", "redirect_uri"]
    assert (me["method"], me["host"], me["path"], me["status"]) == (
        "GET",
        "graph.facebook.com",
        "/v24.0/me",
        200,
    )
    assert me["token"] == hashlib.sha256(token.encode()).hexdigest()
    assert revoke["token"] == hashlib.sha256(b"a-token").hexdigest()
    later = login.http.get(f"/api/calls?after={me['id']}").json()["calls"]
    assert [call["id"] for call in later] == [revoke["id"]]


def test_nothing_of_the_state_tells_a_token(login: Login) -> None:
    tokens = [login.facebook(), login.instagram(), login.google()["refresh_token"]]
    text = login.http.get("/api/state").text
    assert [token in text for token in tokens] == [False] * 3
    for name in ("facebook", "instagram", "google"):
        assert login.state(name)["live_tokens"] > 0


def test_reset_begins_anew(login: Login) -> None:
    before = login.http.get("/api/state").json()
    token = login.facebook()
    login.control("pages", id="31", name="New")
    login.control("clock", forward_s=10)
    login.control(
        "switches",
        require_proof=True,
        instagram_flat=True,
        google_testing=True,
        google_rotates=True,
    )
    login.control("trouble", kind="lost")
    login.control("reset")
    assert login.http.get("/api/state").json() == before
    assert login.http.get("/api/calls").json() == {"calls": []}
    assert [page["id"] for page in login.http.get("/api/pages").json()["pages"]] != ["31"]
    assert login.graph("GET", "/me", token).json()["error"]["code"] == 190


@pytest.mark.parametrize("path", ["reset", "clock", "trouble", "switches"])
def test_a_form_of_another_site_changes_nothing(login: Login, path: str) -> None:
    assert login.http.post(f"/api/{path}", data={"a": "b"}).status_code == 415


@pytest.mark.parametrize(
    ("host", "code"),
    [
        ("graph.facebook.com", 2500),
        ("graph.instagram.com", 2500),
        ("api.instagram.com", 2500),
        ("oauth2.googleapis.com", 404),
        ("openidconnect.googleapis.com", 404),
        ("www.googleapis.com", 404),
        ("gmail.googleapis.com", 404),
        ("accounts.google.com", 404),
    ],
)
def test_what_a_host_does_not_have_it_refuses_in_its_own_shape(
    login: Login, host: str, code: int
) -> None:
    answer = login.call("GET", host, "/nowhere")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, code)


def test_a_body_that_is_none_is_refused_in_the_providers_shape(login: Login) -> None:
    headers = {"host": "graph.facebook.com", "content-type": "application/json"}
    answer = login.http.post("/v24.0/oauth/access_token", content=b"[", headers=headers)
    assert answer.json()["error"]["code"] == 100
    headers = {"host": "oauth2.googleapis.com"}
    answer = login.http.post("/token", content=b"\xff", headers=headers)
    assert answer.json()["error"] == "invalid_request"
