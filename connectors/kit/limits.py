"""What an answer says of rate limits, whoever gave it: the one place that knows all providers'."""

from collections.abc import Callable, Mapping
from typing import Final

from connectors.kit.google import errors as google
from connectors.kit.meta import errors as meta
from connectors.kit.transport.hosts import provider_of
from connectors.kit.transport.refusals import Answer
from contracts.errors import ProviderError, Throttled

_REFUSALS: Final[Mapping[str, Callable[[Answer, str], ProviderError]]] = {
    "meta": meta.refusal,
    "instagram": meta.refusal,
    "google": google.refusal,
}
"""Whose host it is → what its refusals mean."""


def limit(answer: Answer, account: str) -> Throttled | None:
    """The limit that a refusal names, if it does; `account`: the asset that was called."""
    error = _REFUSALS[provider_of(answer.host)](answer, account)
    return error if isinstance(error, Throttled) else None
