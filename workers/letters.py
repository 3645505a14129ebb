"""Opens and seals what is kept of a send."""

from contracts.errors import KeyDestroyed
from contracts.sending import Letter, Sent, decode_letter, encode_letter
from storage.outbox import Send
from token_vault import Purpose, Vault, sent_hash


class Letters:
    """Under the keys of the sends' tenants. Methods raise `VaultError`."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def open(self, send: Send) -> Letter:
        """Raises `KeyDestroyed` for what was erased, with its tenant or its contact."""
        if not send.sealed:
            raise KeyDestroyed("its contact was erased")
        keys = self._vault.tenant(send.tenant)
        return decode_letter(keys.open(Purpose.SEND, send.id.encode(), send.sealed))

    def seal(self, send: Send, letter: Letter) -> bytes:
        keys = self._vault.tenant(send.tenant)
        return keys.seal(Purpose.SEND, send.id.encode(), encode_letter(letter))

    def message(self, send: Send, provider: str, account: str, sent: Sent) -> bytes:
        """How the outbox knows the provider's message."""
        return sent_hash(self._vault.tenant(send.tenant), provider, account, sent.message_id)
