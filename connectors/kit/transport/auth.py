"""The account's token on its way: a header, to the provider's own hosts, over TLS."""

import re
from collections.abc import Generator, Iterable
from typing import Final

import httpx

from contracts.errors import Permanent, Reauthorize
from contracts.tokens import Secret

_TOKEN: Final = re.compile(r"[!-~]+")


class Bearer(httpx.Auth):
    """`Authorization: Bearer …` (RFC 6750), for `hosts` alone.

    A client with a token may be given a URL that came with an answer (the next page, a picture):
    to other hosts, or without TLS, the call is refused before anything is sent.
    """

    def __init__(self, token: Secret, hosts: Iterable[str]) -> None:
        """Raises `Reauthorize` for a token that no header can carry: it was never one."""
        if not _TOKEN.fullmatch(token.reveal()):
            raise Reauthorize("the token has characters that no token has")
        self._token, self._hosts = token, frozenset(hosts)

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """httpx's hook. Raises `Permanent` for a URL that must not get the token."""
        if request.url.scheme != "https" or request.url.host not in self._hosts:
            raise Permanent("the account's token is not for this host")
        request.headers["Authorization"] = f"Bearer {self._token.reveal()}"
        yield request
