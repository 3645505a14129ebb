"""From what a caller wants sent to a send: whom it goes to, whether it can go, and what is kept."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final, NamedTuple

from contracts.connector import Connector
from contracts.errors import (
    FeatureMissing,
    InvalidInput,
    Misconfigured,
    NotConnected,
    NotSendable,
    WindowClosed,
)
from contracts.sending import (
    STEP_MS,
    Attached,
    Letter,
    Outgoing,
    Rules,
    Sends,
    SuggestedReply,
    What,
)
from gateway.connecting import Connected, Connecting
from gateway.enclosing import Enclosing
from gateway.send_shapes import SendBody
from storage.connections import Connection
from storage.database import now_ms
from storage.outbox import DEADLINE_MS, Outbox, Send
from storage.turns import SENDING
from token_vault import (
    TenantKeys,
    Vault,
    contact_hash,
    conversation_id,
    open_contact,
    seal_letter,
)

_HOURS_MS: Final = 3_600_000
_WHY_NOT: Final[Mapping[str, str]] = {
    "pending": "it is not connected yet",
    "needs_reauth": "its owner has to connect it again",
    "paused": "it is paused",
    "revoking": "it is being revoked",
    "revoked": "it was revoked",
}


class Addressee(NamedTuple):
    """Whom, or below what, something is said. `line`: what goes there goes in order. `contact`:
    who is known to get it; `acted_at_ms`: about when they last acted (0: not known).
    """

    what: What
    to: str
    line: str
    conversation: str = ""
    contact: str | None = None
    acted_at_ms: int = 0


class Drafting:
    """Checks and seals what is to be sent. Changes nothing."""

    def __init__(
        self,
        outbox: Outbox,
        connecting: Connecting,
        vault: Vault,
        connectors: Mapping[str, Connector],
        enclosing: Enclosing,
    ) -> None:
        self._enclosing = enclosing
        self._outbox, self._connecting, self._vault = outbox, connecting, vault
        self._connectors = connectors

    def draft(self, id_: str, connection: Connection, body: SendBody) -> Send:
        """The send, queued, but for its key and request. Raises `InvalidInput`, `NotConnected`,
        `NotSendable`, `FeatureMissing`, `WindowClosed`, `Misconfigured`, `VaultError`.
        """
        connector = self._connector(connection)
        account = self._account(connection)
        keys = self._vault.tenant(connection.tenant)
        whom = self._addressee(connection, connector, account, keys, body)
        attached = tuple(self._enclosing.attached(keys, one) for one in body.attachments)
        outgoing = _outgoing(id_, account, whom, body, attached)
        rules = connector.sending.get(whom.what)
        if rules is None:
            raise NotSendable(f"{connection.provider} has no {whom.what.replace('_', ' ')}")
        _check(connection, rules, outgoing, whom)
        sealed = seal_letter(keys, id_, Letter(outgoing))
        return _queued(id_, connection, whom, keys, sealed)

    def _connector(self, connection: Connection) -> Sends:
        found = self._connectors.get(connection.provider)
        if found is None:
            raise Misconfigured(f"provider {connection.provider} is off")
        if not isinstance(found, Sends):
            raise NotSendable(f"{connection.provider} does not send")
        return found

    def _account(self, connection: Connection) -> str:
        """Its id at the provider, if it can call out."""
        if connection.status not in SENDING:
            why = _WHY_NOT.get(connection.status, f"it is {connection.status}")
            raise NotConnected(f"the connection cannot send: {why}")
        (opened,) = self._connecting.open([connection])
        if opened.details is None or not opened.calls_out:
            raise NotConnected(f"the connection cannot send: {_speechless(opened)}")
        return opened.details.account

    def _addressee(
        self,
        connection: Connection,
        connector: Sends,
        account: str,
        keys: TenantKeys,
        body: SendBody,
    ) -> Addressee:
        if (body.conversation is None) == (body.to is None):
            raise InvalidInput("body: either conversation or to is needed")
        provider = connection.provider
        if body.to is None or body.to.comment is None:
            if body.reply is not None:
                raise InvalidInput("body: reply is for comments: to.comment is needed with it")
            contact = body.to.contact if body.to else None
            if body.to is not None and contact is None:
                raise InvalidInput("body: to has either a contact or a comment")
            contact = None if contact is None else connector.contact_id(contact)
            id_ = body.conversation or conversation_id(keys, provider, account, contact or "")
            return self._in_conversation(connection, keys, id_, contact)
        if body.to.contact is not None:
            raise InvalidInput("body: to has either a contact or a comment")
        if body.reply is None:
            raise InvalidInput("body: reply is needed with a comment: private or public")
        line = conversation_id(keys, provider, account, f"comment:{body.to.comment}")
        what: What = "private_reply" if body.reply == "private" else "public_reply"
        return Addressee(what, body.to.comment, line)

    def _in_conversation(
        self, connection: Connection, keys: TenantKeys, id_: str, contact: str | None
    ) -> Addressee:
        """A contact that is named may be one of whom nothing was heard yet."""
        thread = self._outbox.thread(id_)
        if thread is None or thread.connection != connection.id:
            if contact is None:
                raise NotSendable("conversation: this connection has none with a contact by it")
            return Addressee("message", contact, id_, id_, contact)
        if contact is None:
            contact = open_contact(keys, id_, thread.sealed)
        return Addressee("message", contact, id_, id_, contact, thread.acted_at_ms)


def _speechless(opened: Connected) -> str:
    return "its data was erased" if opened.details is None else "there is no token for it"


def _outgoing(
    id_: str, account: str, whom: Addressee, body: SendBody, attached: tuple[Attached, ...]
) -> Outgoing:
    return Outgoing(
        id=id_,
        account=account,
        what=whom.what,
        to=whom.to,
        text=body.text,
        attachments=attached,
        reply_to=body.reply_to,
        quick_replies=tuple(SuggestedReply(one.title, one.payload) for one in body.quick_replies),
        template=body.template,
        interactive=body.interactive,
        human_agent=body.human_agent,
    )


def _check(connection: Connection, rules: Rules, outgoing: Outgoing, whom: Addressee) -> None:
    chosen = not connection.features or rules.feature in connection.features
    if not chosen or rules.feature in connection.missing:
        why = "its scopes are not granted" if chosen else "it was not chosen"
        raise FeatureMissing(f"this needs the feature {rules.feature}, and {why}")
    if faults := rules.faults(outgoing):
        raise NotSendable("; ".join(faults))
    window = rules.open_for(outgoing)
    if window is not None and whom.acted_at_ms:
        _check_window(window, whom.acted_at_ms, has_longer=rules.agent_window)


def _check_window(window: timedelta, acted_at_ms: int, *, has_longer: timedelta | None) -> None:
    """What is kept of the last action may be older than it by `STEP_MS`."""
    since_ms = now_ms() - acted_at_ms
    if since_ms <= window.total_seconds() * 1000 + STEP_MS:
        return
    hours = int(window.total_seconds() * 1000 // _HOURS_MS)
    text = f"the contact acted {since_ms // _HOURS_MS} hours ago, and may be written to for {hours}"
    if has_longer is not None and window < has_longer:
        text += f"; a person may answer for {has_longer.days} days, with human_agent"
    raise WindowClosed(text)


def _queued(
    id_: str, connection: Connection, whom: Addressee, keys: TenantKeys, sealed: bytes
) -> Send:
    at_ms = now_ms()
    return Send(
        id=id_,
        tenant=connection.tenant,
        connection=connection.id,
        line=whom.line,
        number=0,
        conversation=whom.conversation,
        contact=contact_hash(keys, connection.provider, whom.contact),
        scope="",
        key=b"",
        request=b"",
        state="queued",
        attempts=0,
        reason="",
        code="",
        detail="",
        message=None,
        said=False,
        until_ms=at_ms + DEADLINE_MS,
        created_at_ms=at_ms,
        changed_at_ms=at_ms,
        sealed=sealed,
    )
