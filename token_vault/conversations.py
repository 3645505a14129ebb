"""How conversations and contacts are named without telling who they are: keyed hashes."""

from base64 import urlsafe_b64encode

from token_vault.tenant_keys import TenantKeys


def conversation_id(keys: TenantKeys, provider: str, account: str, thread: str) -> str:
    """The conversation of a thread key (for direct talk: the contact's id at the provider):
    `cnv_` and 22 characters, stable for ever.
    """
    digest = keys.hash("conversation", provider, account, thread)
    return f"cnv_{urlsafe_b64encode(digest)[:22].decode()}"


def contact_hash(keys: TenantKeys, provider: str, contact: str | None) -> bytes | None:
    """How a data subject is known to the log: by provider and id there, never in clear."""
    return keys.hash("contact", provider, contact) if contact else None


def sent_hash(keys: TenantKeys, provider: str, account: str, message_id: str) -> bytes:
    """How the outbox knows a message that it sent, by the provider's id."""
    return keys.hash("sent", provider, account, message_id)
