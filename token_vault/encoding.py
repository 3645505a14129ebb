"""Unambiguous encodings: what sealed bytes are bound to, and what keyed hashes are taken of."""

from collections.abc import Iterable


def encode(*parts: str | bytes) -> bytes:
    """Concatenate `parts`, each after its length in four big-endian bytes; text as UTF-8.

    Two different sequences of parts never encode to the same bytes.
    """
    return b"".join(
        len(piece).to_bytes(4, "big") + piece
        for piece in (part.encode() if isinstance(part, str) else part for part in parts)
    )


def hash_input(parts: Iterable[str]) -> bytes:
    """The same for text alone and on the hot path: netstrings, `<length in code points>:<text>`.

    Lone surrogates are kept as they are, so that any text a provider sends has a hash of its own.
    """
    return "".join([f"{len(part)}:{part}" for part in parts]).encode("utf-8", "surrogatepass")
