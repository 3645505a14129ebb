"""The JSON Schemas that are made from the structs."""

import json
from typing import Any

import jsonschema_rs
import msgspec
import pytest

from contracts import content
from contracts.messages import TYPES, encode, with_sequence
from contracts.schemas import schemas
from tests.contracts.samples import PUBLIC_URL, message, received

SCHEMAS = schemas(PUBLIC_URL)
RECEIVED = SCHEMAS["message.received"]


def as_json(**fields: Any) -> dict[str, Any]:
    written: dict[str, Any] = json.loads(encode(message(received(**fields))))
    return written


def test_there_is_one_for_every_type() -> None:
    assert SCHEMAS.keys() == TYPES.keys()


@pytest.mark.parametrize("name", TYPES)
def test_it_is_valid_and_found_at_its_address(name: str) -> None:
    schema = SCHEMAS[name]
    jsonschema_rs.meta.validate(schema)
    assert schema["$id"] == f"https://gateway.example/schemas/{name}.json"
    assert schema["properties"]["type"] == {"const": f"cleverbox.{name}"}
    assert schema["properties"]["dataschema"] == {"const": schema["$id"]}
    assert json.loads(msgspec.json.encode(schema)) == schema


def test_messages_are_valid_with_and_without_a_position() -> None:
    encoded = encode(message(received()))
    jsonschema_rs.validate(RECEIVED, json.loads(encoded))
    jsonschema_rs.validate(RECEIVED, json.loads(with_sequence(encoded, 2**63 - 1)))


@pytest.mark.parametrize("field", ["text", "attachments", "reply_to", "automated", "from"])
def test_what_is_always_there_is_required(field: str) -> None:
    written = as_json()
    del written["data"][field]
    assert not jsonschema_rs.is_valid(RECEIVED, written)


@pytest.mark.parametrize(
    ("place", "wrong"),
    [
        ("time", "2026-11-22T09:00:00Z"),
        ("time", "2026-11-22T09:00:00.123+00:00"),
        ("type", "cleverbox.message.sent"),
        ("specversion", "0.3"),
    ],
)
def test_a_wrong_envelope_is_invalid(place: str, wrong: str) -> None:
    assert not jsonschema_rs.is_valid(RECEIVED, as_json() | {place: wrong})


def test_an_optional_field_may_be_missing_but_not_null() -> None:
    written = as_json(subject="Balcony")
    jsonschema_rs.validate(RECEIVED, written)
    written["data"]["subject"] = None
    assert not jsonschema_rs.is_valid(RECEIVED, written)


def test_anything_may_be_unrecognized() -> None:
    for item in ({"a": [1, None]}, "no JSON", 5, None):
        data = content.ProviderUnrecognized(kind="new", item=item)
        written = json.loads(encode(message(data)))
        jsonschema_rs.validate(SCHEMAS["provider.unrecognized"], written)
