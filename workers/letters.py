"""Opens and seals what is kept of a send."""

import msgspec

from contracts.errors import KeyDestroyed
from contracts.sending import Attached, Letter, Outgoing, Sent
from storage.outbox import Send
from token_vault import Vault, contact_hash, open_letter, seal_letter, sent_hash
from workers.media_links import MediaLinks


class Letters:
    """Under the keys of the sends' tenants. Methods raise `VaultError`."""

    def __init__(self, vault: Vault, links: MediaLinks) -> None:
        self._vault, self._links = vault, links

    def open(self, send: Send) -> Letter:
        """Raises `KeyDestroyed` for what was erased, with its tenant or its contact."""
        if not send.sealed:
            raise KeyDestroyed("its contact was erased")
        keys = self._vault.tenant(send.tenant)
        return open_letter(keys, send.id, send.sealed)

    def seal(self, send: Send, letter: Letter) -> bytes:
        return seal_letter(self._vault.tenant(send.tenant), send.id, letter)

    def linked(self, send: Send, outgoing: Outgoing) -> Outgoing:
        """With links to what we keep, for the call. Raises what `MediaLinks.media` raises."""
        attached = tuple(self._linked(send, one) for one in outgoing.attachments)
        return msgspec.structs.replace(outgoing, attachments=attached)

    def _linked(self, send: Send, one: Attached) -> Attached:
        if one.id is None:
            return one
        return msgspec.structs.replace(self._links.media(send.tenant, one.id), id=one.id)

    def message(self, send: Send, provider: str, account: str, sent: Sent) -> bytes:
        """How the outbox knows the provider's message."""
        return sent_hash(self._vault.tenant(send.tenant), provider, account, sent.message_id)

    def contact(self, send: Send, provider: str, contact: str | None) -> bytes | None:
        """Who got it, as the provider tells: by this they are erased. None where it tells none."""
        return contact_hash(self._vault.tenant(send.tenant), provider, contact)
