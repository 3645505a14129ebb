"""Keeps for each conversation whom it is with, and about when they last acted: what sending needs.

A row is written in the drain's own transaction, and only when it says something new: a worker
remembers for a moment what it wrote, so that a conversation that goes fast costs few rows.
"""

import time
from collections.abc import Iterable
from typing import Final, NamedTuple

from contracts import content
from contracts.connector import Event
from contracts.content import Content, Conversation
from contracts.sending import STEP_MS
from storage.turns import Thread
from token_vault import TenantKeys, conversation_id, seal_contact

KNOWN_S: Final = 10.0
"""So long a worker relies on what it wrote; then it writes again, since the contact may have been
erased meanwhile, and has come back."""
MOST_KNOWN: Final = 100_000
"""Conversations that a worker remembers; then it begins anew."""

ACTIONS: Final[frozenset[type[Content]]] = frozenset(
    {
        content.MessageReceived,
        content.PostbackReceived,
        content.MessageReaction,
        content.ReferralReceived,
        content.OptinChanged,
        content.OrderReceived,
        content.CommentCreated,
    }
)
"""Types by which a contact opens the time in which one may write to them."""

PREFERENCES: Final = frozenset({"stop", "resume"})
"""Statuses of `optin.changed` by which a contact of WhatsApp's wants, or no longer wants, messages
of a category: they open no window.
"""


class _Known(NamedTuple):
    acted_at_ms: int
    until: float


class Acquainting:
    """What one worker knows of conversations. Safe to share between threads."""

    def __init__(self, known_s: float = KNOWN_S) -> None:
        self._known_s = known_s
        self._known: dict[str, _Known] = {}

    def met(
        self,
        event: Event,
        at_ms: int,
        connection: str,
        provider: str,
        account: str,
        keys: TenantKeys,
    ) -> Thread | None:
        """The row to write for `event`, which happened `at_ms`; None when there is nothing new, and
        where nobody, or more than one, is spoken to.
        """
        if event.contact is None:
            return None
        id_ = self._conversation(event, provider, account, keys)
        if id_ is None:
            return None
        acted_at_ms = at_ms if _is_action(event.content) else 0
        known = self._known.get(id_)
        says_more = known is None or acted_at_ms >= known.acted_at_ms + STEP_MS
        if known is not None and known.until > time.monotonic() and not says_more:
            return None
        hashed = keys.hash("contact", provider, event.contact)
        sealed = seal_contact(keys, id_, event.contact)
        return Thread(id_, keys.tenant, connection, hashed, acted_at_ms, at_ms, sealed)

    def wrote(self, threads: Iterable[Thread]) -> None:
        """These rows were committed; they may be erased at any time by somebody else."""
        if len(self._known) > MOST_KNOWN:
            self._known.clear()
        until = time.monotonic() + self._known_s
        for thread in threads:
            before = self._known.get(thread.id)
            acted_at_ms = max(thread.acted_at_ms, before.acted_at_ms if before else 0)
            self._known[thread.id] = _Known(acted_at_ms, until)

    def _conversation(
        self, event: Event, provider: str, account: str, keys: TenantKeys
    ) -> str | None:
        """Of the contact: who comments may be written to, in a conversation of their own."""
        said = getattr(event.content, "conversation", None)
        if isinstance(event.content, content.CommentCreated):
            return conversation_id(keys, provider, account, event.contact or "")
        return said.id if isinstance(said, Conversation) and said.kind == "direct" else None


def _lets_write(said: Content) -> bool:
    """Whoever sets a preference in the provider's app says no word to the business."""
    return not isinstance(said, content.OptinChanged) or said.status not in PREFERENCES


def _is_action(said: Content) -> bool:
    if type(said) not in ACTIONS or not _lets_write(said):
        return False
    sender = getattr(said, "sender", None)
    return isinstance(sender, content.Participant) and sender.role == "contact"
