"""The account of a consent at Instagram, and what it delivers. Traps by their names."""

import httpx
import pytest
from pytest_httpx import HTTPXMock

from connectors.instagram import Instagram
from connectors.instagram.accounts import FIELDS
from connectors.kit.meta.settings import MetaApps
from connectors.kit.transport.transport import Transport
from contracts.accounts import Choice, Subscribed
from contracts.errors import PermissionMissing, Retryable
from contracts.login import Granted
from contracts.tokens import Secret
from tests.connectors.kit.oauth import INSTAGRAM, form, tokens

ME = "17841400000000001"
URL = f"https://graph.instagram.com/v24.0/{ME}/subscribed_apps"
ACCOUNTS = Instagram(
    MetaApps(
        meta_verify_token=Secret("v"),
        meta_app_id="1",
        instagram_app_id="2",
        instagram_app_secret=Secret("SECRET2"),
    )
)
ALL = FIELDS["messages"] | FIELDS["comments"]


@pytest.fixture
def client() -> httpx.Client:
    return Transport().client(INSTAGRAM.carry(tokens()))


def test_trap_the_account_is_what_webhooks_name(client: httpx.Client) -> None:
    """Not the id that the exchange tells, nor the one that is scoped to the app."""
    granted = Granted(tokens(ME), frozenset(), ids=frozenset({ME, "98765", "31"}), name="shop")
    assert ACCOUNTS.accounts(client, granted) == [Choice(ME, "shop")]


def test_subscribing_names_the_fields(client: httpx.Client, httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(
        method="POST",
        url=URL,
        match_headers={"Authorization": "Bearer TOKEN1"},
        json={"success": True},
    )
    ACCOUNTS.subscribe(client, ME, ["messages"])
    (sent,) = httpx_mock.get_requests()
    assert set(form(sent)["subscribed_fields"].split(",")) == FIELDS["messages"]


def test_a_lost_answer_is_asked_for_again(client: httpx.Client, httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_exception(httpx.ReadTimeout("TOKEN1"))
    with pytest.raises(Retryable):
        ACCOUNTS.subscribe(client, ME, ["messages"])


@pytest.mark.parametrize(
    ("apps", "found"),
    [
        ([], Subscribed(on=False, missing=ALL)),
        ([{"id": 2, "subscribed_fields": sorted(ALL)}], Subscribed(on=True)),
        ([{"id": "1", "subscribed_fields": sorted(ALL)}], Subscribed(on=True)),
        ([{"subscribed_fields": sorted(ALL)}], Subscribed(on=True)),
        (
            [{"id": "2", "subscribed_fields": sorted(FIELDS["messages"])}],
            Subscribed(on=True, missing=FIELDS["comments"]),
        ),
        ([{"id": "3", "subscribed_fields": sorted(ALL)}], Subscribed(on=False, missing=ALL)),
    ],
)
def test_an_inspection_looks_at_our_own_apps(
    apps: list[dict[str, object]], found: Subscribed, client: httpx.Client, httpx_mock: HTTPXMock
) -> None:
    httpx_mock.add_response(method="GET", url=URL, json={"data": apps})
    assert ACCOUNTS.inspect(client, ME, ["messages", "comments"]) == found


def test_what_cannot_be_read_is_asked_for_again(
    client: httpx.Client, httpx_mock: HTTPXMock
) -> None:
    httpx_mock.add_response(content=b"<html>")
    with pytest.raises(Retryable):
        ACCOUNTS.inspect(client, ME, ["messages"])


def test_unsubscribing(client: httpx.Client, httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(method="DELETE", url=URL, json={"success": True})
    ACCOUNTS.unsubscribe(client, ME)
    httpx_mock.add_response(400, json={"error": {"code": 10}})
    with pytest.raises(PermissionMissing):
        ACCOUNTS.unsubscribe(client, ME)
