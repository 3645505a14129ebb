"""Which Pages a consent makes available, and what they deliver. Traps by their names."""

from typing import Any

import httpx
import pytest
from pytest_httpx import HTTPXMock

from connectors.facebook import Facebook
from connectors.facebook.accounts import FIELDS
from connectors.kit.meta.auth import GraphAuth, appsecret_proof
from connectors.kit.meta.settings import MetaSettings
from connectors.kit.transport.transport import Transport
from contracts.accounts import Choice, Subscribed
from contracts.errors import Permanent, Retryable, Throttled
from contracts.login import Granted
from contracts.tokens import Secret
from tests.connectors.kit.oauth import form, paths, tokens

SECRET = Secret("SECRET3")
PAGES = Facebook(MetaSettings(app_secret=SECRET, verify_token=Secret("v"), app_id="3"))
GRAPH = "https://graph.facebook.com/v24.0"
TASKS = ["ANALYZE", "MESSAGING", "MODERATE"]
MESSAGES = FIELDS["messages"]


@pytest.fixture
def client() -> httpx.Client:
    return Transport().client(GraphAuth(Secret("TOKEN1"), SECRET))


def _url(path: str, **params: str) -> httpx.URL:
    proof = appsecret_proof(Secret("TOKEN1"), SECRET)
    return httpx.URL(f"{GRAPH}/{path}", params=params | {"appsecret_proof": proof})


def _granted(*scopes: str, **targets: frozenset[str]) -> Granted:
    return Granted(tokens(), frozenset(scopes), targets=targets)


def _page(page: str, name: str = "Balkon", **fields: Any) -> dict[str, Any]:
    return {"id": page, "name": name, "access_token": f"PAGE{page}", "tasks": TASKS} | fields


def _told(choices: list[Choice]) -> list[tuple[str, str, str | None, str]]:
    return [
        (c.account, c.name, c.token.reveal() if c.token else None, c.hindrance) for c in choices
    ]


LIST = {"fields": "id,name,access_token,tasks", "limit": "100"}


def test_pages_have_their_own_tokens_over_all_answers(
    client: httpx.Client, httpx_mock: HTTPXMock
) -> None:
    following = "https://elsewhere.example/me/accounts?limit=100&after=A&access_token=TOKEN1"
    httpx_mock.add_response(
        url=_url("me/accounts", **LIST),
        json={"data": [_page("12", "Zeta")], "paging": {"next": following}},
    )
    httpx_mock.add_response(
        url=_url("me/accounts", **LIST, after="A"), json={"data": [_page("11", "Alpha", id=11)]}
    )
    assert _told(PAGES.accounts(client, _granted())) == [
        ("11", "Alpha", "PAGE11", ""),
        ("12", "Zeta", "PAGE12", ""),
    ]


@pytest.mark.parametrize("tasks", [[], ["MESSAGING"], ["MODERATE", "ADVERTISE"], ["MESSAGE"]])
def test_trap_who_may_not_write_and_moderate_cannot_connect(
    tasks: list[str], client: httpx.Client, httpx_mock: HTTPXMock
) -> None:
    pages = [_page("11", "Alpha", tasks=tasks), _page("12", "Zeta")]
    httpx_mock.add_response(json={"data": pages})
    assert [(c.account, c.hindrance) for c in PAGES.accounts(client, _granted())] == [
        ("12", ""),
        ("11", "no-task"),
    ]


def test_no_page_is_an_empty_list(client: httpx.Client, httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(json={"data": []})
    assert PAGES.accounts(client, _granted("pages_show_list")) == []
    assert len(httpx_mock.get_requests()) == 1


def test_trap_pages_of_a_business_are_missing_in_the_list_but_named_by_the_consent(
    client: httpx.Client, httpx_mock: HTTPXMock
) -> None:
    httpx_mock.add_response(url=_url("me/accounts", **LIST), json={"data": []})
    httpx_mock.add_response(
        url=_url("11", fields="id,name,access_token"),
        json={"id": "11", "name": "Alpha", "access_token": "PAGE11"},
    )
    refused = {"error": {"code": 100, "error_subcode": 33}}
    httpx_mock.add_response(400, url=_url("12", fields="id,name,access_token"), json=refused)
    granted = _granted(
        pages_messaging=frozenset({"11", "12"}), instagram_basic=frozenset({"17841"})
    )
    assert _told(PAGES.accounts(client, granted)) == [
        ("11", "Alpha", "PAGE11", ""),
        ("12", "", None, "no-access"),
    ]


def test_a_page_that_the_consent_names_is_not_asked_twice(
    client: httpx.Client, httpx_mock: HTTPXMock
) -> None:
    httpx_mock.add_response(json={"data": [_page("11")]})
    granted = _granted("business_management", pages_messaging=frozenset({"11"}))
    assert len(PAGES.accounts(client, granted)) == 1
    assert len(httpx_mock.get_requests()) == 1


def test_trap_the_last_resort_is_the_businesses(
    client: httpx.Client, httpx_mock: HTTPXMock
) -> None:
    edge = {"fields": "id,name,access_token", "limit": "100"}
    httpx_mock.add_response(url=_url("me/accounts", **LIST), json={"data": []})
    httpx_mock.add_response(
        url=_url("me/businesses", fields="id", limit="100"), json={"data": [{"id": "5"}]}
    )
    owned, lent = {"id": "11", "name": "Own", "access_token": "P"}, {"id": "12", "name": "Lent"}
    httpx_mock.add_response(url=_url("5/owned_pages", **edge), json={"data": [owned]})
    httpx_mock.add_response(url=_url("5/client_pages", **edge), json={"data": [lent]})
    assert _told(PAGES.accounts(client, _granted("business_management"))) == [
        ("11", "Own", "P", ""),
        ("12", "Lent", None, "no-access"),
    ]


@pytest.mark.parametrize("page", [{}, {"id": None}, {"id": "1", "tasks": "MESSAGING"}])
def test_what_is_no_page_is_asked_for_again(
    page: Any, client: httpx.Client, httpx_mock: HTTPXMock
) -> None:
    httpx_mock.add_response(json={"data": [page]})
    with pytest.raises(Retryable):
        PAGES.accounts(client, _granted())


def test_a_limit_is_that_of_whoever_consented(client: httpx.Client, httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(400, json={"error": {"code": 17}})
    with pytest.raises(Throttled) as caught:
        PAGES.accounts(client, _granted())
    assert caught.value.scope == "77"


# -- subscriptions ---------------------------------------------------------------------------------


def _shows(httpx_mock: HTTPXMock, *fields: str, app: str = "3") -> None:
    others = {"id": "4", "subscribed_fields": ["leadgen"]}
    own = {"id": app, "subscribed_fields": list(fields)}
    httpx_mock.add_response(
        method="GET", url=_url("11/subscribed_apps"), json={"data": [others, own]}
    )


def test_trap_a_subscription_replaces_the_list_so_what_is_there_is_named_again(
    client: httpx.Client, httpx_mock: HTTPXMock
) -> None:
    _shows(httpx_mock, "messages", "feed")
    httpx_mock.add_response(method="POST", url=_url("11/subscribed_apps"), json={"success": True})
    PAGES.subscribe(client, "11", ["messages"])
    sent = httpx_mock.get_requests()[-1]
    assert set(form(sent)["subscribed_fields"].split(",")) == MESSAGES | {"feed"}


def test_the_first_subscription_has_what_the_features_need(
    client: httpx.Client, httpx_mock: HTTPXMock
) -> None:
    httpx_mock.add_response(method="GET", json={"data": []})
    httpx_mock.add_response(method="POST", json={"success": True})
    PAGES.subscribe(client, "11", ["messages", "of another version"])
    assert set(form(httpx_mock.get_requests()[-1])["subscribed_fields"].split(",")) == MESSAGES


def test_a_lost_answer_is_asked_for_again(client: httpx.Client, httpx_mock: HTTPXMock) -> None:
    """Subscribing twice does no more than once."""
    httpx_mock.add_response(method="GET", json={"data": []})
    httpx_mock.add_exception(httpx.ReadTimeout("TOKEN1"), method="POST")
    with pytest.raises(Retryable):
        PAGES.subscribe(client, "11", ["messages"])


@pytest.mark.parametrize(
    ("fields", "app", "found"),
    [
        (sorted(MESSAGES), "3", Subscribed(on=True)),
        ([*sorted(MESSAGES), "feed"], "3", Subscribed(on=True)),
        (sorted(MESSAGES - {"standby"}), "3", Subscribed(on=True, missing=frozenset({"standby"}))),
        ([], "3", Subscribed(on=True, missing=MESSAGES)),
        (sorted(MESSAGES), "5", Subscribed(on=False, missing=MESSAGES)),
    ],
)
def test_an_inspection_looks_at_our_own_app(
    fields: list[str],
    app: str,
    found: Subscribed,
    client: httpx.Client,
    httpx_mock: HTTPXMock,
) -> None:
    _shows(httpx_mock, *fields, app=app)
    assert PAGES.inspect(client, "11", ["messages"]) == found


def test_unsubscribing_takes_all_fields_away_and_nothing_twice(
    client: httpx.Client, httpx_mock: HTTPXMock
) -> None:
    _shows(httpx_mock, "messages")
    httpx_mock.add_response(method="DELETE", url=_url("11/subscribed_apps"), json={"success": True})
    PAGES.unsubscribe(client, "11")
    _shows(httpx_mock, "messages", app="5")
    PAGES.unsubscribe(client, "11")
    assert [method for method, _ in paths(httpx_mock)] == ["GET", "DELETE", "GET"]


def test_without_an_app_id_nobody_is_taken_for_us(client: httpx.Client) -> None:
    nameless = Facebook(MetaSettings(app_secret=SECRET, verify_token=Secret("v")))
    with pytest.raises(Permanent, match="META_APP_ID"):
        nameless.inspect(client, "11", ["messages"])
