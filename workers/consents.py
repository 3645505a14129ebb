"""Items that tell of a person's consent, and concern no account."""

from collections.abc import Mapping

from contracts.connector import Item
from token_vault import Vault
from token_vault.names import user_names

Named = tuple[str, str, bytes]
"""Whose consent: login, kind of name, hash."""


class Consents:
    """Knows those items by their provider; their route is the person's id at that login."""

    def __init__(self, vault: Vault, logins: Mapping[str, str]) -> None:
        self._vault, self._logins = vault, logins

    def are_in(self, item: Item) -> bool:
        """Whether `item` is one of them."""
        return item.provider in self._logins

    def named(self, item: Item) -> list[Named]:
        """Whose consent it is about. Raises `KeyUnavailable`."""
        login = self._logins[item.provider]
        names = user_names(self._vault.deployment(), login, [item.route])
        return [(login, kind, name) for kind, name in names]
