"""What the keys of all KMSs share: the envelope, and what happens while a KMS is away."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Final, TypeVar

import structlog
import tink
from tink import aead

from contracts.errors import GatewayError, KeyUnavailable, Misconfigured, Tampered, UnknownKey
from token_vault.keysets import Aead

log = structlog.get_logger()

E = TypeVar("E", bound=GatewayError)

CONNECT_S: Final = 2.0
ANSWER_S: Final = 3.0
"""How long a KMS may take to accept a connection, and then to answer."""
PAUSE_S: Final = 1.0
"""How long a KMS that did not answer is left alone."""
AT_ONCE: Final = 4
"""So many threads of a process ask a KMS at once: half of those that an edge has."""
QUEUE_S: Final = 0.5
"""Who waits longer for its turn takes the KMS for away."""
_LENGTH_BYTES: Final = 4
_LONGEST: Final = 4096

Answers = Mapping[str, tuple[type[GatewayError], str]]
"""What a KMS calls its refusals → our error, and what to do."""


class NotThisOne(KeyUnavailable):
    """The KMS answers, and cannot open this value now; others it may."""


class Enveloped:
    """A key in a KMS, in the shape of `Aead`: Tink's envelope encryption.

    A fresh AES-256-GCM key seals what is given, bound to the associated data; the KMS seals that
    key, and never sees what it is bound to. (ADR 24 says why.)
    """

    def __init__(self, remote: Aead) -> None:
        """`remote` is only ever given empty associated data."""
        template = aead.aead_key_templates.AES256_GCM
        self._envelope = aead.KmsEnvelopeAead(template, remote)

    def encrypt(self, plaintext: bytes, associated_data: bytes) -> bytes:
        """Seal: one call to the KMS. Raises `KeyUnavailable | Misconfigured`."""
        sealed: bytes = self._envelope.encrypt(plaintext, associated_data)
        return sealed

    def decrypt(self, ciphertext: bytes, associated_data: bytes) -> bytes:
        """Open: one call to the KMS. Raises `KeyUnavailable | Misconfigured`, `UnknownKey` for what
        the KMS does not open, and `Tampered` for what was changed or belongs elsewhere.
        """
        if not _is_envelope(ciphertext):
            raise UnknownKey("not wrapped by the key of a KMS")
        try:
            opened: bytes = self._envelope.decrypt(ciphertext, associated_data)
        except tink.TinkError:
            raise Tampered("a wrapped key, or what it is bound to, was changed") from None
        return opened


def _is_envelope(ciphertext: bytes) -> bool:
    """Whether this is Tink's envelope: 4 bytes of length, a wrapped key so long, the payload."""
    length = int.from_bytes(ciphertext[:_LENGTH_BYTES], "big")
    return 0 < length <= min(_LONGEST, len(ciphertext) - _LENGTH_BYTES)


class Attended:
    """A key in a KMS whose outages are said once and hold up few threads.

    While the KMS does not answer, it is asked once a second, by one caller; all others are refused
    at once. Otherwise every thread of a process would soon stand still until a time-out, as it
    would on the first calls that hang if their number had no bound.
    """

    def __init__(
        self, name: str, load: Callable[[], Aead], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`name` is what errors begin with. `load` connects; it is called on first use, again
        after it failed. `clock`: seconds.
        """
        self._name = name
        self._load = load
        self._clock = clock
        self._key: Aead | None = None
        self._away: GatewayError | None = None
        self._quiet_until = 0.0
        self._asking = threading.Lock()
        self._turns = threading.Semaphore(AT_ONCE)

    def encrypt(self, plaintext: bytes, associated_data: bytes) -> bytes:
        """Raises `KeyUnavailable | Misconfigured`; the text names the key."""
        return self._ask(lambda key: key.encrypt(plaintext, associated_data))

    def decrypt(self, ciphertext: bytes, associated_data: bytes) -> bytes:
        """Raises `KeyUnavailable | Misconfigured | UnknownKey`; the text names the key."""
        return self._ask(lambda key: key.decrypt(ciphertext, associated_data))

    def _ask(self, call: Callable[[Aead], bytes]) -> bytes:
        away = self._away
        if away is None:
            return self._in_turn(call)
        if self._clock() < self._quiet_until or not self._asking.acquire(blocking=False):
            raise type(away)(str(away))
        try:
            return self._asked(call)
        finally:
            self._asking.release()

    def _in_turn(self, call: Callable[[Aead], bytes]) -> bytes:
        if not self._turns.acquire(timeout=QUEUE_S):
            raise self._is_away(self._named(KeyUnavailable("the KMS is too slow")))
        try:
            return self._asked(call)
        finally:
            self._turns.release()

    def _asked(self, call: Callable[[Aead], bytes]) -> bytes:
        try:
            if self._key is None:
                self._key = self._load()
            answer = call(self._key)
        except (UnknownKey, NotThisOne) as error:
            self._is_back()
            raise self._named(error) from None
        except (KeyUnavailable, Misconfigured) as error:
            raise self._is_away(self._named(error)) from None
        self._is_back()
        return answer

    def _named(self, error: E) -> E:
        return type(error)(f"{self._name}: {error}")

    def _is_away(self, error: E) -> E:
        if str(error) != str(self._away):
            log.warning("kek.away", reason=error.reason, detail=str(error))
        self._away = error
        self._quiet_until = self._clock() + PAUSE_S
        return error

    def _is_back(self) -> None:
        if self._away is not None:
            self._away = None
            log.info("kek.back", key=self._name)


class Answering:
    """A key as Tink's integration offers it, its errors turned into ours."""

    def __init__(
        self,
        key: Aead,
        errors: tuple[type[Exception], ...],
        explain: Callable[[BaseException], GatewayError],
    ) -> None:
        """`errors` are what the library raises beside `TinkError`; `explain` gets the cause."""
        self._key = key
        self._errors = (tink.TinkError, *errors)
        self._explain = explain

    def encrypt(self, plaintext: bytes, associated_data: bytes) -> bytes:
        """Raises what `explain` returns."""
        try:
            return self._key.encrypt(plaintext, associated_data)
        except self._errors as error:
            raise self._explain(_cause(error)) from None

    def decrypt(self, ciphertext: bytes, associated_data: bytes) -> bytes:
        """Raises what `explain` returns."""
        try:
            return self._key.decrypt(ciphertext, associated_data)
        except self._errors as error:
            raise self._explain(_cause(error)) from None


def _cause(error: Exception) -> BaseException:
    """What Tink's integrations put into a `TinkError`: the error of the KMS's own library."""
    inner = error.args[0] if isinstance(error, tink.TinkError) and error.args else None
    return inner if isinstance(inner, BaseException) else error


def does_not_answer(error: BaseException) -> KeyUnavailable:
    """Whatever else went wrong on the way. Only its name is told: its text may quote anything."""
    return KeyUnavailable(f"the KMS does not answer ({type(error).__name__})")
