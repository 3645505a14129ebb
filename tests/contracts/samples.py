"""Messages to test with."""

from typing import Any

from contracts import content
from contracts.messages import PREFIX, Content, Conversation, Message, data_schema

PUBLIC_URL = "https://gateway.example"


def received(**fields: Any) -> content.MessageReceived:
    given = {
        "message_id": "m_1",
        "conversation": Conversation(id="cnv_1"),
        "sender": content.contact("9988"),
        "to": (content.business("1234567890"),),
        "text": "Hello",
    }
    return content.MessageReceived(**{**given, **fields})


def message(data: Content) -> Message[Content]:
    return Message(
        id="msg_1",
        source="/facebook/1234567890",
        type=PREFIX + data.type,
        subject="cnv_1",
        time="2026-11-22T09:00:00.123Z",
        dataschema=data_schema(PUBLIC_URL, type(data)),
        tenant="acme",
        connection="con_1",
        provider="facebook",
        channel="messenger",
        data=data,
    )
