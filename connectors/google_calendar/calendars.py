"""The account of a consent, with its calendars. It loads Google's client.

Source: https://developers.google.com/workspace/calendar/api/v3/reference/calendarList/list.
"""

from collections.abc import Iterator

import httpx
import msgspec

from connectors.google_calendar import CALENDAR_LIST
from connectors.kit.google.services import calendar, execute
from contracts.accounts import AccountPart, Choice
from contracts.errors import Retryable
from contracts.login import Granted


class _Calendar(msgspec.Struct, rename="camel"):
    id: str
    summary: str = ""
    summary_override: str | None = None
    access_role: str = ""
    primary: bool = False

    @property
    def part(self) -> AccountPart:
        """Its owner's are ticked; others', and those that Google makes, are there to be chosen."""
        name = self.summary_override or self.summary or self.id
        return AccountPart(self.id, name, chosen=self.access_role == "owner")


def account(client: httpx.Client, granted: Granted) -> list[Choice]:
    """One, by its address in lower case: the one that was granted, else the id of its first
    calendar, which is the same.
    """
    if CALENDAR_LIST not in granted.scopes:
        address = granted.email
        return [Choice(address.lower(), address, hindrance="no-scope")] if address else []
    calendars = list(_calendars(client, granted.tokens.subject))
    own = next((entry.id for entry in calendars if entry.primary), None)
    address = granted.email or own
    if address is None:
        return []
    parts = tuple(entry.part for entry in calendars)
    return [Choice(address.lower(), address, parts=parts)]


def _calendars(client: httpx.Client, limits_of: str) -> Iterator[_Calendar]:
    service, following = calendar(client), None
    while True:
        request = service.calendarList().list(pageToken=following, maxResults=250)
        page = execute(request, limits_of)
        try:
            yield from msgspec.convert(page.get("items") or [], list[_Calendar])
        except msgspec.ValidationError:
            raise Retryable("Google answered with something else than calendars") from None
        if not (following := page.get("nextPageToken")):
            return
