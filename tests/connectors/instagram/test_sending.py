"""What a professional account asks Instagram for when it writes."""

import json
from typing import Any

import httpx
import pytest
from pytest_httpx import HTTPXMock

from connectors.instagram import Instagram
from connectors.kit.meta.settings import MetaApps
from connectors.kit.transport.transport import Transport
from contracts.errors import OutcomeUnknown, WindowClosed
from contracts.sending import Outgoing, Sent
from contracts.tokens import Secret
from tests.connectors.kit.oauth import INSTAGRAM, tokens

ACCOUNT = Instagram(MetaApps(meta_verify_token=Secret("v"), instagram_app_secret=Secret("S")))
TAKEN = {"recipient_id": "9988", "message_id": "m_1"}


@pytest.fixture
def client() -> httpx.Client:
    return Transport().client(INSTAGRAM.carry(tokens()))


def _outgoing(what: Any = "message", to: str = "9988") -> Outgoing:
    return Outgoing(id="snd_1", account="178", what=what, to=to, text="Hello")


def test_a_message_goes_as_json(client: httpx.Client, httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(json=TAKEN, match_headers={"Authorization": "Bearer TOKEN1"})
    assert ACCOUNT.send(client, _outgoing()) == Sent("m_1", "9988")
    (request,) = httpx_mock.get_requests()
    assert str(request.url) == "https://graph.instagram.com/v24.0/178/messages"
    assert json.loads(request.content) == {
        "recipient": {"id": "9988"},
        "messaging_type": "RESPONSE",
        "message": {"text": "Hello", "metadata": "snd_1"},
    }


def test_a_public_reply_is_a_reply_of_the_comment(
    client: httpx.Client, httpx_mock: HTTPXMock
) -> None:
    httpx_mock.add_response(json={"id": "C2"})
    assert ACCOUNT.send(client, _outgoing("public_reply", "C1")) == Sent("C2")
    (request,) = httpx_mock.get_requests()
    assert request.url.path == "/v24.0/C1/replies"


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, b'{"error":{"code":10,"error_subcode":2534022}}', WindowClosed),
        (503, b"", OutcomeUnknown),
        (200, b"<html>", OutcomeUnknown),
    ],
)
def test_what_answers_mean(
    status: int,
    body: bytes,
    kind: type[Exception],
    client: httpx.Client,
    httpx_mock: HTTPXMock,
) -> None:
    httpx_mock.add_response(status, content=body)
    with pytest.raises(kind):
        ACCOUNT.send(client, _outgoing())
