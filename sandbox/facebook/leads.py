"""Lead forms: what somebody filled in, by the id that the webhook tells.

Source: Marketing API, "Lead Ads", "Retrieving".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sandbox.facebook import errors
from sandbox.facebook.graph import Caller, no_field
from sandbox.facebook.world import Page
from sandbox.fields import JsonObject

PERMISSION = "leads_retrieval"
DEFAULT = "created_time,id,field_data"


@dataclass(frozen=True)
class Lead:
    """One form that was sent in; `created` counts seconds."""

    id: str
    page: str
    form: str
    created: int
    answers: Mapping[str, Sequence[str]]

    def value(self) -> JsonObject:
        """Return what the webhook `leadgen` says of it: ids, no answers."""
        return {
            "leadgen_id": self.id,
            "page_id": self.page,
            "form_id": self.form,
            "created_time": self.created,
        }


def shown(lead: Lead, page: Page, caller: Caller, asked: Sequence[str]) -> JsonObject:
    """Return what Graph tells of a lead to who may read the Page's. Raises `GraphError`."""
    token = caller.token
    if token is None or not token.person.runs(page) or token.page not in (None, page):
        raise errors.missing(lead.id)
    if not token.person.allows(PERMISSION):
        raise errors.lacks(PERMISSION, "read the lead")
    known: JsonObject = {
        "id": lead.id,
        "created_time": lead.created,
        "form_id": lead.form,
        "field_data": [
            {"name": name, "values": list(values)} for name, values in lead.answers.items()
        ],
    }
    if strange := [name for name in asked if name not in known]:
        raise no_field(strange[0], "RealTimeLead")
    return {name: known[name] for name in (*asked, "id")}
