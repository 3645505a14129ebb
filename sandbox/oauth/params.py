"""Reading a call's parameters strictly: from the query, and from a form or JSON object in the body.

Providers ignore what they do not know, and a misspelt parameter is then lost without a word. Here
it is refused.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from urllib.parse import parse_qsl

from starlette.requests import Request

from sandbox.fields import BadField

BODY_LIMIT = 1024 * 1024

Pairs = list[tuple[str, str]]
Refuse = Callable[[str], Exception]


class Params:
    """Parameters, each at most once; `finish` refuses what nobody asked for.

    `refuse` makes the provider's own error of a text.
    """

    def __init__(self, pairs: Iterable[tuple[str, str]], refuse: Refuse) -> None:
        self._left: dict[str, str] = {}
        self._refuse = refuse
        for name, value in pairs:
            if name in self._left:
                raise refuse(f"Parameter given twice: {name}")
            self._left[name] = value

    def __contains__(self, name: str) -> bool:
        """Whether it was given, and nobody has read it yet."""
        return bool(self._left.get(name))

    def optional(self, name: str) -> str | None:
        """Return a value, or None where it is absent or empty."""
        return self._left.pop(name, None) or None

    def need(self, name: str) -> str:
        """Return a value that must be there."""
        value = self.optional(name)
        if value is None:
            raise self._refuse(f"Missing required parameter: {name}")
        return value

    def choice(self, name: str, choices: Sequence[str]) -> str | None:
        """Return one of `choices`, or None where it is absent."""
        value = self.optional(name)
        if value is not None and value not in choices:
            raise self._refuse(f"Invalid parameter value for {name}: Invalid value")
        return value

    def flag(self, name: str) -> bool:
        """Return whether the value is `true`; it may be `false` or absent."""
        return self.choice(name, ("true", "false")) == "true"

    def integer(self, name: str, default: int, least: int, most: int) -> int:
        """Return a whole number within the bounds, or the default."""
        value = self.optional(name)
        if value is None:
            return default
        if not (value.isascii() and value.isdecimal()) or not least <= int(value) <= most:
            raise self._refuse(f"Invalid parameter value for {name}: {least} to {most}")
        return int(value)

    def ignore(self, *names: str) -> None:
        """Take known parameters that change nothing here."""
        for name in names:
            self._left.pop(name, None)

    def finish(self) -> None:
        """Refuse what was given and not read."""
        if self._left:
            raise self._refuse(f"Unknown parameter: {', '.join(sorted(self._left))}")


async def pairs_of(request: Request) -> Pairs:
    """Return the parameters of query and body together. Raises `BadField` for a body that is none.

    A body is read as JSON where it says so, else as a form.
    """
    return [*query_pairs(request), *_body_pairs(await body_of(request), _media_type(request))]


def query_pairs(request: Request) -> Pairs:
    """Return the parameters of the address alone."""
    return parse_qsl(request.url.query, keep_blank_values=True)


async def body_of(request: Request, most: int = BODY_LIMIT) -> bytes:
    """Return the body; raise `BadField` where it is over `most` bytes."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise BadField(f"at most {most} bytes")
    return body


def form_pairs(body: bytes) -> Pairs:
    """Return the pairs of a form in their order; a name may come several times."""
    try:
        text = body.decode("ascii")
        return parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text))
    except ValueError as error:
        raise BadField("the body is no form") from error


def _body_pairs(body: bytes, media_type: str) -> Pairs:
    if not body:
        return []
    if media_type != "application/json":
        return form_pairs(body)
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadField("the body is not JSON") from error
    if not isinstance(document, dict):
        raise BadField("the body is no JSON object")
    return [(name, _text(value)) for name, value in document.items()]


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()
