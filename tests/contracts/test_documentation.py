"""docs/messages.md says what the structs are."""

import json
import re
from pathlib import Path

import jsonschema_rs
import msgspec

from contracts import content
from contracts.messages import TYPES, decode
from contracts.schemas import schemas

PAGE = (Path(__file__).parents[2] / "docs/messages.md").read_text(encoding="utf-8")
TALK = {"conversation", "from", "to", "standby"}


def test_the_example_is_a_message() -> None:
    (example,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    schema = schemas("https://gateway.example")["message.received"]
    jsonschema_rs.validate(schema, json.loads(example))
    assert isinstance(decode(example.encode()).data, content.MessageReceived)


def rows() -> dict[str, str]:
    found = re.findall(r"^\| `([\w.]+)` \| [^|]+ \| ([^|]+) \|$", PAGE, re.MULTILINE)
    return dict(found)


def test_every_type_is_described() -> None:
    assert rows().keys() == TYPES.keys()


def test_every_field_is_described() -> None:
    above: set[str] = set()
    for name, described in rows().items():
        without_values = re.sub(r"\([^)]*\)", "", described)
        said = set(re.findall(r"`(\w+)", without_values))
        said |= TALK if "talk" in described else set()
        said |= above if "as above" in described or "the same" in described else set()
        assert said == {field.encode_name for field in msgspec.structs.fields(TYPES[name])}, name
        above = above if "the same" in described else said
