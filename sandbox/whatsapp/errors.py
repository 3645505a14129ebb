"""Errors of the Cloud API: Graph's, with `error_data{messaging_product, details}`.

Codes: WhatsApp Cloud API, "Error codes".
"""

from typing import cast

from sandbox.facebook.errors import GraphError
from sandbox.fields import JsonObject

TITLES = {
    130429: "Rate limit hit",
    130472: "User's number is part of an experiment",
    131000: "Something went wrong",
    131005: "Access denied",
    131008: "Required parameter is missing",
    131009: "Parameter value is not valid",
    131016: "Service unavailable",
    131026: "Message undeliverable",
    131031: "Account has been locked",
    131042: "Business eligibility payment issue",
    131047: "Re-engagement message",
    131048: "Spam rate limit hit",
    131049: "This message was not delivered to maintain healthy ecosystem engagement.",
    131050: "User has stopped marketing messages",
    131051: "Unsupported message type",
    131052: "Media download error",
    131053: "Media upload error",
    131056: "(Business Account, Consumer Account) pair rate limit hit",
    132000: "Number of parameters does not match the expected number of params",
    132001: "Template name does not exist in the translation",
    133005: "Two step verification PIN Mismatch",
    133010: "Account not registered",
    133016: "Account register deregister rate limit exceeded",
    80007: "Rate limit issues",
}
DETAILS = {
    131026: "Message Undeliverable.",
    131047: "Message failed to send because more than 24 hours have passed since the customer last "
    "replied to this number.",
    131051: "Message type is currently not supported.",
}
BUSY = frozenset({130429, 131048, 131056, 80007, 133016})
"""Those that come with 429; 131000 and 131016 come with a 5xx."""


class CloudError(GraphError):
    """A call of the Cloud API is refused."""

    def __init__(self, code: int, details: str = "") -> None:
        title = TITLES.get(code, "Something went wrong")
        super().__init__(f"(#{code}) {title}", code, status=_status(code))
        self._details = details or DETAILS.get(code, title)

    def document(self) -> JsonObject:
        """Return the error as it goes over the wire."""
        document = super().document()
        data = {"messaging_product": "whatsapp", "details": self._details}
        cast(JsonObject, document["error"])["error_data"] = data
        return document


def in_status(code: int, details: str = "") -> JsonObject:
    """Return an entry of the `errors` of a status that failed."""
    title = TITLES.get(code, "Something went wrong")
    told = details or DETAILS.get(code, title)
    return {
        "code": code,
        "title": title,
        "message": title,
        "error_data": {"details": told},
        "href": "https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes/",
    }


def _status(code: int) -> int:
    if code in BUSY:
        return 429
    if code in (131000, 131016):
        return 500
    return 403 if code in (131005, 131031) else 400
