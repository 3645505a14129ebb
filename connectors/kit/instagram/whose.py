"""Whose an entry of the object `instagram` is."""

from typing import Any, Final

import msgspec

from connectors.kit.meta.messaging.shapes import Party
from connectors.kit.rawjson import UNREADABLE
from connectors.kit.shape import Id


class _Update(msgspec.Struct):
    sender: Party | None = None
    recipient: Party | None = None
    is_self: bool | None = None
    postback: Any = None
    referral: Any = None


class _Entry(msgspec.Struct):
    messaging: list[_Update] = []
    standby: list[_Update] = []


_entry: Final = msgspec.json.Decoder(_Entry)


def account_of(raw: bytes) -> Id | None:
    """The account's id where an entry's own `id` may be another's; None: the entry's holds.

    In Meta's samples the entry of a postback or a referral has the contact's id. Both come from
    contacts, so the account is the recipient; when it tries its own buttons, `is_self`, the sender.
    Source: https://developers.facebook.com/docs/instagram-platform/webhooks/examples and
    https://developers.facebook.com/docs/instagram-platform/self-messaging.
    """
    if b'"postback"' not in raw and b'"referral"' not in raw:
        return None
    try:
        entry = _entry.decode(raw)
    except UNREADABLE:
        return None
    for update in (*entry.messaging, *entry.standby):
        if update.postback is not None or update.referral is not None:
            account = update.sender if update.is_self else update.recipient
            if account is not None and account.id is not None:
                return account.id
    return None
