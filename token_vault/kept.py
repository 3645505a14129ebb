"""What a connect session keeps from step to step, sealed: it opens for that session alone."""

from typing import Any, Final

import msgspec

from contracts.accounts import Choice
from contracts.errors import Tampered
from contracts.login import Granted
from contracts.tokens import Secret, parse_secret
from token_vault.tenant_keys import Purpose, TenantKeys


class Kept(msgspec.Struct, frozen=True):
    """`asked`: the scopes that were asked for. `verifier`: PKCE's, until the code is exchanged.
    `granted` and `choices`: what came of it, until accounts are picked.
    """

    asked: frozenset[str]
    verifier: Secret | None = None
    granted: Granted | None = None
    choices: tuple[Choice, ...] = ()


def seal_kept(keys: TenantKeys, session_id: str, kept: Kept) -> bytes:
    """`kept` under the data key of the session's tenant; `open_kept` undoes it."""
    return keys.seal(Purpose.CONNECT_SESSION, session_id.encode(), _encoder.encode(kept))


def open_kept(keys: TenantKeys, session_id: str, sealed: bytes) -> Kept:
    """Raises `Tampered | UnknownKey`."""
    plain = keys.open(Purpose.CONNECT_SESSION, session_id.encode(), sealed)
    try:
        return _decoder.decode(plain)
    except (msgspec.MsgspecError, ValueError):
        del plain  # tracebacks may be shown with their variables
        raise Tampered("what was sealed for a connect session is not in our form") from None


def _clear(value: Any) -> str:
    """`msgspec` encoding hook: what it makes is sealed at once."""
    if isinstance(value, Secret):
        return value.reveal()
    raise NotImplementedError(type(value).__name__)


_encoder: Final = msgspec.json.Encoder(enc_hook=_clear)
_decoder: Final = msgspec.json.Decoder(Kept, dec_hook=parse_secret)
