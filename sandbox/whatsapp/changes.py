"""The `entry` of WhatsApp's webhooks: a WABA, and one change of one field.

Source: WhatsApp Cloud API, "Webhooks". The entry of a message has no time of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sandbox.entries import Entry
from sandbox.fields import JsonObject, present
from sandbox.whatsapp.world import Number, Person, Waba

OBJECT: Final = "whatsapp_business_account"


@dataclass(frozen=True)
class Change(Entry):
    """`page` is the number, or the WABA for what concerns no number; `psid` the person."""

    def document(self) -> JsonObject:
        """Return the entry as it goes over the wire."""
        head: JsonObject = {"id": self.entry_id}
        if self.kind == "change":
            head["time"] = self.time
        return {**head, self.channel: [self.item]}


def of_number(number: Number, person: Person, kind: str, at: int, told: JsonObject) -> Change:
    """Return what field `messages` tells of a number and a person."""
    value = {**_head(number), **told}
    item: JsonObject = {"value": value, "field": "messages"}
    return Change(
        number.id, person.psid, kind, "changes", at, item, OBJECT, entry_id=number.waba.id
    )


def echo(number: Number, person: Person, at: int, message: JsonObject) -> Change:
    """Return what somebody at the business wrote in the WhatsApp Business app."""
    sent: JsonObject = {
        "from": number.digits,
        **present(to=person.wa_id),
        "to_user_id": person.bsuid,
        **message,
    }
    item: JsonObject = {
        "value": {**_head(number), "message_echoes": [sent]},
        "field": "smb_message_echoes",
    }
    return Change(
        number.id, person.psid, "echo", "changes", at, item, OBJECT, entry_id=number.waba.id
    )


def of_waba(waba: Waba, field: str, at: int, value: JsonObject) -> Change:
    """Return a change of any field."""
    item: JsonObject = {"value": value, "field": field}
    return Change(waba.id, "", "change", "changes", at, item, OBJECT, entry_id=waba.id)


def status(
    wamid: str,
    name: str,
    person: Person,
    at: int,
    opaque: str | None,
    errors: Sequence[JsonObject] = (),
) -> JsonObject:
    """Return `statuses` with what became of one message of the business."""
    told: JsonObject = {
        "id": wamid,
        "status": name,
        "timestamp": str(at),
        **present(recipient_id=person.wa_id),
        **present(recipient_user_id=person.bsuid or None),
        **present(biz_opaque_callback_data=opaque, errors=list(errors) or None),
    }
    if name in ("sent", "delivered"):
        told["pricing"] = {
            "billable": False,
            "pricing_model": "PMP",
            "type": "free_customer_service",
            "category": "service",
        }
    return {"statuses": [told]}


def _head(number: Number) -> JsonObject:
    metadata = {"display_phone_number": number.digits, "phone_number_id": number.id}
    return {"messaging_product": "whatsapp", "metadata": metadata}
