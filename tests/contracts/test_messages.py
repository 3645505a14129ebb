"""The envelope: how it is written, completed with a position, and read back."""

import json
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import content
from contracts.messages import (
    TYPES,
    UnknownContent,
    clean_text,
    decode,
    encode,
    timestamp,
    with_sequence,
)
from tests.contracts.samples import message, received


def test_a_message_reads_as_documented() -> None:
    """Names, nulls and nesting of the example in docs/messages.md."""
    assert json.loads(with_sequence(encode(message(received())), 42)) == {
        "sequence": "00000000000000000042",
        "specversion": "1.0",
        "id": "msg_1",
        "source": "/facebook/1234567890",
        "type": "cleverbox.message.received",
        "subject": "cnv_1",
        "time": "2026-11-22T09:00:00.123Z",
        "datacontenttype": "application/json",
        "dataschema": "https://gateway.example/schemas/message.received.json",
        "tenant": "acme",
        "connection": "con_1",
        "provider": "facebook",
        "channel": "messenger",
        "data": {
            "message_id": "m_1",
            "conversation": {"id": "cnv_1", "kind": "direct"},
            "from": {"id": "9988", "role": "contact", "name": None, "address": None},
            "to": [{"id": "1234567890", "role": "business"}],
            "text": "Hello",
            "attachments": [],
            "reply_to": None,
            "automated": False,
        },
    }


def test_the_position_is_put_in_front_and_is_never_sealed() -> None:
    encoded = encode(message(received()))
    assert encoded.startswith(b'{"specversion"')
    assert b'"sequence"' not in encoded
    read = decode(with_sequence(encoded, 42))
    assert read.position == 42
    assert encode(read) == encoded


def test_a_message_that_was_not_read_from_the_log_has_no_position() -> None:
    with pytest.raises(ValueError, match="not read from the message log"):
        _ = message(received()).position


def test_reading_gives_back_what_was_written() -> None:
    written = message(
        received(
            attachments=(content.Attachment(id="att_1", kind="image", url="https://x.example/a"),),
            reply_to=content.Reply(story=content.Story(id="s_1")),
            quick_reply=content.QuickReply(payload="YES"),
        )
    )
    read = decode(encode(written))
    assert read == written
    assert isinstance(read.data, content.MessageReceived)
    assert read.at == datetime(2026, 11, 22, 9, 0, 0, 123000, tzinfo=UTC)


def test_a_type_of_a_newer_gateway_is_kept_as_it_is() -> None:
    newer = encode(message(received())).replace(b"message.received", b"message.sung")
    read = decode(newer)
    assert isinstance(read.data, UnknownContent)
    assert read.type == "cleverbox.message.sung"
    assert read.data.fields["text"] == "Hello"


def test_a_shape_of_a_newer_gateway_is_kept_as_it_is() -> None:
    newer = encode(message(received())).replace(b'"direct"', b'"choir"')
    read = decode(newer)
    assert isinstance(read.data, UnknownContent)
    assert read.data.fields["conversation"]["kind"] == "choir"


def test_an_added_field_does_not_disturb() -> None:
    newer = encode(message(received())).replace(b'"text":', b'"mood":"merry","text":')
    assert decode(newer) == message(received())


@pytest.mark.parametrize("raw", [b"{}", b'{"type":"cleverbox.message.received"}', b"[]", b"null"])
def test_what_is_no_message_is_refused(raw: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        decode(raw)


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (datetime(2026, 1, 2, 3, 4, 5, 6999, tzinfo=UTC), "2026-01-02T03:04:05.006Z"),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05.000Z"),
        (
            datetime(2026, 1, 2, 1, 0, tzinfo=timezone(timedelta(hours=2))),
            "2026-01-01T23:00:00.000Z",
        ),
    ],
)
def test_times_are_utc_with_milliseconds(at: datetime, text: str) -> None:
    assert timestamp(at) == text


def test_every_type_is_named_once_and_documented() -> None:
    assert len(TYPES) == 38
    for name, kind in TYPES.items():
        assert kind.type == name
        assert kind.__doc__


any_text = st.text(st.characters(codec=None), max_size=20)


@given(any_text)
def test_text_is_cleaned_wherever_it_stands(text: str) -> None:
    data = received(
        text=text,
        sender=content.contact("9988", name=text),
        attachments=(
            content.Attachment(id="att_1", kind="unknown", original={text: [{"t": text}]}),
        ),
    )
    read = json.loads(encode(message(data)))["data"]
    clean = clean_text(text)
    assert read["text"] == clean
    assert read["from"]["name"] == clean
    assert read["attachments"][0]["original"] == {clean: [{"t": clean}]}
    clean.encode()
    assert "\x00" not in clean


def test_json_kept_whole_is_cleaned_too() -> None:
    item = msgspec.Raw(rb'{"text":"a\u0000b","n":1.50}')
    read = json.loads(encode(message(content.ProviderUnrecognized(kind="new", item=item))))
    assert read["data"]["item"] == {"text": "a\ufffdb", "n": 1.5}


def test_an_escaped_backslash_before_u0000_is_no_nul() -> None:
    read = json.loads(encode(message(received(text="\\u0000"))))
    assert read["data"]["text"] == "\\u0000"
