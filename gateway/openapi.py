"""The OpenAPI 3.1 document, made from the table of operations."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from typing import Any, Final

import msgspec

from contracts import errors
from gateway.operations import Nothing, Operation
from gateway.problems import MEDIA_TYPE, Problem, meaning_of

Schema = dict[str, Any]

_PLAIN: Final = (str, bytes, None)
"""Answers that are no JSON."""
_REF: Final = "#/components/schemas/{name}"
_KEY: Final = "key"
_ANY: Final = "*/*"


def document(operations: Sequence[Operation], public_url: str) -> Schema:
    """The whole document, as plain dicts and lists."""
    schemas = components(operations)
    paths: dict[str, Schema] = defaultdict(dict)
    for operation in operations:
        paths[operation.path][operation.method.lower()] = described(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "CleverBox Gateway",
            "version": version("cleverbox-gateway"),
            "description": "Messages of all connected accounts in one ordered feed. "
            f"Readable: {public_url.rstrip('/')}/docs",
        },
        "servers": [{"url": public_url.rstrip("/")}],
        "paths": dict(paths),
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                _KEY: {"type": "http", "scheme": "bearer", "description": "An API key, `cbg_…`."}
            },
        },
    }


def components(operations: Iterable[Operation]) -> dict[str, Schema]:
    """Name → JSON Schema of every body, and of the problem."""
    kinds: list[Any] = [Problem]
    for operation in operations:
        kinds += [kind for kind in operation.answers.values() if kind not in _PLAIN]
        if operation.body is not Nothing:
            kinds.append(operation.body)
    _, found = msgspec.json.schema_components(list(dict.fromkeys(kinds)), ref_template=_REF)
    return found


def parameters(operation: Operation) -> list[Schema]:
    """A call's path and query parameters, and headers of its own."""
    return [
        *_of(operation.path_parts, "path"),
        *_of(operation.query, "query"),
        *_of(operation.headers, "header"),
    ]


def problems(operation: Operation) -> dict[int, list[type[errors.GatewayError]]]:
    """Status → the error classes that a call can end with."""
    kinds: list[type[errors.GatewayError]] = [errors.InvalidInput]
    if operation.roles:
        kinds += [errors.Unauthenticated, errors.Forbidden, errors.Unavailable]
    if operation.body is not Nothing:
        kinds.append(errors.TooLarge)
    by_status: dict[int, list[type[errors.GatewayError]]] = defaultdict(list)
    for kind in (*kinds, *operation.errors):
        if meaning := meaning_of(kind):
            by_status[meaning.status].append(kind)
    return dict(sorted(by_status.items()))


def described(operation: Operation) -> Schema:
    """One call of the document."""
    call: Schema = {
        "operationId": operation.name,
        "summary": operation.summary,
        "parameters": parameters(operation),
        "responses": _responses(operation),
        "security": [{_KEY: []}] if operation.roles else [],
    }
    if text := _text(operation):
        call["description"] = text
    if operation.takes_bytes:
        call["requestBody"] = {"required": True, "content": {_ANY: {}}}
    if operation.body is not Nothing:
        required = any(field.required for field in msgspec.structs.fields(operation.body))
        content = {"application/json": {"schema": reference(operation.body)}}
        call["requestBody"] = {"required": required, "content": content}
    return call


def _text(operation: Operation) -> str:
    roles = " or ".join(sorted(operation.roles))
    needs = f"Needs the role {roles}, or admin." if operation.roles else ""
    return " ".join(part for part in (operation.text, needs) if part)


def _responses(operation: Operation) -> Schema:
    responses: Schema = {}
    for status, kinds in problems(operation).items():
        titles = [meaning.title for kind in kinds if (meaning := meaning_of(kind))]
        content = {MEDIA_TYPE: {"schema": reference(Problem)}}
        responses[str(status)] = {"description": "; ".join(titles), "content": content}
    for status, kind in operation.answers.items():
        responses[str(status)] = {"description": _first_line(kind), **_content(kind)}
    return dict(sorted(responses.items()))


def _content(kind: Any) -> Schema:
    if kind is None:
        return {}
    if kind is bytes:
        return {"content": {_ANY: {}}}
    if kind is str:
        return {"content": {"text/plain": {"schema": {"type": "string"}}}}
    return {"content": {"application/json": {"schema": reference(kind)}}}


def _first_line(kind: Any) -> str:
    named = {str: "Text", bytes: "The file", None: "Nothing else"}
    return named[kind] if kind in _PLAIN else str(kind.__doc__).partition("\n")[0]


def reference(kind: type[msgspec.Struct]) -> Schema:
    """Where a body's schema stands in the document."""
    return {"$ref": _REF.format(name=kind.__name__)}


def _of(kind: type[msgspec.Struct], place: str) -> list[Schema]:
    schema = msgspec.json.schema_components([kind], ref_template=_REF)[1][kind.__name__]
    required = set(schema.get("required", ()))
    return [
        _parameter(name, dict(field), place, required=place == "path" or name in required)
        for name, field in schema.get("properties", {}).items()
    ]


def _parameter(name: str, schema: Schema, place: str, *, required: bool) -> Schema:
    choices = [choice for choice in schema.pop("anyOf", []) if choice != {"type": "null"}]
    if len(choices) == 1:  # null is how a struct says that a parameter may be left out
        schema = {**choices[0], **schema}
    if schema.get("default", "") in (None, "", []):
        schema.pop("default", None)
    parameter: Schema = {"name": name, "in": place, "required": required}
    if text := schema.pop("description", ""):
        parameter["description"] = text
    return {**parameter, "schema": schema}
