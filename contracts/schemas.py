"""JSON Schemas (2020-12) of every message type, made from the structs."""

import inspect
from functools import cache
from typing import Any, Final

import msgspec

from contracts.content import TYPES, Content
from contracts.messages import PREFIX, Message, data_schema

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

Schema = dict[str, Any]


def schemas(public_url: str) -> dict[str, Schema]:
    """Type (without the prefix) → the JSON Schema of its messages, envelope and data.

    `$id` is the message's `dataschema`, where the edge serves it. Objects stay open for fields that
    are added later.
    """
    return {name: schema(content, public_url) for name, content in TYPES.items()}


def schema(content: type[Content], public_url: str) -> Schema:
    """The JSON Schema of one type."""
    address = data_schema(public_url, content)
    root, definitions = _generated(content)
    properties = root["properties"] | {
        "type": {"const": PREFIX + content.type},
        "dataschema": {"const": address},
    }
    return {
        "$schema": DIALECT,
        "$id": address,
        "title": PREFIX + content.type,
        "description": inspect.getdoc(content),
        **root,
        "properties": properties,
        "$defs": definitions,
    }


@cache
def _generated(content: type[Content]) -> tuple[Schema, dict[str, Schema]]:
    """The envelope's schema, and those that it refers to."""
    (reference,), components = msgspec.json.schema_components(
        [Message[content]],  # type: ignore[valid-type]
        ref_template="#/$defs/{name}",
    )
    definitions = {name: _strict(component) for name, component in components.items()}
    root = definitions.pop(reference["$ref"].rsplit("/", 1)[1])
    del root["title"], root["description"]
    return root, definitions


def _strict(component: Schema) -> Schema:
    """A field with a default is always written; only an unset one, which has none, is left out."""
    described = component | {"description": inspect.cleandoc(component.get("description", ""))}
    if "properties" not in component:
        return described
    fields = component["properties"]
    required = [n for n in fields if "default" in fields[n] or n in component["required"]]
    for field in fields.values():
        field.pop("default", None)
    return described | {"required": required}
