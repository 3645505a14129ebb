"""From httpx's exceptions, which hold the request with its token and URL, to our errors."""

import httpx

from connectors.kit.transport.bodies import BadEncoding, BodyTooLarge
from connectors.kit.transport.hosts import name_of
from connectors.kit.transport.refusals import IDEMPOTENT, Answer, unclear
from contracts.errors import AddressRefused, Permanent, ProviderError, Retryable

FAILURES = (httpx.RequestError, BodyTooLarge, BadEncoding, ProviderError)
"""What `failure` translates."""

_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_OURS = (httpx.UnsupportedProtocol, httpx.LocalProtocolError)


def repeatable(request: httpx.Request) -> bool:
    """Whether `request` may be sent twice: by its method, or because its sender says so."""
    return request.method in IDEMPOTENT or request.extensions.get("idempotent") is True


def read(response: httpx.Response) -> Answer:
    """What the errors are made from."""
    request = response.request
    return Answer(
        host=name_of(request.url.host),
        status=response.status_code,
        headers=response.headers,
        body=response.content,
        repeatable=repeatable(request),
    )


def failure(error: Exception, request: httpx.Request) -> ProviderError:
    """The error to raise, without a cause. It names the host if that is a provider's own.

    Nothing was sent → `Retryable`. It was, and the answer is missing or broken → `Retryable`, or
    `OutcomeUnknown` when the call is not to be made twice.
    """
    host = name_of(request.url.host)
    if isinstance(error, AddressRefused):
        return AddressRefused(f"{host}: {error}")
    if isinstance(error, ProviderError):
        return Retryable(f"{host}: {error}")
    if isinstance(error, _UNSENT):
        return Retryable(f"{host}: no connection ({type(error).__name__})")
    if isinstance(error, _OURS):
        return Permanent(f"{host}: no valid request ({type(error).__name__})")
    if isinstance(error, BodyTooLarge):
        text = "the answer is larger than we take"
        return Permanent(f"{host}: {text}") if repeatable(request) else _lost(host, text, request)
    what = "answer cannot be unpacked" if isinstance(error, BadEncoding) else "no whole answer"
    return _lost(host, f"{what} ({type(error).__name__})", request)


def _lost(host: str, text: str, request: httpx.Request) -> ProviderError:
    return unclear(f"{host}: {text}", repeatable=repeatable(request))
