"""The documentation page, rendered from the table of operations."""

import re
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, Final

import msgspec

from contracts.content import TYPES, Conversation, MessageReceived, business, contact
from contracts.messages import PREFIX, Message, data_schema, encode, with_sequence
from gateway import openapi
from gateway.operations import Nothing, Operation
from gateway.problems import MEANINGS, TYPE

_LINE: Final = 90
"""Characters of code that fit the page's width."""

Schema = dict[str, Any]
_PLAIN: Final[dict[Any, str]] = {str: "text", bytes: "the file", None: "nothing"}

_INTRODUCTION = """
<h1>CleverBox Gateway</h1>
<p class="lead">Messages of every connected account, in one ordered feed. Pull it by a cursor, or
let the gateway keep your position.</p>
<p class="to-contents"><a href="#contents">Contents</a></p>
<section id="start"><h2>Start here</h2>
<p><code>gateway run --sandbox</code> prints a key for its demo; make others with
<code>gateway keys create --role crm</code>. Then wait for the first message:</p>
<pre>export KEY=cbg_…
curl -H "Authorization: Bearer $KEY" "{url}/v1/messages?wait=30"</pre>
<p>The answer's <code>next</code> is where to go on: pass it as <code>after</code>. A consumer
remembers it for you:</p>
<pre>curl -X PUT -H "Authorization: Bearer $KEY" -d '{{"start":"now"}}' \\
  {url}/v1/consumers/crm
curl -H "Authorization: Bearer $KEY" \\
  "{url}/v1/consumers/crm/messages?wait=30"
curl -X POST -H "Authorization: Bearer $KEY" -d '{{"cursor":"&lt;next&gt;"}}' \\
  {url}/v1/consumers/crm/commit</pre>
<ul>
<li>Order holds within a conversation, and the cursor never skips a message.</li>
<li>After a crash, messages since the last commit come again; a message's <code>id</code> stays the
same, so you can tell.</li>
<li>A key of one tenant sees that tenant alone, on every call.</li>
<li>Only <code>wait</code> makes a call wait; it returns as soon as there is a message.</li>
</ul></section>
"""


def page(operations: Sequence[Operation], public_url: str, style: str) -> str:
    """The whole page as HTML."""
    url = escape(public_url.rstrip("/"))
    schemas = openapi.components(operations)
    parts = [
        _INTRODUCTION.format(url=url),
        '<section id="calls"><h2>Calls</h2>',
        *(_operation(operation, url) for operation in operations),
        "</section>",
        _problems(),
        _messages(),
        _shapes(schemas),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>CleverBox Gateway</title><style>{style}</style></head><body>"
        f'<nav id="contents">{_navigation(operations)}</nav>'
        f"<main>{''.join(parts)}</main></body></html>"
    )


def _navigation(operations: Iterable[Operation]) -> str:
    calls = "".join(
        f'<li><a href="#{o.name}"><b class="{o.method.lower()}">{o.method}</b>'
        f"{escape(o.path)}</a></li>"
        for o in operations
    )
    ends = {"problems": "Problems", "messages": "Message types", "shapes": "Shapes"}
    links = "".join(f'<li><a href="#{name}">{text}</a></li>' for name, text in ends.items())
    start = '<ul><li><a href="#start">Start here</a></li></ul>'
    document = '<li><a href="/openapi.json">openapi.json</a></li>'
    return f"{start}<ul>{calls}</ul><ul>{links}{document}</ul>"


def _operation(operation: Operation, url: str) -> str:
    method = operation.method
    roles = " or ".join(sorted(operation.roles)) or "no key"
    return (
        f'<article id="{operation.name}">'
        f'<h3><b class="{method.lower()}">{method}</b> <code>{escape(operation.path)}</code></h3>'
        f"<p><strong>{_prose(operation.summary)}.</strong> {_prose(operation.text)} "
        f'<span class="role">{roles}</span></p>'
        f"{_parameters(operation)}{_answers(operation)}<pre>{_curl(operation, url)}</pre></article>"
    )


def _parameters(operation: Operation) -> str:
    rows = [
        (p["name"], _kind(p["schema"]), _more(p["schema"], p.get("description", "")))
        for p in openapi.parameters(operation)
    ]
    if operation.takes_bytes:
        rows.append(("body", "the file", ""))
    if operation.body is not Nothing:
        rows.append(("body", _kind(openapi.reference(operation.body)), ""))
    return _table(("Parameter", "Type", ""), rows) if rows else ""


def _answers(operation: Operation) -> str:
    rows = [
        (str(status), _PLAIN[kind] if kind in _PLAIN else _kind(openapi.reference(kind)))
        for status, kind in operation.answers.items()
    ]
    problems = (
        f'{status}&nbsp;<a href="#{kind.reason}">{kind.reason}</a>'
        for status, kinds in openapi.problems(operation).items()
        for kind in kinds
    )
    text = f'<p class="small">Problems: {" · ".join(problems)}</p>'
    return _table(("Status", "Answer"), rows) + text


def _curl(operation: Operation, url: str) -> str:
    path = escape(operation.example or operation.path)
    method = "" if operation.method == "GET" else f"-X {operation.method} "
    key = '-H "Authorization: Bearer $KEY" ' if operation.roles else ""
    body = f"-d '{escape(operation.example_body, quote=False)}' " if operation.example_body else ""
    line = f'curl {method}{key}{body}"{url}{path}"'
    return line if len(line) <= _LINE else f'curl {method}{key}{body}\\\n  "{url}{path}"'


def _problems() -> str:
    rows = [
        (f'<span id="{m.error.reason}">{m.error.reason}</span>', str(m.status), _prose(m.advice))
        for m in MEANINGS
    ]
    return (
        '<section id="problems"><h2>Problems</h2><p>Errors are RFC 9457 problem documents; '
        f"<code>type</code> is <code>{TYPE}</code> and the name.</p>"
        f"{_table(('Name', 'Status', 'What to do'), rows)}</section>"
    )


def _messages() -> str:
    rows = [
        (
            f'<a href="/schemas/{name}.json">{PREFIX}{name}</a>',
            _prose(str(content.__doc__).strip().partition("\n\n")[0]),
            "",
        )
        for name, content in TYPES.items()
    ]
    return (
        '<section id="messages"><h2>Message types</h2><p>A message is a CloudEvents 1.0 JSON event '
        "with its content under <code>data</code>; new fields may be added.</p>"
        f"<pre>{escape(_example(), quote=False)}</pre>"
        f"{_table(('Type', 'Says', ''), rows)}</section>"
    )


def _example() -> str:
    """A message as a pull returns it."""
    content = MessageReceived(
        conversation=Conversation("cnv_jck6qna7wciew3537ijj2gyphy"),
        sender=contact("7000000000000001"),
        to=(business("1234567890"),),
        message_id="m_R2hvc3Q",
        text="Is the table free tonight?",
    )
    message = Message(
        id="msg_AFErPcztsyIe8I1jXa7D8nIUdw",
        source="/facebook/1234567890",
        type=PREFIX + content.type,
        subject=content.conversation.id,
        time="2026-11-22T09:00:00.123Z",
        dataschema=data_schema("https://gateway.example", MessageReceived),
        tenant="acme",
        connection="con_kpfkq36qaxaaycw7ow7q",
        provider="facebook",
        channel="messenger",
        data=content,
    )
    return msgspec.json.format(with_sequence(encode(message), 42), indent=2).decode()


def _shapes(schemas: dict[str, Schema]) -> str:
    parts = []
    for name, schema in schemas.items():
        fields = [
            (field, _kind(kind), _more(kind, kind.get("description", "")))
            for field, kind in schema.get("properties", {}).items()
        ]
        text = _prose(schema.get("description", ""))
        table = _table(("Field", "Type", ""), fields)
        parts.append(f'<article id="shape-{name}"><h3>{name}</h3><p>{text}</p>{table}</article>')
    return f'<section id="shapes"><h2>Shapes</h2>{"".join(parts)}</section>'


def _kind(schema: Schema) -> str:
    """A schema in a few words."""
    if reference := schema.get("$ref"):
        name = str(reference).rpartition("/")[2]
        return f'<a href="#shape-{name}">{name}</a>'
    if choices := schema.get("anyOf"):
        return " or ".join(_kind(choice) for choice in choices)
    if values := schema.get("enum"):
        shown = [f"<code>{escape(str(value))}</code>" for value in values[:4]]
        return ", ".join(shown) + (" …" if len(values) > len(shown) else "")
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    return escape(str(schema.get("format") or schema.get("type") or "anything"))


def _more(schema: Schema, text: str) -> str:
    bounds = [f"{schema[key]}" for key in ("minimum", "maximum") if key in schema]
    notes = [_prose(text)] if text else []
    if len(bounds) == 2:
        notes.append(f"{bounds[0]} to {bounds[1]}.")
    if schema.get("default") not in (None, "", []):
        notes.append(f"Default <code>{escape(str(schema['default']))}</code>.")
    return " ".join(notes)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Cells are HTML already."""
    top = "".join(f"<th>{cell}</th>" for cell in head)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    table = f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="scroll">{table}</div>'


def _prose(text: str) -> str:
    """Escaped, with `code` marked."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text, quote=False))
