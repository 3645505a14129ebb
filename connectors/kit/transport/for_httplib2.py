"""What google-api-python-client takes for an `httplib2.Http`, over an httpx client.

httplib2 itself is not safe to share between threads, has no time-out unless told, follows redirects
and keeps its own connections. Nothing of it is used here but the shape of its response.
"""

from collections.abc import Mapping
from typing import Any

import httplib2
import httpx

_OURS = frozenset({"accept-encoding", "connection", "content-length", "user-agent"})
_OVERRIDE = "x-http-method-override"


class ClientHttp:
    """The part of `httplib2.Http` that the client library calls. Raises our errors."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def request(
        self,
        uri: str,
        method: str = "GET",
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        redirections: int = 0,
        connection_type: Any = None,
    ) -> tuple[httplib2.Response, bytes]:
        """One call. Returns the response's status and headers, in lower case, and its body."""
        given = {name.lower(): value for name, value in (headers or {}).items()}
        # A GET whose URL is too long is sent as a POST that says it is a GET.
        idempotent = {"idempotent": True} if given.get(_OVERRIDE) == "GET" else None
        sent = self._client.build_request(
            method,
            uri,
            headers={name: value for name, value in given.items() if name not in _OURS},
            content=body,
            extensions=idempotent,
        )
        answer = self._client.send(sent)
        response = httplib2.Response({**answer.headers, "status": str(answer.status_code)})
        response.reason = answer.reason_phrase
        return response, answer.content

    def close(self) -> None:
        """Nothing to close: the connections are the transport's."""
