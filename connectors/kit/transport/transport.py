"""The transport itself: every call to a provider goes through one of these. See ADR 27."""

import ssl
import time
from collections.abc import Collection, Iterator, Sequence
from typing import Final

import httpcore
import httpx
import msgspec

from connectors.kit.transport.addresses import Guard, Network, Resolve, resolve
from connectors.kit.transport.bodies import ACCEPT_ENCODING, BodyTooLarge, capped, decoded
from connectors.kit.transport.deadline import until
from connectors.kit.transport.failures import FAILURES, failure
from connectors.kit.transport.gating import Gated
from connectors.kit.transport.hosts import name_of, place, provider_of, rerouted
from connectors.kit.transport.network import GuardedNetwork
from connectors.kit.transport.observing import Call, Observer, Unobserved
from connectors.kit.transport.usage import usages
from connectors.kit.transport.within import Within
from contracts.gates import Gate, Keeper, NoKeeper

USER_AGENT: Final = "cleverbox-gateway (gzip)"
"""Google packs answers for agents that say `gzip` here
(https://developers.google.com/workspace/calendar/api/guides/performance)."""

_NOT_PASSED_ON: Final = frozenset({"set-cookie", "content-encoding", "content-length"})
"""Cookies would travel from one account's calls to another's; the other two are no longer true
once we have unpacked the body."""


class Limits(msgspec.Struct, frozen=True):
    """What one call may take, in seconds and bytes, and how many there may be at once.

    `total_s` is for the whole of it, from waiting for a connection to the body's last byte.
    `body_bytes` counts before and after unpacking.
    """

    connect_s: float = 5.0
    read_s: float = 20.0
    write_s: float = 10.0
    pool_s: float = 5.0
    total_s: float = 30.0
    body_bytes: int = 16 * 1024 * 1024
    connections: int = 50
    idle_connections: int = 20
    idle_s: float = 15.0


class Transport(httpx.BaseTransport):
    """Connections to all providers, shared by threads; `client` lends them out.

    `allow`: networks beside the public ones. `sandbox_url`: where the sandbox plays every provider.
    `tls`: default, certifi's authorities. `keeper`: which gates are closed, to every client.
    """

    def __init__(
        self,
        *,
        allow: Sequence[Network] = (),
        sandbox_url: str | None = None,
        observer: Observer | None = None,
        limits: Limits | None = None,
        resolve: Resolve = resolve,
        tls: ssl.SSLContext | None = None,
        keeper: Keeper | None = None,
    ) -> None:
        self._limits, self._keeper = limits or Limits(), keeper or NoKeeper()
        self._sandbox_url = sandbox_url
        self._observer: Observer = observer or Unobserved()
        self._sandbox = place(sandbox_url) if sandbox_url else None
        guard = Guard(allow, self._sandbox, resolve)
        tls = tls or httpx.create_ssl_context(trust_env=False)
        self._wire = _Wire(guard, self._limits, tls)

    def client(
        self,
        auth: httpx.Auth | None = None,
        *,
        only: Collection[str] | None = None,
        asset: Gate | None = None,
    ) -> httpx.Client:
        """A client for one account, or for calls without a token; closing it is optional. `only`:
        the hosts that it reaches (see `Within`), where URLs come from payloads. `asset`: the
        account that its calls are for, which rests when its limit is used up.
        """
        limits = self._limits
        within = None if only is None else Within(only, self._sandbox)
        return httpx.Client(
            transport=_Lent(self, within, Gated(self._keeper, asset)),
            auth=auth,
            timeout=httpx.Timeout(
                connect=limits.connect_s,
                read=limits.read_s,
                write=limits.write_s,
                pool=min(limits.pool_s, limits.total_s),
            ),
            follow_redirects=False,
            trust_env=False,
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """httpx's entry. Raises errors of `contracts.errors` alone, none with content or cause."""
        began = time.monotonic()
        over = _Over(self._observer, request, began)
        try:
            with until(began + self._limits.total_s):
                response = self._wire.handle_request(self._prepared(request))
        except FAILURES as error:
            raise over.failed(error) from None
        for usage in usages(response.headers):
            self._observer.used(provider_of(request.url.host), usage)
        return self._bounded(response, over, began)

    def close(self) -> None:
        """Close every connection."""
        self._wire.close()

    def _prepared(self, request: httpx.Request) -> httpx.Request:
        request.headers["accept-encoding"] = ACCEPT_ENCODING
        request.headers["user-agent"] = USER_AGENT
        url = str(request.url)
        if rerouted(url, self._sandbox_url) == url:
            return request
        return httpx.Request(
            request.method,
            rerouted(url, self._sandbox_url),
            headers=request.headers,
            stream=request.stream,
            extensions=request.extensions,
        )

    def _bounded(self, response: httpx.Response, over: "_Over", began: float) -> httpx.Response:
        kept = [(n, v) for n, v in response.headers.multi_items() if n not in _NOT_PASSED_ON]
        return httpx.Response(
            response.status_code,
            headers=kept,
            stream=_Body(response, over, began + self._limits.total_s, self._limits.body_bytes),
            extensions=response.extensions,
        )


class _Wire(httpx.HTTPTransport):
    """httpx's own transport over a guarded pool; it offers no other way to give it a network."""

    def __init__(self, guard: Guard, limits: Limits, tls: ssl.SSLContext) -> None:
        super().__init__(verify=tls, trust_env=False)
        self._pool.close()
        self._pool = httpcore.ConnectionPool(
            ssl_context=tls,
            max_connections=limits.connections,
            max_keepalive_connections=limits.idle_connections,
            keepalive_expiry=limits.idle_s,
            network_backend=GuardedNetwork(guard),
        )


class _Lent(httpx.BaseTransport):
    """The transport without the right to close it, since one client's end is not the others'; with
    the hosts that it is for, and the gates that its calls go through.
    """

    def __init__(self, transport: Transport, within: Within | None, gated: Gated) -> None:
        self._transport, self._within, self._gated = transport, within, gated

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if self._within is not None:
            self._within.check(request.url)
        self._gated.enter(request)
        response = self._transport.handle_request(request)
        self._gated.heard(request, response)
        return response


class _Over:
    """Tells the observer once how a call ended."""

    def __init__(self, observer: Observer, request: httpx.Request, began: float) -> None:
        self.request = request
        self._observer, self._began = observer, began
        self._told = False

    def failed(self, error: Exception) -> Exception:
        translated = failure(error, self.request)
        self.ended(translated.reason)
        return translated

    def ended(self, outcome: str) -> None:
        if self._told:
            return
        self._told = True
        host = self.request.url.host
        seconds = time.monotonic() - self._began
        self._observer.called(Call(provider_of(host), name_of(host), outcome, seconds))


class _Body(httpx.SyncByteStream):
    """A response's body: unpacked, counted, within the call's deadline, errors translated."""

    def __init__(self, response: httpx.Response, over: _Over, ends: float, most: int) -> None:
        self._response, self._over, self._ends, self._most = response, over, ends, most

    def __iter__(self) -> Iterator[bytes]:
        pieces = self._pieces()
        while (piece := self._next(pieces)) is not None:
            yield piece
        self.close()

    def close(self) -> None:
        self._response.close()
        self._over.ended(f"{self._response.status_code // 100}xx")

    def _pieces(self) -> Iterator[bytes]:
        headers = self._response.headers
        said = headers.get("content-length", "")
        if said.isdecimal() and int(said) > self._most:
            raise BodyTooLarge
        raw = capped(self._raw(), self._most)
        yield from capped(decoded(raw, headers.get("content-encoding", "").lower()), self._most)

    def _raw(self) -> Iterator[bytes]:
        """Not `iter_raw`: pytest-httpx's answers are read before they get here."""
        stream = self._response.stream
        yield from stream  # type: ignore[misc]

    def _next(self, pieces: Iterator[bytes]) -> bytes | None:
        try:
            with until(self._ends):
                return next(pieces, None)
        except FAILURES as error:
            translated = self._over.failed(error)
        self._response.close()
        raise translated from None
