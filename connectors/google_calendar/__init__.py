"""Google Calendar: an account's calendars. It is connected, and does not receive yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from contracts.accounts import Choice, Offers
from contracts.connector import Connector, Feature

if TYPE_CHECKING:
    import httpx

    from contracts.login import Granted

__all__ = ["GoogleCalendar"]

_SCOPES: Final = "https://www.googleapis.com/auth/"
CALENDAR_LIST: Final = f"{_SCOPES}calendar.calendarlist.readonly"
"""Those of events do not cover the list of calendars."""


class GoogleCalendar(Connector, Offers):
    """Source: https://developers.google.com/workspace/calendar/api/auth."""

    name, channel, title = "google_calendar", "calendar", "Google Calendar"
    login: ClassVar[str] = "google"
    features: ClassVar[tuple[Feature, ...]] = (
        Feature("read", (f"{_SCOPES}calendar.events.readonly", CALENDAR_LIST)),
        Feature("write", (f"{_SCOPES}calendar.events", CALENDAR_LIST)),
    )

    def accounts(self, client: httpx.Client, granted: Granted) -> list[Choice]:
        """See `Offers.accounts`: one, with its calendars; ticked are those that it owns."""
        from connectors.google_calendar.calendars import account

        return account(client, granted)
