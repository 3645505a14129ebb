"""httpcore's network with our guard before it and our deadline upon it."""

import ssl
from collections.abc import Iterable
from typing import Any, Final

import httpcore

from connectors.kit.transport.addresses import Guard
from connectors.kit.transport.deadline import bounded

_SLICE: Final = 65_536
"""Bytes written between two looks at the clock."""


class GuardedNetwork(httpcore.NetworkBackend):
    """Connects to the address that was checked, so that a name cannot mean another one a moment
    later (DNS rebinding). TLS and `Host` go on with the name: httpcore takes them from the URL.
    """

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._sockets = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Tries the host's addresses in turn. Raises as the guard, and httpcore's errors."""
        options = list(socket_options or ())
        failed: httpcore.NetworkError | httpcore.TimeoutException = httpcore.ConnectTimeout()
        for address in self._guard.addresses(host, port, bounded(timeout)):
            try:
                stream = self._sockets.connect_tcp(
                    address, port, _left(timeout, httpcore.ConnectTimeout), local_address, options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
            else:
                return _Bounded(stream)
        raise failed


class _Bounded(httpcore.NetworkStream):
    """A stream on which the call's deadline holds, however often a few bytes come."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), _SLICE):
            left = _left(timeout, httpcore.WriteTimeout)
            self._stream.write(buffer[start : start + _SLICE], left)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        left = _left(timeout, httpcore.ConnectTimeout)
        return _Bounded(self._stream.start_tls(ssl_context, server_hostname, left))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _left(timeout_s: float | None, over: type[httpcore.TimeoutException]) -> float | None:
    left = bounded(timeout_s)
    if left == 0:  # for a socket that would mean: do not block
        raise over
    return left
