"""What a connect session keeps from step to step, sealed: it opens for that session alone."""

from typing import Final

import msgspec

from contracts.accounts import Choice
from contracts.login import Granted
from contracts.tokens import Secret
from token_vault.clear import ClearJson
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
    return keys.seal(Purpose.CONNECT_SESSION, session_id.encode(), _json.encode(kept))


def open_kept(keys: TenantKeys, session_id: str, sealed: bytes) -> Kept:
    """Raises `Tampered | UnknownKey`."""
    return _json.decode(keys.open(Purpose.CONNECT_SESSION, session_id.encode(), sealed))


_json: Final = ClearJson(Kept, "a connect session")
