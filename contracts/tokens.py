"""Secrets as a type that cannot be printed by accident."""

from typing import Final, NamedTuple, NoReturn, Self

MASK: Final = "••••"


class Secret:
    """A token, password or app secret: masked in `repr`, `str`, `format`, tracebacks and logs, and
    refused by what would write it down whole: JSON encoders, `msgspec`, pickle.

    `reveal()` is the only way to its text, so that every use can be found by searching for it.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        if not text:
            raise ValueError("a secret must not be empty")
        self._text = text

    def reveal(self) -> str:
        """The clear text. Keep it in a local variable, and short."""
        return self._text

    def __repr__(self) -> str:
        return f"Secret({MASK})"

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return MASK

    def __eq__(self, other: object) -> bool:
        """Refused: secrets are compared in constant time, with `hmac.compare_digest`."""
        raise TypeError("compare secrets with hmac.compare_digest")

    def __hash__(self) -> int:
        raise TypeError("secrets are not hashable")

    def __reduce__(self) -> NoReturn:
        raise TypeError("secrets are not pickled")

    def __getstate__(self) -> NoReturn:
        raise TypeError("secrets are not pickled")

    def __copy__(self) -> Self:
        """Itself, as for all that does not change: `dataclasses.asdict` and others copy."""
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self


def parse_secret(kind: type, value: object) -> object:
    """`msgspec` decoding hook (`dec_hook`): text becomes a `Secret`."""
    if kind is Secret and isinstance(value, str):
        return Secret(value)
    raise TypeError(f"cannot read {kind.__name__}")


class Opening(NamedTuple):
    """How often one process (a random id) opened the tokens of `grant` for a `job` within a
    `minute` (since 1970, UTC).
    """

    grant: str
    minute: int
    job: str
    process: str
    tenant: str
    times: int
