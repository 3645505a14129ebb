"""What google-auth calls to make its requests, over an httpx client."""

from collections.abc import Callable, Mapping
from typing import Any

import httpx
from google.auth import transport

from connectors.kit.transport.failures import read
from connectors.kit.transport.refusals import Answer, by_status
from contracts.errors import ProviderError


class ClientRequest(transport.Request):
    """A `google.auth.transport.Request` whose time-outs are the client's. Raises our errors.

    An answer other than 200 becomes what `refused` makes of it: google-auth would try three times
    by itself, asleep in between, and then raise an error of its own with the body in it.
    Google's token endpoint gives another access token for the same refresh token as often as it is
    asked, so its calls may be repeated.
    """

    def __init__(
        self, client: httpx.Client, refused: Callable[[Answer], ProviderError] = by_status
    ) -> None:
        self._client, self._refused = client, refused

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **kwargs: Any,
    ) -> transport.Response:
        answer = self._client.request(
            method, url, content=body, headers=headers, extensions={"idempotent": True}
        )
        if answer.status_code != httpx.codes.OK:
            raise self._refused(read(answer))
        return _Response(answer)


class _Response(transport.Response):
    def __init__(self, answer: httpx.Response) -> None:
        self._answer = answer

    @property
    def status(self) -> int:
        return self._answer.status_code

    @property
    def headers(self) -> Mapping[str, str]:
        return self._answer.headers

    @property
    def data(self) -> bytes:
        return self._answer.content
