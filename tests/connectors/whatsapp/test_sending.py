"""What a number asks WhatsApp for when it writes, what fits, and what it makes of the answers."""

import json
from typing import Any

import httpx
import msgspec
import pytest
from pytest_httpx import HTTPXMock

from connectors.kit.meta.auth import GraphAuth
from connectors.kit.meta.settings import MetaSettings
from connectors.kit.transport.transport import Transport
from connectors.whatsapp import WhatsApp
from connectors.whatsapp.sending import SENDING
from contracts.errors import (
    OutcomeUnknown,
    Permanent,
    Reauthorize,
    Throttled,
    WindowClosed,
)
from contracts.sending import Outgoing, Sent
from contracts.tokens import Secret

SECRET = Secret("SECRET3")
WHATSAPP = WhatsApp(MetaSettings(app_secret=SECRET, verify_token=Secret("v"), app_id="3"))
BSUID = "UA.13491208655302741918"
TAKEN = {
    "messaging_product": "whatsapp",
    "contacts": [{"input": "380501112233", "wa_id": "380501112233", "user_id": BSUID}],
    "messages": [{"id": "wamid.1", "message_status": "accepted"}],
}
RULES = SENDING["message"]
PICTURE = {"kind": "image", "url": "https://gateway.example/a.jpg"}
PAPER = {"kind": "file", "url": "https://gateway.example/b.pdf", "name": "Angebot.pdf"}
SOUND = {"kind": "audio", "url": "https://gateway.example/c.ogg"}


@pytest.fixture
def client() -> httpx.Client:
    return Transport().client(GraphAuth(Secret("TOKEN1"), SECRET))


def outgoing(**fields: Any) -> Outgoing:
    whole = {"id": "snd_1", "account": "P1", "what": "message", "to": BSUID} | fields
    return msgspec.convert(whole, Outgoing)


def choices(count: int, **fields: str) -> list[dict[str, str]]:
    return [{"title": f"No. {n}", "payload": f"N{n}"} | fields for n in range(count)]


def reply(number: int) -> dict[str, Any]:
    return {"type": "reply", "reply": {"id": f"N{number}", "title": f"No. {number}"}}


HEAD = {
    "messaging_product": "whatsapp",
    "recipient_type": "individual",
    "recipient": BSUID,
    "biz_opaque_callback_data": "snd_1",
}
BODIES = [
    pytest.param(
        {"text": "Grüße 😀", "reply_to": "wamid.0"},
        {"type": "text", "text": {"body": "Grüße 😀"}, "context": {"message_id": "wamid.0"}},
        id="text",
    ),
    pytest.param(
        {"text": "This one", "attachments": [PICTURE]},
        {"type": "image", "image": {"link": PICTURE["url"], "caption": "This one"}},
        id="image",
    ),
    pytest.param(
        {"attachments": [PAPER]},
        {"type": "document", "document": {"link": PAPER["url"], "filename": "Angebot.pdf"}},
        id="document",
    ),
    pytest.param(
        {"attachments": [SOUND]}, {"type": "audio", "audio": {"link": SOUND["url"]}}, id="audio"
    ),
    pytest.param(
        {"text": "Which?", "quick_replies": choices(3)},
        {
            "type": "interactive",
            "interactive": {
                "type": "button",
                "body": {"text": "Which?"},
                "action": {"buttons": [reply(0), reply(1), reply(2)]},
            },
        },
        id="buttons",
    ),
    pytest.param(
        {"text": "Which?", "quick_replies": choices(1), "attachments": [PAPER]},
        {
            "type": "interactive",
            "interactive": {
                "type": "button",
                "header": {
                    "type": "document",
                    "document": {"link": PAPER["url"], "filename": "Angebot.pdf"},
                },
                "body": {"text": "Which?"},
                "action": {"buttons": [reply(0)]},
            },
        },
        id="buttons below a document",
    ),
    pytest.param(
        {"text": "Which?", "quick_replies": choices(4)},
        {
            "type": "interactive",
            "interactive": {
                "type": "list",
                "body": {"text": "Which?"},
                "action": {
                    "button": "☰",
                    "sections": [
                        {"rows": [{"id": f"N{n}", "title": f"No. {n}"} for n in range(4)]}
                    ],
                },
            },
        },
        id="list",
    ),
    pytest.param(
        {"template": {"name": "hello", "language": {"code": "en"}}},
        {"type": "template", "template": {"name": "hello", "language": {"code": "en"}}},
        id="template",
    ),
    pytest.param(
        {"interactive": {"type": "cta_url"}},
        {"type": "interactive", "interactive": {"type": "cta_url"}},
        id="interactive",
    ),
]


@pytest.mark.parametrize(("fields", "said"), BODIES)
def test_what_is_asked_for(
    fields: dict[str, Any], said: dict[str, Any], client: httpx.Client, httpx_mock: HTTPXMock
) -> None:
    httpx_mock.add_response(json=TAKEN)
    one = outgoing(**fields)
    assert RULES.faults(one) == []
    assert WHATSAPP.send(client, one) == Sent("wamid.1", BSUID)
    (request,) = httpx_mock.get_requests()
    assert request.url.path == "/v24.0/P1/messages"
    assert json.loads(request.content) == HEAD | said


@pytest.mark.parametrize("number", ["380501112233", "+380501112233"])
def test_a_number_is_written_to_as_such(
    number: str, client: httpx.Client, httpx_mock: HTTPXMock
) -> None:
    httpx_mock.add_response(json={"messages": [{"id": "wamid.1"}]})
    assert WHATSAPP.send(client, outgoing(to=number, text="Hello")) == Sent("wamid.1")
    body = json.loads(httpx_mock.get_requests()[0].content)
    assert body["to"] == number
    assert "recipient" not in body


@pytest.mark.parametrize(
    ("whom", "told", "contact"),
    [
        ("380501112233", {"wa_id": "380501112233", "user_id": BSUID}, BSUID),
        ("5511987654321", {"wa_id": "551187654321"}, "551187654321"),
        (BSUID, {"wa_id": "380501112233"}, None),
        (BSUID, {}, None),
    ],
)
def test_who_got_it_is_known_by_the_same_id_as_when_they_write(
    httpx_mock: HTTPXMock,
    client: httpx.Client,
    whom: str,
    told: dict[str, str],
    contact: str | None,
) -> None:
    httpx_mock.add_response(json={**TAKEN, "contacts": [told]})
    assert WHATSAPP.send(client, outgoing(to=whom, text="Hi")) == Sent("wamid.1", contact)


@pytest.mark.parametrize(
    ("text", "id_"),
    [
        ("+380501112233", "380501112233"),
        ("+38 (050) 111-22-33", "380501112233"),
        ("380501112233", "380501112233"),
        (BSUID, BSUID),
        ("+7", "+7"),
    ],
)
def test_a_phone_number_is_one_person_however_it_is_written(text: str, id_: str) -> None:
    assert WHATSAPP.contact_id(text) == id_


def test_how_the_feed_names_whom_it_was_sent_to() -> None:
    assert WHATSAPP.address("380501112233").address == "+380501112233"
    assert WHATSAPP.address(BSUID).address is None


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"text": "😀" * 4_096}, ""),
        ({"text": "x" * 4_097}, "4097 characters"),
        ({"text": "x" * 1_025, "attachments": [PICTURE]}, "may have 1024"),
        ({"text": "x", "attachments": [SOUND]}, "audio has no text"),
        ({"attachments": [PICTURE, PICTURE]}, "1 at most"),
        ({"text": "x" * 1_025, "quick_replies": choices(1)}, "may have 1024"),
        ({"text": "x", "quick_replies": choices(11)}, "10 at most"),
        ({"text": "x", "quick_replies": choices(4), "attachments": [PICTURE]}, "3 at most beside"),
        ({"attachments": [PICTURE], "quick_replies": choices(1)}, "need a text"),
        ({"text": "x", "quick_replies": choices(3, title="x" * 21)}, "1 to 20"),
        ({"text": "x", "quick_replies": choices(1, payload="x" * 257)}, "1 to 256"),
        ({"text": "x", "quick_replies": choices(2, title="same")}, "no title twice"),
        ({"text": "x", "template": {"name": "hello"}}, "a template goes alone"),
        ({"text": "x", "interactive": {"type": "button"}}, "interactive goes alone"),
        ({"text": "x", "human_agent": True}, "human_agent cannot"),
    ],
)
def test_what_fits(fields: dict[str, Any], fault: str) -> None:
    found = RULES.faults(outgoing(**fields))
    assert any(fault in words for words in found) if fault else found == []


def test_a_template_may_go_at_any_time() -> None:
    assert RULES.open_for(outgoing(template={"name": "hello"})) is None
    window = RULES.open_for(outgoing(text="Hello"))
    assert window is not None
    assert window.total_seconds() == 86_400


@pytest.mark.parametrize(
    ("status", "answer", "kind"),
    [
        (400, {"error": {"code": 131047}}, WindowClosed),
        (400, {"error": {"code": 131026}}, Permanent),
        (400, {"error": {"code": 132001}}, Permanent),
        (400, {"error": {"code": 131056}}, Throttled),
        (429, {"error": {"code": 130429}}, Throttled),
        (401, {"error": {"code": 190}}, Reauthorize),
        (500, {"error": {"code": 131000}}, OutcomeUnknown),
        (503, {"error": {"code": 131016}}, OutcomeUnknown),
        (502, {}, OutcomeUnknown),
        (200, {"messages": []}, OutcomeUnknown),
        (200, {"success": True}, OutcomeUnknown),
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
        WHATSAPP.send(client, outgoing(text="Hello"))
