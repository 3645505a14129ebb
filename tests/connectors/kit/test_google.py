"""Calendar and Gmail through Google's client, and what Google's errors mean."""

import json
import threading
from typing import Any

import httpx
import pytest
from pytest_httpx import HTTPXMock

from connectors.kit.google.auth import HOSTS
from connectors.kit.google.errors import refusal, token_refusal
from connectors.kit.google.services import calendar, execute, gmail
from connectors.kit.transport.auth import Bearer
from connectors.kit.transport.refusals import Answer
from connectors.kit.transport.transport import Transport
from contracts.errors import (
    OutcomeUnknown,
    Permanent,
    PermissionMissing,
    ProviderError,
    Reauthorize,
    Retryable,
    Throttled,
    TokenRefused,
)
from contracts.tokens import Secret
from tests.connectors.kit.loopback import raw, serving

ME = "me@example.net"


@pytest.fixture
def client() -> httpx.Client:
    return Transport().client(Bearer(Secret("TOKEN1"), HOSTS))


def test_calls_carry_the_token_and_are_read(client: httpx.Client, httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(json={"items": [{"id": "primary"}]})
    httpx_mock.add_response(json={"historyId": "7"})
    assert execute(calendar(client).calendarList().list(), ME)["items"] == [{"id": "primary"}]
    assert execute(gmail(client).users().getProfile(userId="me"), ME) == {"historyId": "7"}
    first, second = httpx_mock.get_requests()
    assert str(first.url).startswith("https://www.googleapis.com/calendar/v3/users/me/calendarList")
    assert str(second.url).startswith("https://gmail.googleapis.com/gmail/v1/users/me/profile")
    assert {first.headers["authorization"], second.headers["authorization"]} == {"Bearer TOKEN1"}


def test_trap_building_a_service_calls_nobody(
    client: httpx.Client, httpx_mock: HTTPXMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor do variables of the environment choose another host."""
    monkeypatch.setenv("GOOGLE_API_USE_MTLS_ENDPOINT", "always")
    calendar(client)
    gmail(client)
    assert httpx_mock.get_requests() == []
    httpx_mock.add_response(json={})
    execute(gmail(client).users().getProfile(userId="me"), ME)
    assert httpx_mock.get_requests()[0].url.host == "gmail.googleapis.com"


def test_trap_batches_and_uploads_go_to_google_from_a_fake_endpoint() -> None:
    """With `client_options` they would. Here the transport points all of it at the sandbox."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
    with serving(raw(answer)) as sandbox:
        playing = Transport(sandbox_url=sandbox.url).client(Bearer(Secret("TOKEN1"), HOSTS))
        from googleapiclient.http import MediaInMemoryUpload

        mail = MediaInMemoryUpload(b"Subject: x\r\n\r\n", mimetype="message/rfc822")
        messages = gmail(playing).users().messages()
        execute(messages.send(userId="me", body={}, media_body=mail), ME)
        execute(messages.list(userId="me"), ME)
    assert [head.split(b"?")[0].split(b" HTTP")[0] for head in sandbox.heads] == [
        b"POST /upload/gmail/v1/users/me/messages/send",
        b"GET /gmail/v1/users/me/messages",
    ]
    assert all(b"Host: gmail.googleapis.com\r\n" in head for head in sandbox.heads)


@pytest.mark.parametrize("status", [500, 503, 429])
def test_trap_the_client_repeats_posts_asleep(
    status: int, client: httpx.Client, httpx_mock: HTTPXMock
) -> None:
    """It would, on these, if it was asked to repeat at all."""
    httpx_mock.add_response(status, headers={"Retry-After": "9"}, json={})
    request = gmail(client).users().messages().send(userId="me", body={"raw": "aGk"})
    with pytest.raises(Throttled if status == 429 else OutcomeUnknown):
        execute(request, ME)
    assert len(httpx_mock.get_requests()) == 1


def test_a_read_is_repeatable_and_heeds_retry_after(
    client: httpx.Client, httpx_mock: HTTPXMock
) -> None:
    httpx_mock.add_response(503, headers={"Retry-After": "9"}, content=b"<html>" + ME.encode())
    with pytest.raises(Retryable) as caught:
        execute(calendar(client).events().list(calendarId=ME), ME)
    assert caught.value.after_s == 9
    assert ME not in str(caught.value)
    assert caught.value.__cause__ is caught.value.__context__ is None


def test_trap_errors_hold_the_address_and_the_body(
    client: httpx.Client, httpx_mock: HTTPXMock
) -> None:
    httpx_mock.add_response(404, json=_body("notFound", message=ME))
    with pytest.raises(Permanent) as caught:
        execute(calendar(client).events().get(calendarId=ME, eventId="1"), ME)
    assert caught.value.code == "notFound"
    assert ME not in str(caught.value)


def test_trap_a_service_is_not_shared_between_threads(
    client: httpx.Client, httpx_mock: HTTPXMock
) -> None:
    """Here it may be: what is not safe about it is httplib2."""
    httpx_mock.add_response(json={"items": []}, is_reusable=True)
    service, answers = calendar(client), list[Any]()

    def call() -> None:
        answers.extend(execute(service.calendarList().list(), ME) for _ in range(10))

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [{"items": []}] * 80


# -- what errors mean ------------------------------------------------------------------------------


def _body(reason: str, message: str = "") -> dict[str, Any]:
    return {
        "error": {"code": 403, "errors": [{"domain": "d", "reason": reason}], "message": message}
    }


def _refused(body: object, status: int = 403, *, repeatable: bool = True) -> ProviderError:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return refusal(Answer("www.googleapis.com", status, {}, content, repeatable), ME)


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("rateLimitExceeded", Throttled),
        ("userRateLimitExceeded", Throttled),
        ("insufficientPermissions", PermissionMissing),
        ("forbidden", Permanent),
        ("accessNotConfigured", Permanent),
        ("quotaExceeded", Permanent),
        ("somethingNew", Permanent),
    ],
)
def test_trap_a_403_has_several_meanings(reason: str, kind: type[ProviderError]) -> None:
    error = _refused(_body(reason))
    assert type(error) is kind
    assert error.code == reason


def test_a_limit_closes_the_project_or_the_account() -> None:
    project, account = (
        _refused(_body(reason)) for reason in ("rateLimitExceeded", "userRateLimitExceeded")
    )
    assert isinstance(project, Throttled)
    assert isinstance(account, Throttled)
    assert (project.scope, account.scope) == ("app", ME)


@pytest.mark.parametrize(
    ("status", "reason"),
    [(410, "fullSyncRequired"), (410, "deleted"), (404, "notFound"), (412, "conditionNotMet")],
)
def test_the_reason_tells_what_a_status_does_not(status: int, reason: str) -> None:
    error = _refused(_body(reason), status)
    assert (type(error), error.code) == (Permanent, reason)


@pytest.mark.parametrize(
    "body", [_body("authError"), b"", {"error": {"status": "UNAUTHENTICATED"}}]
)
def test_a_refused_access_token_wants_a_refresh_not_a_person(body: object) -> None:
    assert type(_refused(body, 401)) is TokenRefused


def test_newer_errors_have_their_reason_in_details() -> None:
    details = [{"@type": "t"}, {"reason": "ACCESS_TOKEN_SCOPE_INSUFFICIENT"}]
    assert type(_refused({"error": {"details": details}})) is PermissionMissing


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"error":{"errors":[{"reason":"a b"}]}}']
)
def test_without_a_reason_the_status_counts(body: bytes) -> None:
    assert type(_refused(body, 503)) is Retryable
    assert type(_refused(body, 503, repeatable=False)) is OutcomeUnknown
    assert type(_refused(body, 403)) is Permanent


@pytest.mark.parametrize(
    ("status", "told", "kind", "code"),
    [
        (400, {"error": "invalid_grant"}, Reauthorize, "invalid_grant"),
        (
            400,
            {"error": "invalid_grant", "error_subtype": "invalid_rapt"},
            Reauthorize,
            "invalid_grant/invalid_rapt",
        ),
        (400, {"error": "invalid_grant", "error_subtype": ME}, Reauthorize, "invalid_grant"),
        (401, {"error": "invalid_client"}, Permanent, "invalid_client"),
        (401, {"error": "unauthorized_client"}, Permanent, "unauthorized_client"),
        (401, {"error": "deleted_client"}, Permanent, "deleted_client"),
        (400, {"error": "invalid_scope"}, Permanent, "invalid_scope"),
        (400, {"error": "temporarily_unavailable"}, Retryable, "temporarily_unavailable"),
        (400, {"error": "internal_failure"}, Retryable, "internal_failure"),
        (503, {"error": "invalid_grant"}, Retryable, None),
        (429, {"error": "rate_limit"}, Throttled, None),
        (500, ["x"], Retryable, None),
        (400, {"error": {"message": ME}}, Permanent, None),
    ],
)
def test_token_errors(
    status: int, told: object, kind: type[ProviderError], code: str | None
) -> None:
    body = json.dumps(told).encode()
    error = token_refusal(Answer("oauth2.googleapis.com", status, {}, body, repeatable=True))
    assert (type(error), error.code) == (kind, code)
    assert ME not in str(error)
