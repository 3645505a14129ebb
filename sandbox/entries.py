"""From a requested event to the `entry` that carries it, in the right channel and unit of time.

Envelope: Graph API, "Webhooks, getting started"; `messaging` and `standby` count milliseconds,
`changes` seconds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sandbox.fields import BadField, Fields, JsonObject, present
from sandbox.instagram import payloads as instagram
from sandbox.payloads import KINDS, Scene, new_mid

Channel = Literal["messaging", "standby", "changes"]

Object = Literal["page", "instagram", "permissions", "whatsapp_business_account"]

WIRE_NAMES = {"echo": "message", "unsend": "message", "template_coupon": "template"}
WITHOUT_SENDER = ("app_roles", "policy_enforcement")
FROM_PAGE = ("echo",)

EXAMPLES: dict[str, JsonObject] = {
    "message": {"text": "Hello", "attachments": [{"type": "image"}]},
    "echo": {"text": "Thank you, we are on it.", "metadata": "desk-4"},
    "message_edit": {"mid": "", "text": "Hello again"},
    "delivery": {"mids": [""]},
    "read": {},
    "reaction": {"mid": "", "action": "react", "reaction": "love"},
    "postback": {"title": "Opening hours", "payload": "OPENING_HOURS"},
    "referral": {"source": "ADS", "ref": "autumn-campaign", "ad_id": "6000000000001"},
    "optin": {"payload": "AUTUMN_NEWS"},
    "pass_thread_control": {"previous_owner_app_id": "1234567", "metadata": "over to a person"},
    "take_thread_control": {"previous_owner_app_id": "1234567", "metadata": "taking over"},
    "request_thread_control": {"metadata": "may I have it?"},
    "app_roles": {"role": "primary_receiver"},
    "policy_enforcement": {"action": "block", "reason": "The Page broke a rule."},
    "account_linking": {"status": "linked", "authorization_code": "demo-code"},
    "response_feedback": {"feedback": "Good response", "mid": ""},
    "order": {"note": "Ring twice, please."},
    "template_coupon": {"coupon_code": "10PERCENT"},
    "unknown": {"name": "hologram", "value": {"depth": 3}},
    "dashboard_test": {"text": "A test of the App Dashboard"},
}


@dataclass(frozen=True)
class Entry:
    """One `entry` of a delivery; it holds one item, as Messenger's do.

    `entry_id`, where it is another one than the Page's; `uid`, the person of a change of
    permissions.
    """

    page: str
    psid: str
    kind: str
    channel: Channel
    time: int
    item: JsonObject
    object: Object = "page"
    entry_id: str | None = None
    uid: str | None = None

    def document(self) -> JsonObject:
        """Return the entry as it goes over the wire."""
        entry_id = self.page if self.entry_id is None else self.entry_id
        head = {"id": entry_id, **present(uid=self.uid), "time": self.time}
        return {**head, self.channel: [self.item]}


def envelope(entries: tuple[Entry, ...]) -> JsonObject:
    """Return a delivery: several entries may share one, of several Pages but of one object."""
    return {"object": entries[0].object, "entry": [entry.document() for entry in entries]}


def entry_of(kind: str, scene: Scene, fields: Fields) -> Entry:
    """Return the entry for an event of `kind`; raise BadField if the kind or a field is wrong.

    Every kind takes `timestamp` (ms) and `standby` (another app owns the thread) beside its own.
    """
    if kind == "dashboard_test":
        return _dashboard_test(scene, fields)
    standby = fields.flag("standby")
    timestamp = fields.integer("timestamp", scene.now_ms)
    item = _ends(kind, scene) | {"timestamp": timestamp} | _content(kind, scene, fields, standby)
    fields.finish()
    channel: Channel = "standby" if standby else "messaging"
    return Entry(scene.page, scene.psid, kind, channel, scene.now_ms, item, scene.object)


def permission_change(
    person: str, permission: str, verb: str, target_ids: Sequence[str], seconds: int
) -> Entry:
    """Return the entry that tells of a permission of a person (object `permissions`)."""
    value: JsonObject = {"verb": verb, "target_ids": list(target_ids)}
    item: JsonObject = {"field": permission, "value": value}
    return Entry(person, person, "permissions", "changes", seconds, item, "permissions", uid=person)


def _ends(kind: str, scene: Scene) -> JsonObject:
    contact, page = {"id": scene.psid}, {"id": scene.page}
    if kind in WITHOUT_SENDER:
        return {"recipient": page}
    if kind in FROM_PAGE:
        return {"sender": page, "recipient": contact}
    return {"sender": contact, "recipient": page}


def _content(kind: str, scene: Scene, fields: Fields, standby: bool) -> JsonObject:
    if kind == "unknown":
        return {fields.text("name", "hologram"): fields.optional_object("value") or {}}
    kinds, examples = (
        (instagram.KINDS, instagram.EXAMPLES) if scene.object == "instagram" else (KINDS, EXAMPLES)
    )
    if kind not in kinds:
        raise BadField(f"kind must be one of {', '.join(examples)}")
    content = kinds[kind](scene, fields)
    if standby and kind == "postback":
        del content["payload"]
    return {WIRE_NAMES.get(kind, kind): content}


def _dashboard_test(scene: Scene, fields: Fields) -> Entry:
    """The App Dashboard's "Test" button: `changes`, entry id 0, times as strings of seconds."""
    seconds = scene.now_ms // 1000
    value: JsonObject = {
        "sender": {"id": scene.psid},
        "recipient": {"id": scene.page},
        "timestamp": str(seconds),
        "message": {"mid": new_mid(), "text": fields.text("text", "A test")},
    }
    fields.finish()
    item: JsonObject = {"field": "messages", "value": value}
    return Entry(
        scene.page, scene.psid, "dashboard_test", "changes", seconds, item, scene.object, "0"
    )
