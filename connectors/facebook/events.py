"""What each kind of update means: the table, and what Messenger alone has."""

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

import msgspec

from connectors.facebook import changes, comments, shapes
from connectors.kit.meta.messaging import events
from connectors.kit.meta.messaging.occasion import Occasion
from connectors.kit.meta.messaging.reading import CHANGED_FIELDS
from connectors.kit.shape import digest, given, milliseconds, moment, text_of
from contracts import content
from contracts.connector import Event, Ignored
from contracts.messages import timestamp


def delivered(on: Occasion, it: shapes.Delivered) -> Event:
    user, watermark = on.user, milliseconds(it.watermark, "watermark")
    mids = tuple(map(str, it.mids or ()))
    data = content.MessageDelivered(
        **on.by_contact(user), message_ids=mids, watermark=timestamp(moment(watermark))
    )
    return on.event(data, on.key(user, watermark), user)


def read(on: Occasion, it: shapes.Read) -> Event:
    user, watermark = on.user, milliseconds(it.watermark, "watermark")
    data = content.MessageRead(**on.by_contact(user), watermark=timestamp(moment(watermark)))
    return on.event(data, on.key(user, watermark), user)


def template(on: Occasion, it: dict[str, Any]) -> Event:
    """A coupon was used: something prepared that the contact pressed."""
    user = on.user
    data = content.PostbackReceived(**on.by_contact(user), template=it)
    return on.event(data, on.key(user, on.ms, digest(msgspec.json.encode(it))), user)


_SEVERITY: Final[Mapping[str, Literal["info", "warning", "critical"]]] = {
    "warning": "warning",
    "block": "critical",
    "unblock": "info",
}


def policy_enforcement(on: Occasion, it: shapes.PolicyEnforcement) -> Event:
    data = content.AccountNotice(
        notice=f"policy_{it.action}",
        severity=_SEVERITY.get(it.action, "warning"),
        detail=it.reason,
    )
    return on.event(data, on.key(on.ms), None)


def account_linking(on: Occasion, it: shapes.AccountLinking) -> Event:
    user, code = on.user, given(it.authorization_code)
    data = content.AccountLinkChanged(
        **on.by_contact(user), status=it.status, authorization_code=code
    )
    return on.event(data, on.key(user, on.ms, it.status), user)


def response_feedback(on: Occasion, it: shapes.ResponseFeedback) -> Event:
    user, mid = on.user, text_of(it.mid or None)
    data = content.FeedbackReceived(**on.by_contact(user), feedback=it.feedback, message_id=mid)
    return on.event(data, on.key(user, on.ms, it.mid or ""), user)


def order(on: Occasion, it: dict[str, Any]) -> Event:
    user = on.user
    data = content.OrderReceived(**on.by_contact(user), order=it)
    return on.event(data, on.key(user, on.ms, digest(msgspec.json.encode(it))), user)


EVENTS: Final[Mapping[str, Callable[[Occasion, Any], Event | Ignored]]] = {
    "message": events.message,
    "message_edit": events.edited,
    "delivery": delivered,
    "read": read,
    "reaction": events.reaction,
    "postback": events.postback,
    "referral": events.referral,
    "optin": events.optin,
    "pass_thread_control": events.handover,
    "take_thread_control": events.handover,
    "request_thread_control": events.handover,
    "app_roles": events.roles,
    "policy_enforcement": policy_enforcement,
    comments.KIND: comments.comment,
    "account_linking": account_linking,
    "response_feedback": response_feedback,
    "order": order,
    "template": template,
    "leadgen": changes.lead,
    "mention": changes.mention,
    **dict.fromkeys(changes.PASSED_OVER, changes.passed_over),
    CHANGED_FIELDS: events.changed_fields,
}
"""The key of an update, or the field of a change, that says what it is → what it means."""
