"""What the feed says of our own sends: sent, in the words of an echo; or failed, and why."""

from collections.abc import Mapping
from typing import Any, Final

import structlog

from connectors.kit.shape import attachment_id
from contracts import content
from contracts.connector import Connector, Event
from contracts.content import Content, Conversation, Failure, Participant
from contracts.errors import Misconfigured, Unavailable, VaultError
from contracts.sending import VIA, Letter, Outgoing, Sends
from storage.connections import Connection
from storage.database import now_ms
from storage.outbox import Send
from storage.turns import Append
from workers.letters import Letters
from workers.normalizing import Normalizer, utc

log = structlog.get_logger()

TITLES: Final[Mapping[str, str]] = {
    "window-closed": "The contact may not be written to any more",
    "outcome-unknown": "Nobody can tell whether it was sent",
    "reauthorize": "The account's owner has to connect it again",
    "permission-missing": "The account's owner has to consent to more",
    "not-connected": "The connection cannot call out",
    "not-found": "The connection has no token",
    "expired": "It could not be sent in time",
    "throttled": "The provider's rate limit lasted too long",
    "retryable": "The provider was away for too long",
    "permanent": "The provider refused it",
}


class Telling:
    """Makes the messages of outcomes; none where the tenant has no keys any more. Raises
    `Unavailable`.
    """

    def __init__(
        self,
        normalizer: Normalizer,
        letters: Letters,
        connectors: Mapping[str, Connector],
        channels: Mapping[str, str],
    ) -> None:
        """`channels`: by provider, of those too that are off."""
        self._normalizer, self._letters, self._channels = normalizer, letters, channels
        self._connectors = {n: one for n, one in connectors.items() if isinstance(one, Sends)}

    def connector(self, connection: Connection) -> Sends:
        """What sends for it. Raises `Misconfigured` while its provider is off."""
        found = self._connectors.get(connection.provider)
        if found is None:
            raise Misconfigured(f"provider {connection.provider} is off")
        return found

    def sent(self, connection: Connection, send: Send, letter: Letter) -> tuple[Append, ...]:
        """`message.sent`, with the key of its echo: whichever comes first is the message."""
        it, sent = letter.outgoing, letter.sent
        if sent is None:
            return ()
        contact = sent.contact or (it.to if it.what == "message" else None)
        said = content.MessageSent(
            **self._ends(connection, it, contact),
            message_id=sent.message_id,
            text=it.text,
            attachments=_attachments(it, sent.message_id),
            reply_to=None if it.reply_to is None else content.Reply(message_id=it.reply_to),
            via=VIA,
            send_id=send.id,
        )
        key = self.connector(connection).sent_key(sent.message_id)
        return self._append(said, key, connection, send, contact)

    def failed(self, connection: Connection, send: Send) -> tuple[Append, ...]:
        """`message.failed`, once for each reason."""
        try:
            it = self._letters.open(send).outgoing
        except VaultError as error:
            return self._untold(connection, error)
        contact = it.to if it.what == "message" else None
        failure = Failure(
            code=send.code or send.reason, title=TITLES.get(send.reason), detail=send.detail
        )
        said = content.MessageFailed(
            **self._ends(connection, it, contact),
            message_ids=(),
            error=failure,
            send_id=send.id,
        )
        return self._append(said, f"send:{send.id}:{send.reason}", connection, send, contact)

    def _ends(self, connection: Connection, it: Outgoing, contact: str | None) -> dict[str, Any]:
        """Conversation, sender and recipients. What stands below a comment has the comment's."""
        if contact is not None:
            conversation = self._normalizer.conversation(connection, contact)
        else:
            below = self._normalizer.conversation(connection, f"comment:{it.to}")
            conversation = Conversation(below.id, "comments")
        return {
            "conversation": conversation,
            "sender": content.business(it.account),
            "to": () if contact is None else (self._address(connection, contact),),
        }

    def _address(self, connection: Connection, contact: str) -> Participant:
        """Also while the provider is off: what could not be sent in time is said all the same."""
        found = self._connectors.get(connection.provider)
        return content.contact(contact) if found is None else found.address(contact)

    def _append(
        self, said: Content, key: str, connection: Connection, send: Send, contact: str | None
    ) -> tuple[Append, ...]:
        """It is as old as the send: what was asked for before its contact was erased, and answered
        after that, is not said any more.
        """
        at_ms = now_ms()
        event = Event(said, key, utc(at_ms), contact)
        channel = self._channels[connection.provider]
        try:
            append = self._normalizer.append(event, at_ms, channel, connection)
        except Unavailable:
            raise
        except VaultError as error:
            return self._untold(connection, error)
        return (append._replace(at_ms=send.created_at_ms),)

    def _untold(self, connection: Connection, error: VaultError) -> tuple[Append, ...]:
        if isinstance(error, Unavailable):
            raise error
        log.warning("send.not_said", connection=connection.id, reason=error.reason)
        return ()


def _attachments(it: Outgoing, message_id: str) -> tuple[content.Attachment, ...]:
    return tuple(
        content.Attachment(
            id=one.id or attachment_id(it.account, message_id, place),
            kind=one.kind,
            mime_type=one.mime_type,
            name=one.name,
            url=one.url or None,
            stored=one.id is not None,
        )
        for place, one in enumerate(it.attachments)
    )
