"""Whether a provider tells of an event at all: the app must be subscribed, and still allowed."""

from sandbox.entries import Entry
from sandbox.facebook.fields import FIELD_OF
from sandbox.facebook.state import Facebook
from sandbox.instagram.accounts import Accounts


class Reach:
    """Knows of each Page and account whether its webhooks go out."""

    def __init__(self, facebook: Facebook, instagram: Accounts) -> None:
        self._facebook, self._instagram = facebook, instagram

    def why_silent(self, entry: Entry) -> str | None:
        """Return why nobody hears of an event, or None; a dashboard's test always goes out."""
        if entry.kind == "dashboard_test":
            return None
        if entry.object == "instagram":
            return self._instagram.all[entry.page].why_silent()
        page = self._facebook.world.pages[entry.page]
        field = "standby" if entry.channel == "standby" else FIELD_OF.get(entry.kind)
        return self._facebook.world.why_silent(page, field)
