"""Content about contacts' profiles and calendars."""

from typing import ClassVar, Literal

from msgspec import UNSET, UnsetType

from contracts.content.parts import Content, Part, Time


class Profile(Part, frozen=True, kw_only=True):
    """What the provider lets us know of a contact."""

    id: str
    name: str | UnsetType = UNSET
    address: str | UnsetType = UNSET
    """Phone number or e-mail address."""
    picture: str | UnsetType = UNSET
    """Address of a picture, which may expire."""
    previous_id: str | UnsetType = UNSET
    """The id until now, when the provider gave the contact a new one."""


class ContactChanged(Content, frozen=True, kw_only=True):
    """A contact's profile or id changed."""

    type: ClassVar[str] = "contact.changed"
    contact: Profile


class Calendar(Part, frozen=True, kw_only=True):
    """A calendar of the connection."""

    id: str
    title: str | None = None
    time_zone: str | None = None
    """IANA name."""
    access: str | None = None


class CalendarChanged(Content, frozen=True, kw_only=True):
    """A calendar appeared, changed or vanished."""

    type: ClassVar[str] = "calendar.changed"
    change: Literal["appeared", "changed", "vanished"]
    calendar: Calendar


class Moment(Part, frozen=True, kw_only=True):
    """A point in time (`date_time`, RFC 3339) or a whole day (`date`), in `time_zone`."""

    date_time: str | UnsetType = UNSET
    date: str | UnsetType = UNSET
    time_zone: str | None = None


class Attendee(Part, frozen=True, kw_only=True):
    """Somebody invited, or the organizer."""

    address: str | None = None
    name: str | None = None
    response: str | None = None


class CalendarEvent(Part, frozen=True, kw_only=True):
    """An appointment; a changed occurrence names its series and its original start."""

    id: str
    ical_uid: str | None = None
    calendar_id: str
    title: str | None = None
    start: Moment | None = None
    end: Moment | None = None
    recurrence: tuple[str, ...] = ()
    """Lines of RFC 5545: RRULE, EXDATE …"""
    organizer: Attendee | None = None
    attendees: tuple[Attendee, ...] = ()
    status: str | None = None
    sequence: int | None = None
    updated: Time | None = None
    recurring_event_id: str | UnsetType = UNSET
    original_start: Moment | UnsetType = UNSET
    description: str | UnsetType = UNSET
    location: str | UnsetType = UNSET
    link: str | UnsetType = UNSET


class _EventContent(Content, frozen=True, kw_only=True):
    """Something happened to an appointment."""

    event: CalendarEvent


class CalendarEventCreated(_EventContent, frozen=True, kw_only=True):
    """An appointment is new."""

    type: ClassVar[str] = "calendar.event.created"


class CalendarEventUpdated(_EventContent, frozen=True, kw_only=True):
    """An appointment changed."""

    type: ClassVar[str] = "calendar.event.updated"


class CalendarEventCancelled(_EventContent, frozen=True, kw_only=True):
    """An appointment will not take place."""

    type: ClassVar[str] = "calendar.event.cancelled"
