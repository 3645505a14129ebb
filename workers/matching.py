"""Finds our own sends in what providers tell of messages: echoes, receipts, failures.

A message is ours when the provider brings back the send's id with it, or by its own id, which the
outbox keeps as a hash. What is told of a send that has no outcome yet is its outcome.
"""

from collections.abc import Sequence
from itertools import chain
from typing import Any, Final, NamedTuple

import msgspec
import structlog
from msgspec import UNSET

from contracts import content
from contracts.connector import Event
from contracts.errors import Misconfigured, Tampered, UnknownKey
from contracts.sending import VIA, Letter, Sent
from storage.outbox import Outbox, Send
from storage.turns import Append, Settled
from workers.letters import Letters
from workers.normalizing import Happened, Normalizer, Outcome
from workers.telling import Telling

log = structlog.get_logger()

_ITS_WORDS: Final = "the provider could not deliver it: message.failed has its words"


class Matched(NamedTuple):
    """What a batch says of our sends: messages in place of others (none where the feed has it
    already, by our own word, or will), and outcomes.
    """

    instead: dict[int, tuple[Append, ...]]
    settled: list[Settled]


class Matching:
    """Matches batches of one worker. Safe to share between threads."""

    def __init__(
        self, outbox: Outbox, letters: Letters, normalizer: Normalizer, telling: Telling
    ) -> None:
        self._outbox, self._letters = outbox, letters
        self._normalizer, self._telling = normalizer, telling

    def matched(self, outcome: Outcome) -> Outcome:
        """`outcome` with what is about our own sends said so. Raises `Unavailable`."""
        found = self.match(outcome.told)
        if not found.instead:
            return outcome
        said = (found.instead.get(n, (append,)) for n, append in enumerate(outcome.appends))
        return outcome._replace(appends=[*chain.from_iterable(said)], settled=found.settled)

    def match(self, receipts: Sequence[Happened]) -> Matched:
        """One look-up for all of `receipts`, which are in order. Raises `Unavailable`."""
        matched = Matched({}, [])
        if not receipts:
            return matched
        hashes = [self._hashes(receipt) for receipt in receipts]
        ids = {receipt.event.send for receipt in receipts if receipt.event.send}
        every = {one for several in hashes for one in several}
        sends = {send.id: send for send in self._outbox.known(every, ids)}
        by_hash = {send.message: send.id for send in sends.values() if send.message}
        for receipt, named in zip(receipts, hashes, strict=True):
            if _is_wordless(receipt.event):
                matched.instead[receipt.place] = ()
            own = _own(receipt, [by_hash.get(one) for one in named], sends)
            if own:
                self._settle(receipt, own, named, sends, matched)
                by_hash |= dict.fromkeys(named, own[0].id) if len(named) == 1 else {}
        return matched

    def _hashes(self, receipt: Happened) -> list[bytes]:
        said: Any = receipt.event.content
        ids = [said.message_id] if isinstance(said, content.MessageSent) else said.message_ids
        return [self._normalizer.sent_hash(receipt.connection, id_) for id_ in ids]

    def _settle(
        self,
        receipt: Happened,
        own: Sequence[Send],
        hashes: Sequence[bytes],
        sends: dict[str, Send],
        matched: Matched,
    ) -> None:
        said = receipt.event.content
        if isinstance(said, content.MessageSent) and _is_said(own[0], hashes[0]):
            matched.instead[receipt.place] = ()
            return
        named = () if _is_wordless(receipt.event) else (self._named(receipt, own),)
        matched.instead[receipt.place] = named
        for send in own:
            message = hashes[0] if len(hashes) == 1 else None
            whom = _whom(receipt.event) or (None if send.contact else receipt.event.contact)
            contact = self._letters.contact(send, receipt.connection.provider, whom)
            settled, words = self._outcome(send, receipt, message, contact)
            matched.instead[receipt.place] = (*words, *matched.instead[receipt.place])
            if settled is not None:
                matched.settled.append(settled)
                sends[send.id] = send._replace(state=settled.state, message=settled.message)

    def _named(self, receipt: Happened, own: Sequence[Send]) -> Append:
        """Its message, with the sends that it is about."""
        named = _named(receipt.event.content, [send.id for send in own])
        by_address = own[0].conversation and _whom(receipt.event) is None
        if by_address:
            named = _in_conversation(named, own[0].conversation)
        event = msgspec.structs.replace(receipt.event, content=named)
        append = self._normalizer.append(
            event,
            receipt.received_at_ms,
            receipt.channel,
            receipt.connection,
            late=receipt.late,
        )
        return append._replace(contact=own[0].contact or append.contact) if by_address else append

    def _outcome(
        self, send: Send, receipt: Happened, message: bytes | None, contact: bytes | None
    ) -> tuple[Settled | None, tuple[Append, ...]]:
        """What it says of `send`, and the message itself where a status says first that it was
        taken: nothing of a message stands before it. The provider's words of a failure stay in
        their message, which is sealed.
        """
        said = receipt.event.content
        if isinstance(said, content.MessageFailed):
            code = said.error.code
            failed = Settled(
                send.id, "failed", True, message, contact, code=code, detail=_ITS_WORDS
            )
            return failed, ()
        if send.state == "sent":
            return None, ()
        is_echo = isinstance(said, content.MessageSent) and not _is_wordless(receipt.event)
        letter = self._letter(send, receipt.event)
        words = () if is_echo or letter is None else self._words(receipt, send, letter)
        sealed = None if letter is None else self._letters.seal(send, letter)
        return Settled(send.id, "sent", is_echo or bool(words), message, contact, sealed), words

    def _words(self, receipt: Happened, send: Send, letter: Letter) -> tuple[Append, ...]:
        try:
            return self._telling.sent(receipt.connection, send, letter)
        except Misconfigured:
            return ()  # it cannot be told while its provider is off: it is later

    def _letter(self, send: Send, event: Event) -> Letter | None:
        """The letter with the provider's id of the message, where one is named, and whom it went
        to.
        """
        said = event.content
        ids = (said.message_id,) if isinstance(said, content.MessageSent) else _ids(said)
        if len(ids) != 1 or not send.sealed:
            return None
        try:
            letter = self._letters.open(send)
        except (Tampered, UnknownKey) as error:  # it must not stop the lane
            log.error("send.unreadable", send=send.id, reason=error.reason)
            return None
        return Letter(letter.outgoing, Sent(ids[0], _whom(event)))


def _ids(said: content.Content) -> tuple[str, ...]:
    if isinstance(said, content.MessageDelivered | content.MessageRead | content.MessageFailed):
        return said.message_ids
    return ()


def _own(receipt: Happened, by_hash: Sequence[str | None], sends: dict[str, Send]) -> list[Send]:
    """Those of this very connection: an account's others hear of the same messages."""
    ids = dict.fromkeys([*by_hash, receipt.event.send])
    found = [sends[id_] for id_ in ids if id_ in sends]
    return [send for send in found if send.connection == receipt.connection.id]


def _is_said(send: Send, message: bytes) -> bool:
    return send.state == "sent" and send.said and send.message == message


def _whom(event: Event) -> str | None:
    """The contact by the id that the feed has; None where only their address is told, by which a
    send may have gone to somebody who has an id.
    """
    said: Any = event.content
    people = said.to if isinstance(said, content.MessageSent) else (said.sender,)
    by_address = (one for one in people if one.address == f"+{one.id}")
    return None if any(one.id == event.contact for one in by_address) else event.contact


def _in_conversation(said: content.Content, id_: str) -> content.Content:
    talk: Any = said
    conversation = msgspec.structs.replace(talk.conversation, id=id_)
    changed: content.Content = msgspec.structs.replace(talk, conversation=conversation)
    return changed


def _is_wordless(event: Event) -> bool:
    """Whether it says that the provider took a send, without repeating it. It settles the send,
    whose words we have; in the feed it would be an empty message.
    """
    said = event.content
    if event.send is None or not isinstance(said, content.MessageSent):
        return False
    return said.text is None and not said.attachments and said.unsupported is UNSET


def _named(said: content.Content, ids: Sequence[str]) -> content.Content:
    if isinstance(said, content.MessageSent):
        return msgspec.structs.replace(said, send_id=ids[0], via=VIA)
    if isinstance(said, content.MessageFailed):
        return msgspec.structs.replace(said, send_id=ids[0])
    return msgspec.structs.replace(said, send_ids=tuple(ids))
