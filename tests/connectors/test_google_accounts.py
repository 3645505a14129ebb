"""Which accounts a consent at Google makes available: a calendar account, a mailbox."""

from typing import Any

import httpx
import pytest
from pytest_httpx import HTTPXMock

from connectors.gmail import Gmail
from connectors.google_calendar import CALENDAR_LIST, GoogleCalendar
from connectors.kit.transport.transport import Transport
from contracts.accounts import AccountPart, Choice
from contracts.errors import PermissionMissing, Retryable, Throttled, TokenRefused
from contracts.login import Granted
from tests.connectors.kit.oauth import GOOGLE, tokens

ME = "me@example.net"
CALENDAR, GMAIL = GoogleCalendar(None), Gmail(None)
READ_MAIL = "https://www.googleapis.com/auth/gmail.readonly"
LIST_URL = "https://www.googleapis.com/calendar/v3/users/me/calendarList"
PRIMARY = {"id": ME, "summary": ME, "accessRole": "owner", "primary": True}
HOLIDAYS = {"id": "uk.holiday@example.net", "summary": "Свята", "accessRole": "reader"}


@pytest.fixture
def client() -> httpx.Client:
    return Transport().client(GOOGLE.carry(tokens()))


def _granted(*scopes: str, email: str | None = ME) -> Granted:
    return Granted(tokens("1089"), frozenset(scopes), email=email)


def _lists(httpx_mock: HTTPXMock, *calendars: dict[str, Any]) -> None:
    httpx_mock.add_response(json={"kind": "calendar#calendarList", "items": list(calendars)})


def test_an_account_has_its_calendars_over_all_answers(
    client: httpx.Client, httpx_mock: HTTPXMock
) -> None:
    httpx_mock.add_response(
        url=f"{LIST_URL}?maxResults=250&alt=json",
        match_headers={"Authorization": "Bearer TOKEN1"},
        json={"items": [PRIMARY], "nextPageToken": "P2"},
    )
    httpx_mock.add_response(
        url=f"{LIST_URL}?pageToken=P2&maxResults=250&alt=json",
        json={"items": [HOLIDAYS | {"summaryOverride": "Days off"}]},
    )
    parts = (AccountPart(ME, ME), AccountPart(HOLIDAYS["id"], "Days off", chosen=False))
    assert CALENDAR.accounts(client, _granted(CALENDAR_LIST)) == [Choice(ME, ME, parts=parts)]


def test_without_the_address_the_first_calendar_tells_it(
    client: httpx.Client, httpx_mock: HTTPXMock
) -> None:
    _lists(httpx_mock, HOLIDAYS, PRIMARY)
    (choice,) = CALENDAR.accounts(client, _granted(CALENDAR_LIST, email=None))
    assert choice.account == ME
    _lists(httpx_mock, HOLIDAYS)
    assert CALENDAR.accounts(client, _granted(CALENDAR_LIST, email=None)) == []


def test_trap_scopes_of_events_do_not_cover_the_list(client: httpx.Client) -> None:
    """Nothing is called: the scope is not there, which is what the page says."""
    events = "https://www.googleapis.com/auth/calendar.events.readonly"
    assert CALENDAR.accounts(client, _granted(events)) == [Choice(ME, ME, hindrance="no-scope")]
    assert CALENDAR.accounts(client, _granted(events, email=None)) == []
    assert all(CALENDAR_LIST in feature.scopes for feature in CALENDAR.features)


@pytest.mark.parametrize(
    ("status", "reason", "kind"),
    [
        (403, "insufficientPermissions", PermissionMissing),
        (403, "userRateLimitExceeded", Throttled),
        (401, "authError", TokenRefused),
    ],
)
def test_google_refuses_the_list(
    status: int,
    reason: str,
    kind: type[Exception],
    client: httpx.Client,
    httpx_mock: HTTPXMock,
) -> None:
    httpx_mock.add_response(status, json={"error": {"errors": [{"reason": reason}]}})
    with pytest.raises(kind):
        CALENDAR.accounts(client, _granted(CALENDAR_LIST))


def test_what_is_no_calendar_is_asked_for_again(
    client: httpx.Client, httpx_mock: HTTPXMock
) -> None:
    _lists(httpx_mock, {"summary": "without an id"})
    with pytest.raises(Retryable):
        CALENDAR.accounts(client, _granted(CALENDAR_LIST))


def test_a_mailbox_is_known_by_its_address(client: httpx.Client, httpx_mock: HTTPXMock) -> None:
    assert GMAIL.accounts(client, _granted(READ_MAIL)) == [Choice(ME, ME)]
    assert GMAIL.accounts(client, _granted(email="Me@Example.net"))[0].account == ME
    assert httpx_mock.get_requests() == []
    httpx_mock.add_response(
        url="https://gmail.googleapis.com/gmail/v1/users/me/profile?alt=json",
        json={"emailAddress": ME, "historyId": "1"},
    )
    assert GMAIL.accounts(client, _granted(READ_MAIL, email=None)) == [Choice(ME, ME)]


def test_trap_who_may_only_send_cannot_be_asked_for_the_address(client: httpx.Client) -> None:
    send = "https://www.googleapis.com/auth/gmail.send"
    assert GMAIL.accounts(client, _granted(send, email=None)) == []
