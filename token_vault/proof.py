"""Whether the key-encryption keys of the settings are those that wrapped this key store."""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from contracts.errors import Tampered, UnknownKey
from token_vault.keks import Keks
from token_vault.keystore import KeyRow, KeyStore

SAMPLE: Final = 8
"""So many keys are tried, until one opens: of today's key-encryption key, and of the others'."""
FEW: Final = 2
"""So many keys of others may be broken by themselves: a tenant has two."""


class _Tried(NamedTuple):
    """Keys tried in turn, up to the first that opens."""

    opens: bool
    refused: Sequence[KeyRow]
    error: UnknownKey | Tampered | None


def broken_keys(store: KeyStore, keks: Keks) -> list[str]:
    """Keys that do not open though the settings are right (`kind name`): among those tried.

    Raises `UnknownKey | Tampered` when the settings are not: nothing opens of what today's
    key-encryption key wrapped, or of what others did, unless that is little and today's opens its
    own. A fresh store passes. Raises `KeyUnavailable`, and what the current key raises.
    """
    keks.check()
    current = keks.current.uri
    own = _try(keks, store.live(SAMPLE, by=current))
    others = _try(keks, store.live(SAMPLE, but=current))
    if own.error is not None and not own.opens:
        raise type(own.error)(f"GATEWAY_KEK_URI {_opens_none(own.refused)}")
    passed_over = own.opens and len(others.refused) <= FEW
    if others.error is not None and not (others.opens or passed_over):
        raise type(others.error)(f"GATEWAY_KEK_URI {_opens_none(others.refused)}{_hint(keks)}")
    return [f"{row.kind} {row.name}" for row in (*own.refused, *others.refused)]


def _try(keks: Keks, rows: Iterable[KeyRow]) -> _Tried:
    refused, error = list[KeyRow](), None
    for row in rows:
        try:
            keks.unwrap(row)
        except (UnknownKey, Tampered) as refusal:
            refused.append(row)
            error = refusal
        else:
            return _Tried(True, refused, error)
    return _Tried(False, refused, error)


def _opens_none(rows: Sequence[KeyRow]) -> str:
    wrapped_by = ", ".join(sorted({row.kek or "not written down" for row in rows}))
    first = f"{rows[0].kind} {rows[0].name}"
    return f"opens none of {len(rows)} keys tried, such as {first} (wrapped by: {wrapped_by})"


def _hint(keks: Keks) -> str:
    if keks.previous is None:
        return (
            ": set GATEWAY_KEK_URI_PREVIOUS to what wrapped them, until nothing is under it: "
            "gateway vault status"
        )
    return ", nor does GATEWAY_KEK_URI_PREVIOUS"
