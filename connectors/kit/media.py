"""Opening media at a provider: one GET, and redirects as far as the client reaches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from connectors.kit.transport.hosts import name_of
from connectors.kit.transport.refusals import Answer, by_status
from contracts.errors import Permanent

if TYPE_CHECKING:
    import httpx

MOST_REDIRECTS: Final = 3


def opened(client: httpx.Client, url: str) -> httpx.Response:
    """The answer of 200, its body not read yet. Raises `Permanent` for what is no URL, leads
    around in circles or is no longer there, and the errors of the transport.
    """
    from httpx import InvalidURL, RemoteProtocolError

    for _ in range(1 + MOST_REDIRECTS):
        try:
            response = client.send(client.build_request("GET", url), stream=True)
        except (InvalidURL, RemoteProtocolError):  # of a `Location` too
            raise Permanent("its place is no URL") from None
        if response.next_request is None:
            return _good(response)
        response.close()
        url = str(response.next_request.url)
    raise Permanent("it is redirected too often")


def _good(response: httpx.Response) -> httpx.Response:
    if response.status_code == 200:
        return response
    response.close()
    answer = Answer(
        host=name_of(response.request.url.host),
        status=response.status_code,
        headers=response.headers,
        body=b"",
        repeatable=True,
    )
    raise by_status(answer)
