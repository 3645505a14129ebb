"""Structs with secrets in clear, as bytes: to be sealed at once, and just opened."""

from typing import Any, Generic, TypeVar

import msgspec

from contracts.errors import Tampered
from contracts.tokens import Secret, parse_secret

T = TypeVar("T", bound=msgspec.Struct)


class ClearJson(Generic[T]):
    """JSON of one struct; `what` names it in errors, which hold nothing of it."""

    def __init__(self, kind: type[T], what: str) -> None:
        self._encoder = msgspec.json.Encoder(enc_hook=_revealed)
        self._decoder = msgspec.json.Decoder(kind, dec_hook=parse_secret)
        self._what = what

    def encode(self, value: T) -> bytes:
        """For a seal alone."""
        return self._encoder.encode(value)

    def decode(self, plain: bytes) -> T:
        """Raises `Tampered` for what was sealed and is not in our form."""
        try:
            return self._decoder.decode(plain)
        except (msgspec.MsgspecError, ValueError):
            del plain  # tracebacks may be shown with their variables
            raise Tampered(f"what was sealed for {self._what} is not in our form") from None


def _revealed(value: Any) -> str:
    if isinstance(value, Secret):
        return value.reveal()
    raise TypeError(f"cannot write {type(value).__name__}")
