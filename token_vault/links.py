"""Links that need no row: a keyed hash in them proves that they came from us.

They may stand in messages, so they open no account by themselves: whoever follows one is asked to
consent at the provider, as by any other link.
"""

import base64
import hmac
from typing import Final

from token_vault.tenant_keys import DeploymentKeys

_AGAIN: Final = "reconnect"


def reconnect_token(keys: DeploymentKeys, connection_id: str) -> str:
    """Names a connection for as long as it exists: its id, a dot, 22 characters of proof."""
    proof = base64.urlsafe_b64encode(keys.hash(_AGAIN, connection_id)).decode().rstrip("=")
    return f"{connection_id}.{proof}"


def reconnects(keys: DeploymentKeys, token: str) -> str | None:
    """The id of the connection that `token` names, or None when `reconnect_token` did not make
    it; compared in constant time.
    """
    connection_id, _, _ = token.partition(".")
    good = reconnect_token(keys, connection_id)
    return connection_id if hmac.compare_digest(good.encode(), token.encode()) else None


def reconnect_url(public_url: str, keys: DeploymentKeys, connection_id: str) -> str:
    """Where the owner of a connection consents again to what is missing."""
    return f"{public_url.rstrip('/')}/connect/again/{reconnect_token(keys, connection_id)}"
