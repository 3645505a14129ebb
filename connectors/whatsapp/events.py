"""The table of what can happen, and where in a delivery it stands."""

from collections.abc import Mapping
from typing import Any, Final

from connectors.whatsapp import messages, notices, others, statuses, synced
from connectors.whatsapp.reading import Lists
from connectors.whatsapp.telling import Listing

BY_APP: Final = "smb_message_echoes"
"""The field of what a person wrote in the business's own app."""
_ECHOES: Final = (BY_APP, "message_echoes")

FIELDS: Final[Mapping[str, Lists]] = {
    "messages": {
        "messages": messages.MESSAGES,
        "statuses": statuses.STATUSES,
        "errors": notices.ERRORS,
    },
    **{field: {"message_echoes": messages.MESSAGES} for field in _ECHOES},
    "history": {"history": synced.HISTORY, "messages": synced.PAST_MEDIA},
    "smb_app_state_sync": {"state_sync": synced.SYNCED},
    "user_preferences": {"user_preferences": others.PREFERENCES},
    "calls": {
        "calls": others.CALLS,
        "statuses": others.CALL_STATUSES,
        "errors": notices.ERRORS,
    },
}
"""The field of a change → the lists in its value, in the order in which they are told."""

_NAMED: Final[Mapping[str, Listing]] = {
    **{listing.name: listing for lists in FIELDS.values() for listing in lists.values()},
    **notices.LISTINGS,
    **notices.BESIDE,
}

EVENTS: Final[Mapping[str, Any]] = {
    **{
        listing.kind(word): meaning
        for listing in _NAMED.values()
        for word, meaning in listing.meanings.items()
    },
    **dict.fromkeys(_ECHOES, messages.MEANINGS),
}
"""The field of a change, or the list in it and the word that says what happened → what it means."""


def is_echo(field: str) -> bool:
    """Whether the business wrote what a change of `field` tells of."""
    return field in _ECHOES
