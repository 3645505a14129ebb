"""The only code that sees keys or plaintext tokens: key store, seal and open, hash."""

from contracts.errors import Misconfigured
from contracts.settings import Settings
from token_vault.conversations import contact_hash, conversation_id, sent_hash
from token_vault.gate_names import gate_names
from token_vault.kek import SETTING, check_uri, load_kek
from token_vault.keks import Kek, Keks
from token_vault.kept import Kept, open_kept, seal_kept
from token_vault.keystore import Erasure, KeyStore
from token_vault.letters import open_contact, open_letter, seal_contact, seal_letter
from token_vault.links import (
    media_of,
    media_url,
    named_by,
    reconnect_token,
    reconnect_url,
    reconnects,
)
from token_vault.media_details import (
    MediaDetails,
    media_id,
    new_object_name,
    objects_of,
    open_media,
    seal_media,
)
from token_vault.names import token_names, user_names
from token_vault.objects import ObjectKey, new_object_key, span
from token_vault.openings import Openings
from token_vault.rotation import KeyRotation, Rewrapping, Wrapping
from token_vault.runs import RunOpener, RunSealer
from token_vault.tenant_keys import DeploymentKeys, Purpose, TenantKeys
from token_vault.tokens import (
    Escrowed,
    GrantTokens,
    open_from_escrow,
    seal_for_escrow,
    seal_tokens,
)
from token_vault.vault import CACHE_S, Vault

__all__ = [
    "CACHE_S",
    "DeploymentKeys",
    "Erasure",
    "Escrowed",
    "GrantTokens",
    "Kek",
    "Keks",
    "Kept",
    "KeyRotation",
    "KeyStore",
    "MediaDetails",
    "ObjectKey",
    "Openings",
    "Purpose",
    "Rewrapping",
    "RunOpener",
    "RunSealer",
    "TenantKeys",
    "Vault",
    "Wrapping",
    "contact_hash",
    "conversation_id",
    "gate_names",
    "load_kek",
    "media_id",
    "media_of",
    "media_url",
    "named_by",
    "new_object_key",
    "new_object_name",
    "objects_of",
    "open_contact",
    "open_from_escrow",
    "open_kept",
    "open_letter",
    "open_media",
    "open_vault",
    "reconnect_token",
    "reconnect_url",
    "reconnects",
    "seal_contact",
    "seal_for_escrow",
    "seal_kept",
    "seal_letter",
    "seal_media",
    "seal_tokens",
    "sent_hash",
    "span",
    "token_names",
    "user_names",
]


def open_vault(settings: Settings) -> Vault:
    """The vault that `settings` describe; makes the data directory (0700), opens nothing else yet.

    A new key store needs `Vault.upgrade()` once. Raises `Misconfigured`.
    """
    current = _kek(settings.kek, SETTING)
    previous = settings.kek_uri_previous
    keks = Keks(current, _kek(previous, f"{SETTING}_PREVIOUS") if previous else None)
    try:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Misconfigured(f"GATEWAY_DATA_DIR: {error.strerror}: {settings.data_dir}") from None
    return Vault(KeyStore(settings.keystore), keks, cache_s=settings.key_cache_seconds)


def _kek(uri: str, setting: str) -> Kek:
    check_uri(uri, setting)
    return Kek(uri, lambda: load_kek(uri, setting))
