"""What the transport tells about its calls: for metrics and pauses, never an id or a URL."""

from typing import Protocol

import msgspec

from connectors.kit.transport.usage import Usage


class Call(msgspec.Struct, frozen=True):
    """One call that is over. `outcome`: `2xx` … `5xx`, or the `reason` of its error."""

    provider: str
    host: str
    outcome: str
    seconds: float


class Observer(Protocol):
    """Hears of every call; runs in the caller's thread, so it must be quick and raise nothing."""

    def called(self, call: Call) -> None:
        """A call is over, well or not."""

    def used(self, provider: str, usage: Usage) -> None:
        """The provider said how much of a limit is used up."""


class Unobserved:
    """Hears and says nothing."""

    def called(self, call: Call) -> None:
        """Nothing."""

    def used(self, provider: str, usage: Usage) -> None:
        """Nothing."""
