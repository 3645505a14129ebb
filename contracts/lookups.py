"""What deliveries only name, and a connector looks up at the provider afterwards."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from contracts.content import Content

if TYPE_CHECKING:
    import httpx


class Completes(ABC):
    """A connector some of whose events come without what they are about: a lead, by its id.

    Such an event waits beside its neighbours, which go on, and is said once: complete, or after a
    while as it came.
    """

    completes: ClassVar[tuple[type[Content], ...]]
    """Message types that are completed before they are said."""

    @abstractmethod
    def complete(self, client: httpx.Client, account: str, said: Content) -> Content:
        """`said`, of one of `completes`, with what the provider tells of it now.

        `client` carries the account's token. Raises the errors of `Login.refresh`, and `Permanent`
        where there is nothing to be had.
        """
