"""Clients that reach a few hosts alone: for URLs that stand in payloads and redirects."""

from collections.abc import Collection

import httpx

from contracts.errors import AddressRefused


class Within:
    """`hosts`: names, and with a leading dot all names below. `sandbox`: host and port that may be
    called besides, without TLS.
    """

    def __init__(self, hosts: Collection[str], sandbox: tuple[str, int] | None = None) -> None:
        self._names = frozenset(host for host in hosts if not host.startswith("."))
        self._suffixes = tuple(host for host in hosts if host.startswith("."))
        self._sandbox = sandbox

    def check(self, url: httpx.URL) -> None:
        """Raises `AddressRefused`, which names nothing of the URL."""
        port = url.port or (443 if url.scheme == "https" else 80)
        if (url.host, port) == self._sandbox:
            return
        known = url.host in self._names or url.host.endswith(self._suffixes)
        if not known or url.scheme != "https" or port != 443:
            raise AddressRefused("the address is none that this client is for")
