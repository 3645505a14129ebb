"""Seals and opens the tokens of grants; each opening is counted, and says for which job."""

from datetime import date
from typing import Final, Protocol

import msgspec

from contracts.errors import Tampered
from contracts.login import Tokens
from token_vault.clear import ClearJson
from token_vault.escrow import Escrow
from token_vault.openings import Openings
from token_vault.tenant_keys import Purpose, TenantKeys
from token_vault.vault import Vault


class SealedGrant(Protocol):
    """What of a stored grant is needed to open it."""

    @property
    def id(self) -> str: ...
    @property
    def tenant(self) -> str: ...
    @property
    def sealed(self) -> bytes: ...


class GrantTokens:
    """The tokens of grants, bound to their tenant and to the grant's id, which is minted before.

    Methods raise `KeyUnavailable`, `KeyDestroyed` (the tenant was erased) and `UnknownKey`.
    """

    def __init__(self, vault: Vault, openings: Openings) -> None:
        self._vault = vault
        self._openings = openings

    def seal(self, tenant: str, grant_id: str, tokens: Tokens) -> bytes:
        """`tokens` under the tenant's data key."""
        return seal_tokens(self._vault.tenant(tenant), grant_id, tokens)

    def open(self, grant: SealedGrant, *, job: str) -> Tokens:
        """Undo `seal`, for `job` (a name of ours, such as `refresh`). Raises also `Tampered`."""
        keys = self._vault.tenant(grant.tenant)
        if not grant.sealed:
            raise Tampered("the grant has no tokens")
        self._openings.count(job, grant.tenant, grant.id)
        return _tokens.decode(keys.open(Purpose.TOKEN, grant.id.encode(), grant.sealed))


class Escrowed(msgspec.Struct, frozen=True):
    """What the revoking saga needs to end things at a provider: tokens, and the account's id."""

    tokens: Tokens
    account: str


def seal_for_escrow(escrow: Escrow, day: date, grant: SealedGrant, kept: Escrowed) -> bytes:
    """`kept` to the escrow key of `day`; raises what `Escrow.seal` does."""
    return escrow.seal(day, grant.tenant, grant.id, _escrowed.encode(kept))


def open_from_escrow(
    escrow: Escrow, day: date, tenant: str, grant: str, sealed: bytes, *, job: str
) -> Escrowed:
    """Undo `seal_for_escrow`; raises what `Escrow.open` does."""
    return _escrowed.decode(escrow.open(day, tenant, grant, sealed, job=job))


def seal_tokens(keys: TenantKeys, grant_id: str, tokens: Tokens) -> bytes:
    """`tokens` under the data key of the grant's tenant; `GrantTokens.open` undoes it."""
    return keys.seal(Purpose.TOKEN, grant_id.encode(), _tokens.encode(tokens))


_tokens: Final = ClearJson(Tokens, "tokens")
_escrowed: Final = ClearJson(Escrowed, "escrow")
