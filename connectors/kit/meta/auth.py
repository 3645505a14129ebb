"""The account's token for Graph: a header, and the proof that the app itself makes the call."""

import hashlib
import hmac
from collections.abc import Generator

import httpx

from connectors.kit.meta.hosts import GRAPH_HOST, MEDIA_HOST
from connectors.kit.transport.auth import Bearer
from contracts.tokens import Secret


def appsecret_proof(token: Secret, app_secret: Secret) -> str:
    """HMAC-SHA256 of the token that the call uses, under the app's secret, in hex.

    Source: https://developers.facebook.com/docs/graph-api/guides/secure-requests.
    """
    return hmac.new(
        app_secret.reveal().encode(), token.reveal().encode(), hashlib.sha256
    ).hexdigest()


class GraphAuth(Bearer):
    """`Authorization: Bearer` for Graph and its media, and for Graph `appsecret_proof`.

    A token that stands in the URL (Graph puts one into the address of the next page) is taken out.
    """

    def __init__(self, token: Secret, app_secret: Secret) -> None:
        super().__init__(token, [GRAPH_HOST, MEDIA_HOST])
        self._proof = Secret(appsecret_proof(token, app_secret))

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """httpx's hook. Raises `Permanent` for a URL that must not get the token."""
        if request.url.host == GRAPH_HOST:
            url = request.url.copy_remove_param("access_token")
            request.url = url.copy_set_param("appsecret_proof", self._proof.reveal())
        yield from super().auth_flow(request)
