"""The message: a CloudEvents 1.0 envelope around one content struct per type."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Generic, Literal, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from contracts.content import TYPES, Content, Conversation, Time, UnknownContent

__all__ = [
    "PREFIX",
    "TYPES",
    "Content",
    "Conversation",
    "Message",
    "Time",
    "UnknownContent",
    "clean_text",
    "data_schema",
    "decode",
    "encode",
    "timestamp",
    "with_sequence",
]

PREFIX: Final = "cleverbox."
"""What every type starts with in the envelope."""

C_co = TypeVar("C_co", bound=Content, covariant=True)


class Message(msgspec.Struct, Generic[C_co], frozen=True, kw_only=True):
    """One entry of the message log; `data` is a struct of `TYPES`."""

    specversion: Literal["1.0"] = "1.0"
    id: str
    """`msg_…`, stable over replays."""
    source: str
    """`/{provider}/{account}`"""
    type: str
    """`cleverbox.` and a key of `TYPES`."""
    subject: str | UnsetType = UNSET
    """The conversation's id; left out where there is none."""
    time: Time
    """When it happened, by the provider's clock."""
    datacontenttype: Literal["application/json"] = "application/json"
    dataschema: str
    tenant: str
    connection: str
    provider: str
    channel: str
    late: Literal[True] | UnsetType = UNSET
    """Present when it was held back first (parked, unrouted): newer ones may precede it."""
    data: C_co
    sequence: (
        Annotated[str, msgspec.Meta(extra_json_schema={"pattern": r"^\d{20}$"})] | UnsetType
    ) = UNSET
    """The position in the message log, 20 digits; set by `with_sequence` when it is read."""

    @property
    def at(self) -> datetime:
        """`time`, aware UTC."""
        return datetime.fromisoformat(self.time)

    @property
    def position(self) -> int:
        """`sequence` as a number. Raises `ValueError` before the message has one."""
        if self.sequence is UNSET:
            raise ValueError("this message was not read from the message log")
        return int(self.sequence)


def timestamp(at: datetime) -> Time:
    """`at` (aware) as UTC with milliseconds and `Z`; microseconds are cut off."""
    if at.tzinfo is not UTC:
        at = at.astimezone(UTC)
    return f"{at.isoformat(timespec='milliseconds')[:-6]}Z"


def data_schema(public_url: str, content: type[Content]) -> str:
    """The `dataschema` of a type, which is also where the edge serves its JSON Schema."""
    return f"{public_url.rstrip('/')}/schemas/{content.type}.json"


_UNCLEAN: Final = re.compile("[\x00\ud800-\udfff]")


def clean_text(text: str) -> str:
    """`text` with NUL and lone surrogates, which databases and UTF-8 refuse, as U+FFFD."""
    return _UNCLEAN.sub("\ufffd", text)


_encoder: Final = msgspec.json.Encoder()


def encode(message: Message[Content]) -> bytes:
    """`message` as JSON without `sequence`: what is sealed, and what `with_sequence` completes.

    Text is cleaned on the way (`clean_text`), wherever in the content it stands.
    """
    if message.sequence is not UNSET:
        message = msgspec.structs.replace(message, sequence=UNSET)
    try:
        encoded = _encoder.encode(message)
    except UnicodeEncodeError:  # a lone surrogate
        return _encoder.encode(_clean(message))
    if b"\\u0000" in encoded:
        return _encoder.encode(_clean(message))
    return encoded


def with_sequence(encoded: bytes, position: int) -> bytes:
    """The JSON of `encode` with `sequence`, its position in the message log, put in front."""
    return b'{"sequence":"%020d",%b' % (position, encoded[1:])


class _Head(msgspec.Struct):
    type: str


_head: Final = msgspec.json.Decoder(_Head)
_decoders: Final[dict[str, msgspec.json.Decoder[Message[Content]]]] = {
    PREFIX + name: msgspec.json.Decoder(Message[content])  # type: ignore[valid-type]
    for name, content in TYPES.items()
}
_any_decoder: Final = msgspec.json.Decoder(dict[str, Any])


def decode(raw: bytes) -> Message[Content]:
    """The typed message of `raw`, with or without `sequence`.

    A type that this build does not know, and content in a shape that it does not know (a newer
    gateway's), become `UnknownContent`. Raises `msgspec.ValidationError` when the envelope itself
    is not a message's.
    """
    decoder = _decoders.get(_head.decode(raw).type)
    if decoder is not None:
        try:
            return decoder.decode(raw)
        except msgspec.ValidationError:
            pass  # the envelope is checked again below, with the content left as it is
    envelope = _any_decoder.decode(raw)
    envelope["data"] = {"fields": envelope.get("data")}
    return msgspec.convert(envelope, Message[UnknownContent])


def _clean(value: Any) -> Any:
    """A copy of `value` with all text in it cleaned; a `Raw` part is cleaned in its JSON."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, dict):
        return {clean_text(str(key)): _clean(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return tuple(_clean(entry) for entry in value)
    if isinstance(value, msgspec.Raw):
        return _clean(msgspec.json.decode(value))
    if isinstance(value, msgspec.Struct):
        fields = {name: _clean(getattr(value, name)) for name in value.__struct_fields__}
        return msgspec.structs.replace(value, **fields)
    return value
