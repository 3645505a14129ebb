"""What the kinds of update mean that several providers share: one small function a kind.

Deduplication keys begin with the kind, so that kinds cannot collide; what follows identifies the
happening within the account.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec
from msgspec import UNSET, UnsetType

from connectors.kit.meta.messaging import shapes
from connectors.kit.meta.messaging.attachments import attachments, media
from connectors.kit.meta.messaging.occasion import Occasion
from connectors.kit.shape import (
    Id,
    Misshapen,
    Number,
    digest,
    given,
    milliseconds,
    moment,
    named,
    text_of,
    whole_number,
)
from contracts import content
from contracts.connector import Event
from contracts.messages import timestamp
from contracts.sending import send_id

_PAGE_INBOX: Final = {"26390203743090", "263902037430900"}
"""App ids of the Page's own inbox: Meta's reference page and its routing page differ."""


def message(on: Occasion, it: shapes.Message) -> Event:
    if it.is_echo or on.from_business:  # never take its words for the contact's
        return echo(on, it)
    user = on.user
    data = content.MessageReceived(**on.by_contact(user), **_message(on, it))
    return on.event(data, on.key(it.mid), user, media(data.attachments))


def echo(on: Occasion, it: shapes.Message) -> Event:
    """What the business wrote, by whatever app: sender and recipient are the other way round."""
    user = on.recipient
    if not user:
        raise Misshapen("no recipient")
    via = _via(it.app_id, on.apps)
    metadata = given(it.metadata)
    data = content.MessageSent(
        **on.by_business(user), **_message(on, it), via=via, metadata=metadata
    )
    event = on.event(data, on.key(it.mid), user, media(data.attachments))
    return msgspec.structs.replace(event, send=send_id(it.metadata))


def edited(on: Occasion, it: shapes.Edit) -> Event:
    user, mid, revision = on.user, named(it.mid, "mid"), whole_number(it.num_edit, "num_edit")
    data = content.MessageEdited(
        **on.by_sender(user), message_id=mid, revision=revision, text=given(it.text)
    )
    return on.event(data, on.key(mid, revision), user)


_REACTIONS: Final[Mapping[str, Literal["added", "removed"]]] = {
    "react": "added",
    "unreact": "removed",
}


def reaction(on: Occasion, it: shapes.Reaction) -> Event:
    user, mid = on.user, named(it.mid, "mid")
    action = _REACTIONS.get(it.action)
    if action is None:
        raise Misshapen("reaction.action is neither react nor unreact")
    data = content.MessageReaction(
        **on.by_sender(user),
        message_id=mid,
        action=action,
        emoji=it.emoji,
        name=given(it.reaction),
    )
    return on.event(data, on.key(mid, on.sender, it.action, on.ms), user)


def postback(on: Occasion, it: shapes.Postback) -> Event:
    user = on.user
    data = content.PostbackReceived(
        **on.by_contact(user),
        message_id=text_of(it.mid or None),
        title=it.title,
        payload=it.payload,
        referral=_referral(it.referral),
    )
    if it.mid:
        return on.event(data, on.key(it.mid), user)
    return on.event(data, on.key(user, on.ms, digest((it.payload or "").encode())), user)


def referral(on: Occasion, it: shapes.Referral) -> Event:
    user, told = on.user, _referral(it)
    data = content.ReferralReceived(**on.by_contact(user), referral=told or content.Referral())
    return on.event(data, on.key(user, on.ms), user)


def optin(on: Occasion, it: shapes.Optin) -> Event:
    user = on.sender  # the checkbox plugin names nobody, but a user_ref
    status = it.notification_messages_status or it.user_token_status
    data = content.OptinChanged(
        conversation=on.account.conversation(user) if user else UNSET,
        sender=content.contact(user) if user else UNSET,
        to=(content.business(on.business),),
        kind=it.type,
        status=status,
        payload=given(it.payload),
        ref=given(it.ref),
        user_ref=text_of(it.user_ref),
        token=given(it.notification_messages_token),
        token_status=given(it.user_token_status),
        token_expires_at=_when(it.token_expiry_timestamp, "token_expiry_timestamp"),
        standby=on.standby,
    )
    whose = it.notification_messages_token or user or it.user_ref or ""
    return on.event(data, on.key(whose, on.ms, status or ""), user)


_HANDOVERS: Final[Mapping[str, Literal["passed", "taken", "requested"]]] = {
    "pass_thread_control": "passed",
    "take_thread_control": "taken",
    "request_thread_control": "requested",
}


def handover(on: Occasion, it: shapes.ThreadControl) -> Event:
    user = on.recipient if on.from_business else on.sender
    data = content.ConversationHandover(
        action=_HANDOVERS[on.kind],
        conversation=on.account.conversation(user) if user else UNSET,
        contact=content.contact(user) if user else UNSET,
        previous_owner=_app(it.previous_owner_app_id),
        new_owner=_app(it.new_owner_app_id),
        requested_owner=_app(it.requested_owner_app_id),
        metadata=given(it.metadata),
        standby=on.standby,
    )
    return on.event(data, on.key(on.ms, user or ""), user)


def roles(on: Occasion, it: dict[str, list[str]]) -> Event:
    named = {app: tuple(names) for app, names in it.items()}
    return on.event(content.ConversationHandover(action="roles", roles=named), on.key(on.ms), None)


def changed_fields(on: Occasion, it: list[str]) -> Event:
    """Something happened, and the app's webhooks are set to leave out what. Once a day for the
    same fields: there is nothing else to tell such entries by.
    """
    names = ", ".join(sorted(set(it)))
    data = content.AccountNotice(notice="values_left_out", severity="warning", detail=names)
    return on.event(data, on.key(names), None)


def _message(on: Occasion, it: shapes.Message) -> dict[str, Any]:
    """The fields that messages of both directions share."""
    mid = named(it.mid, "mid")
    fields: dict[str, Any] = {"message_id": mid, "text": it.text}
    if it.attachments:
        fields["attachments"] = attachments(on.account.id, mid, it.attachments)
    if it.reply_to is not None:
        fields["reply_to"] = _reply(it.reply_to)
    if it.is_unsupported:
        fields["unsupported"] = True
    if it.quick_reply is not None:
        fields["quick_reply"] = content.QuickReply(payload=it.quick_reply.payload)
    if it.referral is not None:
        fields["referral"] = _referral(it.referral)
    if it.commands:
        fields["commands"] = tuple(str(command.get("name", "")) for command in it.commands)
    return fields


def _reply(it: shapes.ReplyTo) -> content.Reply:
    return content.Reply(
        message_id=text_of(it.mid), story=_story(it.story), to_self=given(it.is_self_reply)
    )


def _story(it: shapes.Story | None) -> content.Story | UnsetType:
    if it is None:
        return UNSET
    return content.Story(id=None if it.id is None else str(it.id), url=it.url)


def _referral(it: shapes.Referral | None) -> content.Referral | UnsetType:
    if it is None:
        return UNSET
    product = it.product.id if it.product else None
    return content.Referral(
        source=it.source,
        kind=it.type,
        ref=given(it.ref),
        ad_id=text_of(it.ad_id),
        product_id=text_of(product),
        url=given(it.referer_uri),
        context=given(it.ads_context_data),
    )


def _when(value: Number | None, place: str) -> str | UnsetType:
    return UNSET if value is None else timestamp(moment(milliseconds(value, place)))


def _app(identifier: Id | UnsetType | None) -> str | UnsetType | None:
    return identifier if identifier is UNSET or identifier is None else str(identifier)


def _via(app_id: Id | None, ours: frozenset[str]) -> str | UnsetType:
    if app_id is None:
        return UNSET
    app = str(app_id)
    if app in _PAGE_INBOX:
        return "page_inbox"
    return "gateway" if app in ours else f"app:{app}"
