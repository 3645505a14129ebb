"""The JSON of the kinds that Messenger alone has.

Source: https://developers.facebook.com/docs/messenger-platform/reference/webhook-events.
"""

from typing import Any

import msgspec

from connectors.kit.meta.messaging import shapes
from connectors.kit.shape import Id, Number


class Delivered(msgspec.Struct):
    watermark: Number
    mids: list[Id] | None = None


class Read(msgspec.Struct):
    watermark: Number


class PolicyEnforcement(msgspec.Struct):
    action: str
    reason: str | None = None


class AccountLinking(msgspec.Struct):
    status: str
    authorization_code: str | None = None


class ResponseFeedback(msgspec.Struct):
    feedback: str
    mid: Id | None = None


class Update(shapes.Update):
    delivery: Delivered | None = None
    read: Read | None = None
    policy_enforcement: PolicyEnforcement | None = None
    account_linking: AccountLinking | None = None
    response_feedback: ResponseFeedback | None = None
    order: dict[str, Any] | None = None
    template: dict[str, Any] | None = None
