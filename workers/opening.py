"""Opens stored items: from sealed bytes to what the connector cut out of a delivery."""

from collections import OrderedDict
from datetime import date
from typing import Final

import msgspec

from contracts.connector import Item
from contracts.errors import KeyDestroyed, KeyUnavailable, Tampered, UnknownKey
from storage.drain import DrainStore
from storage.turns import StoredItem
from token_vault import Vault

_EPOCH: Final = date(1970, 1, 1).toordinal()
_KNOWN_RUNS: Final = 1024
_decoder: Final = msgspec.msgpack.Decoder(Item)


class ItemOpener:
    """Opens items with the run keys of their edge processes. Safe to share between threads."""

    def __init__(self, store: DrainStore, vault: Vault) -> None:
        self._store = store
        self._vault = vault
        self._runs: OrderedDict[bytes, tuple[date, bytes]] = OrderedDict()

    def open(self, item: StoredItem) -> Item:
        """Raises `KeyDestroyed`, `Tampered`, `UnknownKey` for an item that never opens again, and
        `KeyUnavailable`, `StoreUnavailable` for one that will.
        """
        day, wrapped = self._run(item.run_key)
        try:
            opener = self._vault.run_opener(day, item.run_key, wrapped)
        except UnknownKey:  # an older or a foreign key store: the right one opens it
            raise KeyUnavailable(f"the key store does not know the key of {day}") from None
        plain = opener.open(item.n, item.sealed)
        try:
            return _decoder.decode(plain)
        except msgspec.MsgspecError:
            raise Tampered("an inbox item is not in our form") from None

    def _run(self, key: bytes) -> tuple[date, bytes]:
        known = self._runs.get(key)
        if known is None:
            row = self._store.run_key(key)
            if row is None:
                raise KeyDestroyed("the run key was removed with its day")
            known = (date.fromordinal(_EPOCH + row[0]), row[1])
            self._runs[key] = known
            if len(self._runs) > _KNOWN_RUNS:
                self._runs.popitem(last=False)
        return known


FINAL: Final = (KeyDestroyed, Tampered, UnknownKey)
"""Errors of `open` after which an item is lost for good."""
