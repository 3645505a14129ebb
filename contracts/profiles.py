"""Who a contact is, as far as the provider and the contact let us know."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    import httpx


class Known(msgspec.Struct, frozen=True):
    """A contact's profile. `picture`: an address that stops working after a while."""

    name: str = ""
    picture: str = ""


class TellsProfiles(ABC):
    """A connector whose messages have ids alone, and whose provider tells names on request."""

    @abstractmethod
    def profile(self, client: httpx.Client, account: str, contact: str) -> Known:
        """What may be known of `contact`, an id of the account's conversations; it may be nothing.

        `client` carries the account's token. Raises the errors of `Login.refresh`:
        `PermissionMissing` where the account may not ask for anybody's, `Permanent` where this
        contact's is not to be had.
        """
