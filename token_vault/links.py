"""Links that need no row: a keyed hash in them proves that they came from us.

They may stand in messages, so they open no account by themselves: whoever follows one is asked to
consent at the provider, as by any other link. They are good for one life of a connection, which is
told by the time from which it receives: revoked and connected anew, it has another link.
"""

import base64
import hmac
from typing import Final

from token_vault.tenant_keys import DeploymentKeys

_AGAIN: Final = "reconnect"
_MEDIA: Final = "public-media"


def reconnect_token(keys: DeploymentKeys, connection_id: str, receives_from_ms: int) -> str:
    """Names a connection in its present life: its id, a dot, 22 characters of proof."""
    hashed = keys.hash(_AGAIN, connection_id, str(receives_from_ms))
    return f"{connection_id}.{base64.urlsafe_b64encode(hashed).decode().rstrip('=')}"


def named_by(token: str) -> str:
    """The id of the connection that `token` claims to name; nothing is proven by that."""
    return token.partition(".")[0]


def reconnects(keys: DeploymentKeys, token: str, connection_id: str, receives_from_ms: int) -> bool:
    """Whether `reconnect_token` made `token` of just these; compared in constant time."""
    good = reconnect_token(keys, connection_id, receives_from_ms)
    return hmac.compare_digest(good.encode(), token.encode())


def reconnect_url(
    public_url: str, keys: DeploymentKeys, connection_id: str, receives_from_ms: int
) -> str:
    """Where the owner of a connection consents again to what is missing."""
    token = reconnect_token(keys, connection_id, receives_from_ms)
    return f"{public_url.rstrip('/')}/connect/again/{token}"


def media_url(public_url: str, keys: DeploymentKeys, media_id: str, expires_at_s: int) -> str:
    """Where a provider fetches media that are to be sent, until `expires_at_s` (Unix time): whoever
    has the address gets them, and nobody can make one up.
    """
    named = f"{media_id}.{expires_at_s}"
    return f"{public_url.rstrip('/')}/media/{named}.{_proof(keys, named)}"


def media_of(keys: DeploymentKeys, token: str, now_s: float) -> str | None:
    """The id of the media that the last part of a `media_url` is for; None: forged, or over.

    Compared in constant time, and before what it says is read.
    """
    named, _, proof = token.rpartition(".")
    if not hmac.compare_digest(_proof(keys, named).encode(), proof.encode()):
        return None
    media_id, _, expires_at_s = named.rpartition(".")
    return media_id if now_s < int(expires_at_s) else None


def _proof(keys: DeploymentKeys, named: str) -> str:
    return base64.urlsafe_b64encode(keys.hash(_MEDIA, named)).decode().rstrip("=")
