"""What Instagram says of each kind of message event; most of it is as for a Page.

Source: Instagram Platform, "Webhooks", messaging fields. Echoes come within `messages`; a read
receipt names a message instead of a time; there are no delivery receipts.
"""

from sandbox.fields import Fields, JsonObject
from sandbox.payloads import KINDS as OF_PAGES
from sandbox.payloads import Build, Scene

EXAMPLES: dict[str, JsonObject] = {
    "message": {"text": "Hello", "attachments": [{"type": "image"}]},
    "echo": {"text": "Thank you, we are on it."},
    "message_edit": {"mid": "", "text": "Hello again"},
    "unsend": {"mid": ""},
    "read": {"mid": ""},
    "reaction": {"mid": "", "action": "react", "reaction": "love"},
    "postback": {"title": "Opening hours", "payload": "OPENING_HOURS"},
    "referral": {"source": "ADS", "ref": "autumn-campaign", "ad_id": "6000000000001"},
    "unknown": {"name": "hologram", "value": {"depth": 3}},
    "dashboard_test": {"text": "A test of the App Dashboard"},
}


def _read(_scene: Scene, fields: Fields) -> JsonObject:
    return {"mid": fields.text("mid")}


def _unsend(_scene: Scene, fields: Fields) -> JsonObject:
    return {"mid": fields.text("mid"), "is_deleted": True}


_SAME = ("message", "echo", "message_edit", "reaction", "postback", "referral")

KINDS: dict[str, Build] = {
    **{kind: OF_PAGES[kind] for kind in _SAME},
    "read": _read,
    "unsend": _unsend,
}
