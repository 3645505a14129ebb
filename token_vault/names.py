"""By which names a provider may speak of a grant later, hashed: its signals name it so."""

import base64
import hashlib
from collections.abc import Collection

from contracts.login import Tokens
from token_vault.tenant_keys import DeploymentKeys

_PREFIX_CHARS = 16


def user_names(
    keys: DeploymentKeys, login: str, ids: Collection[str]
) -> frozenset[tuple[str, bytes]]:
    """Ids of who consented: kind `user`."""
    return frozenset(("user", keys.hash("name", login, "user", id_)) for id_ in ids)


def token_names(keys: DeploymentKeys, login: str, tokens: Tokens) -> frozenset[tuple[str, bytes]]:
    """Google's two ways to name a refresh token: its first 16 characters, and a double SHA-512.

    Source: https://developers.google.com/identity/protocols/risc#supported_event_types.
    """
    if tokens.refresh_token is None:
        return frozenset()
    clear = tokens.refresh_token.reveal()
    twice = hashlib.sha512(hashlib.sha512(clear.encode()).digest()).digest()
    named = {
        "token-prefix": clear[:_PREFIX_CHARS],
        "token-hash": base64.b64encode(twice).decode(),
    }
    return frozenset((kind, keys.hash("name", login, kind, name)) for kind, name in named.items())
