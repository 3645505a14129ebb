"""What a Page asks Meta for when it writes, and what it makes of the answers."""

import json
from typing import Any

import httpx
import pytest
from pytest_httpx import HTTPXMock

from connectors.facebook import Facebook
from connectors.kit.meta.auth import GraphAuth
from connectors.kit.meta.settings import MetaSettings
from connectors.kit.transport.transport import Transport
from contracts.errors import OutcomeUnknown, Throttled, WindowClosed
from contracts.sending import Attached, Outgoing, Sent, SuggestedReply
from contracts.tokens import Secret
from tests.connectors.kit.oauth import form

SECRET = Secret("SECRET3")
PAGE = Facebook(MetaSettings(app_secret=SECRET, verify_token=Secret("v"), app_id="3"))
TAKEN = {"recipient_id": "9988", "message_id": "m_1"}


@pytest.fixture
def client() -> httpx.Client:
    return Transport().client(GraphAuth(Secret("TOKEN1"), SECRET))


def _to_contact(**fields: Any) -> Outgoing:
    return Outgoing(**{"id": "snd_1", "account": "123", "what": "message", "to": "9988"} | fields)


def _asked(httpx_mock: HTTPXMock) -> tuple[str, dict[str, Any]]:
    (request,) = httpx_mock.get_requests()
    return request.url.path, {
        name: json.loads(value) if value[0] in "{[" else value
        for name, value in form(request).items()
    }


def test_a_text_carries_the_send_as_metadata(client: httpx.Client, httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(json=TAKEN)
    assert PAGE.send(client, _to_contact(text="Grüße 😀")) == Sent("m_1", "9988")
    assert _asked(httpx_mock) == (
        "/v24.0/123/messages",
        {
            "recipient": {"id": "9988"},
            "messaging_type": "RESPONSE",
            "message": {"text": "Grüße 😀", "metadata": "snd_1"},
        },
    )


def test_a_persons_answer_to_a_message_with_quick_replies(
    client: httpx.Client, httpx_mock: HTTPXMock
) -> None:
    httpx_mock.add_response(json=TAKEN)
    PAGE.send(
        client,
        _to_contact(
            text="Which?",
            reply_to="m_0",
            quick_replies=(SuggestedReply("This", "THIS"),),
            human_agent=True,
        ),
    )
    _, asked = _asked(httpx_mock)
    assert (asked["messaging_type"], asked["tag"]) == ("MESSAGE_TAG", "HUMAN_AGENT")
    assert asked["reply_to"] == {"mid": "m_0"}
    assert asked["message"]["quick_replies"] == [
        {"content_type": "text", "title": "This", "payload": "THIS"}
    ]


def test_media_goes_by_its_url(client: httpx.Client, httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(json=TAKEN)
    PAGE.send(client, _to_contact(attachments=(Attached("image", "https://example.com/a.jpg"),)))
    _, asked = _asked(httpx_mock)
    assert asked["message"] == {
        "metadata": "snd_1",
        "attachment": {"type": "image", "payload": {"url": "https://example.com/a.jpg"}},
    }


def test_a_private_reply_names_the_comment(client: httpx.Client, httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(json=TAKEN)
    reply = _to_contact(what="private_reply", to="1_9", text="Hello")
    assert PAGE.send(client, reply).contact == "9988"
    path, asked = _asked(httpx_mock)
    assert (path, asked["recipient"]) == ("/v24.0/123/messages", {"comment_id": "1_9"})
    assert "messaging_type" not in asked


def test_a_public_reply_stands_below_the_comment(
    client: httpx.Client, httpx_mock: HTTPXMock
) -> None:
    httpx_mock.add_response(json={"id": "1_10"})
    reply = _to_contact(what="public_reply", to="1_9", text="Thank you")
    assert PAGE.send(client, reply) == Sent("1_10")
    assert _asked(httpx_mock) == ("/v24.0/1_9/comments", {"message": "Thank you"})


@pytest.mark.parametrize(
    ("status", "answer", "kind"),
    [
        (400, {"error": {"code": 10, "error_subcode": 2018278}}, WindowClosed),
        (403, {"error": {"code": 4}}, Throttled),
        (500, {"error": {"code": 2}}, OutcomeUnknown),
        (502, {}, OutcomeUnknown),
        (200, {"recipient_id": "9988"}, OutcomeUnknown),
    ],
)
def test_what_answers_mean(
    status: int,
    answer: dict[str, Any],
    kind: type[Exception],
    client: httpx.Client,
    httpx_mock: HTTPXMock,
) -> None:
    httpx_mock.add_response(status, json=answer)
    with pytest.raises(kind):
        PAGE.send(client, _to_contact(text="Hello"))
