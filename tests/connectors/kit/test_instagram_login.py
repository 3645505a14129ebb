"""Instagram's own login: dialog, code, three ids, and that it has no end. Traps by their names."""

from typing import Any

import httpx
import pytest
from pytest_httpx import HTTPXMock

from connectors.kit.transport.transport import Transport
from contracts.errors import OutcomeUnknown, Permanent, ProviderError, Reauthorize, Throttled
from tests.connectors.kit.oauth import (
    INSTAGRAM,
    NOW,
    URI,
    asked,
    code,
    consent,
    form,
    paths,
    tokens,
)

CODE_URL = "https://api.instagram.com/oauth/access_token"
BASIC, MESSAGES = "instagram_business_basic", "instagram_business_manage_messages"
SPENT = {"access_token": "SHORT1", "user_id": 31, "permissions": f"{BASIC},{MESSAGES}"}


@pytest.fixture
def client() -> httpx.Client:
    return Transport().client()


def _gives(httpx_mock: HTTPXMock, spent: Any) -> None:
    httpx_mock.add_response(url=CODE_URL, json=spent)
    httpx_mock.add_response(
        url="https://graph.instagram.com/access_token"
        "?grant_type=ig_exchange_token&client_secret=SECRET2&access_token=SHORT1",
        json={"access_token": "LONG1", "token_type": "bearer", "expires_in": 5_184_000},
    )
    httpx_mock.add_response(
        url="https://graph.instagram.com/me?fields=user_id%2Cid%2Cusername",
        match_headers={"Authorization": "Bearer LONG1"},
        json={"user_id": "17841400000000001", "id": "98765", "username": "shop"},
    )


def test_the_dialog() -> None:
    url = INSTAGRAM.consent_url(consent(MESSAGES, BASIC))
    assert url.startswith("https://www.instagram.com/oauth/authorize?")
    expected = {
        "client_id": "2",
        "redirect_uri": URI,
        "response_type": "code",
        "scope": f"{BASIC},{MESSAGES}",
        "state": "STATE1",
    }
    assert asked(url) == expected
    again = INSTAGRAM.consent_url(consent(MESSAGES, BASIC, again=True))
    assert asked(again) == expected | {"force_reauth": "true"}


@pytest.mark.parametrize(
    "spent",
    [{"data": [SPENT]}, SPENT, SPENT | {"permissions": [BASIC, MESSAGES]}],
    ids=["documented", "flat", "listed"],
)
def test_trap_a_code_is_answered_in_several_shapes(
    spent: Any, client: httpx.Client, httpx_mock: HTTPXMock
) -> None:
    _gives(httpx_mock, spent)
    granted = INSTAGRAM.exchange(client, code())
    assert granted.tokens.access_token.reveal() == "LONG1"
    assert granted.tokens.expires_at is not None
    assert (granted.tokens.expires_at - NOW).days == 60
    assert granted.scopes == {BASIC, MESSAGES}
    assert form(httpx_mock.get_requests()[0]) == {
        "client_id": "2",
        "client_secret": "SECRET2",
        "grant_type": "authorization_code",
        "redirect_uri": URI,
        "code": "CODE1",
    }


def test_trap_of_three_ids_webhooks_name_one(client: httpx.Client, httpx_mock: HTTPXMock) -> None:
    """The account is `/me`'s `user_id`; which one Instagram names at the end is not documented."""
    _gives(httpx_mock, {"data": [SPENT]})
    granted = INSTAGRAM.exchange(client, code())
    assert granted.tokens.subject == "17841400000000001"
    assert granted.ids == {"17841400000000001", "98765", "31"}
    assert granted.name == "shop"


def test_trap_the_code_has_an_ending_that_is_none_of_it(
    client: httpx.Client, httpx_mock: HTTPXMock
) -> None:
    _gives(httpx_mock, SPENT)
    INSTAGRAM.exchange(client, code("CODE1#_"))
    assert form(httpx_mock.get_requests()[0])["code"] == "CODE1"


def _refused(text: str) -> dict[str, Any]:
    return {"error_type": "OAuthException", "code": 400, "error_message": text}


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (_refused("This authorization code has been used"), Reauthorize, "code is not accepted"),
        (_refused("Matching code was not found CODE1"), Reauthorize, "code is not accepted"),
        (_refused("Invalid platform app"), Permanent, "INSTAGRAM_APP_ID"),
        (_refused("Error validating client secret."), Permanent, "INSTAGRAM_APP_SECRET"),
        (_refused("Olena cannot"), Permanent, "answered 400"),
        ({"error": {"code": 4}}, Throttled, "rate limit"),
    ],
)
def test_trap_a_refused_code_is_told_by_its_text_alone(
    answer: Any,
    kind: type[ProviderError],
    words: str,
    client: httpx.Client,
    httpx_mock: HTTPXMock,
) -> None:
    httpx_mock.add_response(400, json=answer)
    with pytest.raises(kind, match=words) as caught:
        INSTAGRAM.exchange(client, code())
    assert "Olena" not in str(caught.value)
    assert "CODE1" not in str(caught.value)


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b'{"data":[]}', b'{"data":[{}]}'])
def test_what_is_no_token_is_an_unknown_outcome(
    body: bytes, client: httpx.Client, httpx_mock: HTTPXMock
) -> None:
    httpx_mock.add_response(content=body)
    with pytest.raises(OutcomeUnknown):
        INSTAGRAM.exchange(client, code())


def test_trap_only_a_new_token_comes_with_its_scopes(
    client: httpx.Client, httpx_mock: HTTPXMock
) -> None:
    httpx_mock.add_response(json={"user_id": "1"})
    assert INSTAGRAM.permissions(client, tokens()) is None
    httpx_mock.add_response(400, json={"error": {"code": 190}})
    with pytest.raises(Reauthorize):
        INSTAGRAM.permissions(client, tokens())


def test_trap_instagram_has_no_call_that_ends_a_consent(
    client: httpx.Client, httpx_mock: HTTPXMock
) -> None:
    """It is not told as a success: the owner's own settings are the only place."""
    with pytest.raises(Permanent, match="no way to end a consent"):
        INSTAGRAM.revoke(client, tokens())
    assert paths(httpx_mock) == []
