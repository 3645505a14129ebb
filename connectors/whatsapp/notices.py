"""What Meta says of the account, its numbers and templates: a row a field.

Source: https://developers.facebook.com/docs/whatsapp/cloud-api/webhooks/reference.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final, Literal, NamedTuple

import msgspec

from connectors.kit.shape import digest
from connectors.whatsapp import shapes
from connectors.whatsapp.occasion import Occasion
from connectors.whatsapp.telling import Listing
from contracts import content
from contracts.connector import Event

Severity = Literal["info", "warning", "critical"]


class Notice(NamedTuple):
    """How a change becomes a notice. `name`: what the notice is called, followed by the word at
    `event`; `details`: what is told of it; both are paths into the value, with dots. `severities`:
    of the words that are more than information.
    """

    name: str
    event: str = ""
    details: tuple[str, ...] = ()
    severities: Mapping[str, Severity] = {}


_ENDS: Final = frozenset(
    {"ACCOUNT_DELETED", "ACCOUNT_OFFBOARDED", "PARTNER_APP_UNINSTALLED", "PARTNER_REMOVED"}
)
"""Words of `account_update` after which our consent may be withdrawn."""
_TEMPLATE: Final = ("message_template_name", "message_template_language")

NOTICES: Final[Mapping[str, Notice]] = {
    "account_update": Notice(
        "account",
        "event",
        (
            "violation_info.violation_type",
            "ban_info.waba_ban_state",
            "restriction_info.restriction_type",
            "disconnection_info.reason",
            "phone_number",
        ),
        {
            "ACCOUNT_DELETED": "critical",
            "ACCOUNT_OFFBOARDED": "critical",
            "ACCOUNT_RESTRICTION": "critical",
            "ACCOUNT_VIOLATION": "critical",
            "DISABLED_UPDATE": "critical",
            "PARTNER_APP_UNINSTALLED": "critical",
            "PARTNER_REMOVED": "critical",
        },
    ),
    "account_review_update": Notice(
        "account_review", "decision", severities={"REJECTED": "critical"}
    ),
    "account_alerts": Notice(
        "alert",
        "alert_info.alert_type",
        ("alert_info.alert_description", "entity_type", "entity_id"),
    ),
    "business_capability_update": Notice(
        "capability", details=("max_daily_conversation_per_phone", "max_phone_numbers_per_business")
    ),
    "message_template_status_update": Notice(
        "template",
        "event",
        (*_TEMPLATE, "reason"),
        {
            "DISABLED": "critical",
            "FLAGGED": "warning",
            "LOCKED": "warning",
            "PAUSED": "warning",
            "REJECTED": "warning",
        },
    ),
    "message_template_quality_update": Notice(
        "template_quality",
        "new_quality_score",
        (*_TEMPLATE, "previous_quality_score"),
        {"RED": "critical", "YELLOW": "warning"},
    ),
    "message_template_components_update": Notice("template_components", details=_TEMPLATE),
    "template_category_update": Notice(
        "template_category", "new_category", (*_TEMPLATE, "previous_category")
    ),
    "phone_number_name_update": Notice(
        "number_name",
        "decision",
        ("display_phone_number", "requested_verified_name", "rejection_reason"),
        {"REJECTED": "warning"},
    ),
    "phone_number_quality_update": Notice(
        "number_quality",
        "event",
        ("display_phone_number", "current_limit"),
        {"DOWNGRADE": "warning", "FLAGGED": "warning"},
    ),
    "security": Notice(
        "security",
        "event",
        ("display_phone_number",),
        {"PIN_CHANGED": "warning", "PIN_RESET_REQUEST": "warning"},
    ),
    "flows": Notice("flow", "event", ("message",)),
}
"""The field of a change → its notice."""

_ALERTS: Final[Mapping[str, Severity]] = {"CRITICAL": "critical", "WARNING": "warning"}


def notice(of: Notice, on: Occasion, value: dict[str, Any]) -> Event:
    word = next(_texts(value, of.event), "") if of.event else ""
    name = word.lower() if word.lower().startswith(f"{of.name}_") else f"{of.name}_{word}".lower()
    alert = next(_texts(value, "alert_info.alert_severity"), "")
    data = content.AccountNotice(
        notice=name.rstrip("_"),
        severity=of.severities.get(word) or _ALERTS.get(alert, "info"),
        detail=", ".join(text for path in of.details for text in _texts(value, path)) or None,
        original=value,
    )
    event = on.event(data, f"{on.kind}:{on.ms(None)}:{digest(on.raw)}", None, None)
    return msgspec.structs.replace(event, look=word in _ENDS)


def error(on: Occasion, it: shapes.Error) -> Event:
    """What went wrong at Meta's, with no message of its own that it could be said of."""
    words = (it.title or it.message, it.error_data.details if it.error_data else None)
    data = content.AccountNotice(
        notice=f"error_{it.code}", severity="warning", detail=": ".join(filter(None, words)) or None
    )
    told = digest(msgspec.json.encode(it))
    return on.event(data, f"errors:{it.code}:{on.ms(None)}:{told}", None, None)


def left_out(on: Occasion, names: list[str]) -> Event:
    """Something happened, and the app's webhooks are set to leave out what. Once a day for the
    same fields: there is nothing else to tell such entries by.
    """
    told = ", ".join(sorted(set(names)))
    data = content.AccountNotice(notice="values_left_out", severity="warning", detail=told)
    return on.event(data, f"{on.kind}:{told}", None, None)


def _texts(value: Any, path: str) -> Iterator[str]:
    """What stands at `path`, in every element where there are several; as text."""
    if isinstance(value, list):
        for one in value:
            yield from _texts(one, path)
    elif path:
        name, _, rest = path.partition(".")
        if isinstance(value, dict):
            yield from _texts(value.get(name), rest)
    elif isinstance(value, str | int) and not isinstance(value, bool) and value != "":
        yield str(value)


_JSON: Final = msgspec.json.Decoder(dict[str, Any])

MEANINGS: Final[Mapping[str, Callable[[Occasion, Any], Event]]] = {
    field: partial(notice, of) for field, of in NOTICES.items()
}
LISTINGS: Final[Mapping[str, Listing]] = {
    field: Listing(field, _JSON, "", {"": meaning}) for field, meaning in MEANINGS.items()
}
"""The field of a change → how its value is read: as one happening."""

ERRORS: Final = Listing("errors", msgspec.json.Decoder(shapes.Error), "", {"": error})
BESIDE: Final = {
    "changed_fields": Listing("changed_fields", msgspec.json.Decoder(list[str]), "", {"": left_out})
}
"""Members of an entry beside its changes."""
