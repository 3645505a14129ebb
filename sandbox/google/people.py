"""Google accounts and their calendars."""

from dataclasses import dataclass
from typing import Literal

Role = Literal["owner", "writer", "reader", "freeBusyReader"]

ROLES: tuple[Role, ...] = ("freeBusyReader", "reader", "writer", "owner")
"""What somebody may do in a calendar, the least first."""

HOLIDAYS = "uk.ukrainian#holiday@group.v.calendar.google.com"


@dataclass(frozen=True)
class Calendar:
    """A calendar as one person has it in their list."""

    id: str
    title: str
    role: Role
    primary: bool = False
    zone: str = "Europe/Kyiv"


@dataclass(frozen=True)
class Person:
    """A Google account; `sub` never changes, the address may."""

    sub: str
    email: str
    name: str
    calendars: tuple[Calendar, ...]


def person(sub: str, email: str, name: str) -> Person:
    """Return a person with calendars of every kind: own, shared, read-only, holidays."""
    calendars = (
        Calendar(email, name, "owner", primary=True),
        Calendar("c_team@group.calendar.google.com", "Team", "writer"),
        Calendar("c_rooms@group.calendar.google.com", "Meeting rooms", "reader"),
        Calendar(HOLIDAYS, "Свята України", "reader"),
    )
    return Person(sub, email, name, calendars)


PEOPLE = (
    person("108000000000000000001", "olena@example.com", "Olena Kovalenko"),
    person("108000000000000000002", "marco@example.com", "Marco Rossi"),
    person("108000000000000000003", "amara@example.com", "Amara Okafor"),
)
