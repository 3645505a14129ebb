"""SDKs that bring a `requests` session: facebook-sdk's GraphAPI, google-auth-oauthlib's Flow."""

import io
from typing import Any
from urllib.parse import urlsplit

import httpx
import requests
from requests.adapters import BaseAdapter

from connectors.kit.transport.hosts import name_of
from connectors.kit.transport.refusals import IDEMPOTENT, Answer
from contracts.errors import Permanent

_OURS = frozenset({"accept-encoding", "connection", "user-agent"})


def carry(session: requests.Session, client: httpx.Client) -> None:
    """Every call of `session` goes through `client` from now on, whatever scheme it has.

    The environment's proxies and `.netrc`, whose password would displace the token, are not used.
    """
    adapter = ClientAdapter(client)
    session.trust_env = False
    session.adapters.clear()
    session.mount("https://", adapter)
    session.mount("http://", adapter)


def answer_of(response: requests.Response) -> Answer:
    """What the errors are made from."""
    method = response.request.method or "GET"
    return Answer(
        host=name_of(urlsplit(response.url).hostname or ""),
        status=response.status_code,
        headers=response.headers,
        body=response.content,
        repeatable=method in IDEMPOTENT,
    )


class ClientAdapter(BaseAdapter):
    """A `requests` transport adapter over an httpx client, whose time-outs and limits hold.

    Raises our errors instead of those of requests. A redirect is an error: the session, not the
    adapter, would follow it.
    """

    def __init__(self, client: httpx.Client) -> None:
        super().__init__()
        self._client = client

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> requests.Response:
        """The session's call; what it says of time-outs, proxies, certificates is not used."""
        sent = self._client.build_request(
            request.method or "GET",
            request.url or "",
            headers=[(n, str(v)) for n, v in request.headers.items() if n.lower() not in _OURS],
            content=_whole(request.body),
        )
        return _response(self._client.send(sent), request)

    def close(self) -> None:
        """Nothing to close: the connections are the transport's."""


def _response(answer: httpx.Response, request: requests.PreparedRequest) -> requests.Response:
    if answer.has_redirect_location:
        raise Permanent(
            f"redirected ({answer.status_code}); calls to providers follow no redirects"
        )
    response = requests.Response()
    response.status_code = answer.status_code
    response.reason = answer.reason_phrase
    response.headers.update(answer.headers)
    response.encoding = answer.charset_encoding or "utf-8"
    response.url = request.url or ""
    response.request = request
    response.raw = io.BytesIO(answer.content)
    return response


def _whole(body: object) -> bytes | str | None:
    if body is None or isinstance(body, bytes | str):
        return body
    raise TypeError("bodies are sent whole, not read from a file while they are sent")
