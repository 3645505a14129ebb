"""What a provider is answered: a few fixed replies, as ASGI messages and as HTTP itself."""

from http import HTTPStatus
from typing import Final, NamedTuple

from starlette.types import Message

from gateway.problems import problem

RETRY_AFTER_S: Final = 1

Headers = list[tuple[bytes, bytes]]

_AGAIN: Final[Headers] = [(b"retry-after", b"%d" % RETRY_AFTER_S)]
_ENDS: Final[Headers] = [(b"connection", b"close")]


class Reply(NamedTuple):
    """An answer made once and sent many times: as ASGI messages, and as HTTP/1.1 after its date."""

    status_line: bytes
    rest: bytes
    start: Message
    body: Message


def reply(status: int, headers: Headers, body: bytes = b"") -> Reply:
    """A reply with its length said."""
    headers = [(b"content-length", b"%d" % len(body)), *headers]
    lines = b"".join(b"%b: %b\r\n" % header for header in headers)
    return Reply(
        b"HTTP/1.1 %d %b\r\n" % (status, HTTPStatus(status).phrase.encode()),
        b"%b\r\n%b" % (lines, body),
        {"type": "http.response.start", "status": status, "headers": headers},
        {"type": "http.response.body", "body": body},
    )


def _refusal(status: int, name: str, title: str, headers: Headers | None = None) -> Reply:
    kind = (b"content-type", b"application/problem+json")
    return reply(status, [kind, *(headers or [])], problem(status, name, title))


STORED: Final = reply(200, [])
FORGED: Final = _refusal(401, "bad-signature", "Not signed by the provider")
STRANGER: Final = _refusal(403, "bad-signature", "Not the provider's handshake")
UNKNOWN: Final = _refusal(404, "not-found", "Nothing is delivered here")
METHOD: Final = _refusal(405, "method-not-allowed", "Only GET and POST", [(b"allow", b"GET, POST")])
QUERY: Final = _refusal(400, "invalid", "The query cannot be read")
TOO_LARGE: Final = _refusal(413, "too-large", "More than 4 MiB", _ENDS)
AWAY: Final = _refusal(503, "unavailable", "Not stored; deliver again", _AGAIN)
CROWDED: Final = _refusal(503, "unavailable", "Too much at once", [*_AGAIN, *_ENDS])
LATE: Final = _refusal(408, "timeout", "The request did not come in time", _ENDS)
LONG: Final = _refusal(431, "too-large", "More than 100 headers, or 64 KiB", _ENDS)
NOT_HTTP: Final = _refusal(400, "invalid", "Not a request of HTTP", _ENDS)
