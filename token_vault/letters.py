"""What sending keeps, sealed: what is to go out, and whom a conversation is with."""

from contracts.sending import (
    Letter,
    decode_correspondent,
    decode_letter,
    encode_correspondent,
    encode_letter,
)
from token_vault.tenant_keys import Purpose, TenantKeys


def seal_letter(keys: TenantKeys, send: str, letter: Letter) -> bytes:
    """Bound to the send's id (`snd_…`)."""
    return keys.seal(Purpose.SEND, send.encode(), encode_letter(letter))


def open_letter(keys: TenantKeys, send: str, sealed: bytes) -> Letter:
    """The inverse of `seal_letter`. Raises `VaultError`."""
    return decode_letter(keys.open(Purpose.SEND, send.encode(), sealed))


def seal_contact(keys: TenantKeys, conversation: str, contact: str) -> bytes:
    """The contact's id at the provider, bound to the conversation's (`cnv_…`)."""
    return keys.seal(Purpose.THREAD, conversation.encode(), encode_correspondent(contact))


def open_contact(keys: TenantKeys, conversation: str, sealed: bytes) -> str:
    """The inverse of `seal_contact`. Raises `VaultError`."""
    return decode_correspondent(keys.open(Purpose.THREAD, conversation.encode(), sealed))
