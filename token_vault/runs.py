"""Raw items: run keys that seal them, wrapped to the day's public key, and what opens them."""

import itertools
import secrets
import threading
from collections import OrderedDict
from datetime import date

import tink

from token_vault import keysets
from token_vault.encoding import encode
from token_vault.keysets import Keyset, PrivateKey, bare_aead, prefixes, refusal
from token_vault.tenant_keys import Purpose

RUN_ID_BYTES = 16
OPEN_RUNS = 256
"""How many run keys of one day are kept open at once; there is one per edge process and start."""


def _wrapping(day: date, run_id: bytes) -> bytes:
    return encode("run", day.isoformat(), run_id)


def _binding(run_id: bytes) -> bytes:
    return encode(Purpose.RAW.value, run_id)


class RunSealer:
    """Seals the raw items of one edge process on one day; safe to share between threads.

    `id`: 16 random bytes. `wrapped`: the run key, sealed to the day's public key, to be stored
    before or with the first item: without it nothing that this run seals can be opened.
    """

    __slots__ = ("_binding", "_count", "_encrypt", "day", "id", "wrapped")

    def __init__(self, day: date, public: bytes) -> None:
        keyset = keysets.new_aead()
        self.day = day
        self.id = secrets.token_bytes(RUN_ID_BYTES)
        context = _wrapping(day, self.id)
        self.wrapped = keysets.seal_to_public(public, keysets.clear(keyset), context)
        self._encrypt = bare_aead(keyset).encrypt
        self._binding = _binding(self.id)
        self._count = itertools.count(1)

    def seal(self, plaintext: bytes) -> tuple[int, bytes]:
        """Seal one item: its number in the run, from 1, never twice, and the sealed bytes."""
        n = next(self._count)
        return n, self._encrypt(plaintext, self._binding + n.to_bytes(8, "big"))


class RunOpener:
    """Opens what one run sealed. Hold it for one batch, so that a destroyed day stays shut."""

    __slots__ = ("_binding", "_decrypt", "_prefixes")

    def __init__(self, run_id: bytes, keyset: Keyset) -> None:
        self._decrypt = bare_aead(keyset).decrypt
        self._prefixes = prefixes(keyset)
        self._binding = _binding(run_id)

    def open(self, n: int, sealed: bytes) -> bytes:
        """Undo `RunSealer.seal`. Raises `Tampered | UnknownKey`."""
        try:
            return self._decrypt(sealed, self._binding + n.to_bytes(8, "big"))
        except tink.TinkError:
            raise refusal(sealed, self._prefixes) from None


class OpenDay:
    """A day's private key and the run keys opened with it: they are forgotten together."""

    def __init__(self, day: date, pair: Keyset) -> None:
        self._day = day
        self._private = PrivateKey(pair)
        self._runs: OrderedDict[tuple[bytes, bytes], RunOpener] = OrderedDict()
        self._lock = threading.Lock()

    def run(self, run_id: bytes, wrapped: bytes) -> RunOpener:
        """The opener of one run. Raises `Tampered | UnknownKey`."""
        key = (run_id, wrapped)
        with self._lock:
            opener = self._runs.get(key)
            if opener is not None:
                self._runs.move_to_end(key)
                return opener
        secret = self._private.open(wrapped, _wrapping(self._day, run_id))
        opener = RunOpener(run_id, keysets.from_clear(secret))
        with self._lock:
            self._runs[key] = opener
            while len(self._runs) > OPEN_RUNS:
                self._runs.popitem(last=False)
        return opener
