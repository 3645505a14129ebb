"""Who is on Facebook: people, the Pages they run, what they have granted to the app."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sandbox.facebook.fields import PERMISSION_OF, PERMISSIONS

if TYPE_CHECKING:
    from sandbox.facebook.leads import Lead

TASKS = ("ADVERTISE", "ANALYZE", "CREATE_CONTENT", "MESSAGING", "MODERATE", "MANAGE")
"""The tasks that Graph reports of a person's role on a Page."""


@dataclass
class Page:
    """A Page and the app's subscription to it.

    `business_owned`: it belongs to a business portfolio, so that `/me/accounts` may not list it.
    `always_on`: its webhooks go out although nobody subscribed, until somebody does.
    """

    id: str
    name: str
    business_owned: bool = False
    always_on: bool = True
    instagram: str | None = None
    roles: dict[str, tuple[str, ...]] = field(default_factory=dict)
    subscribed: tuple[str, ...] = ()
    was_subscribed: bool = False

    def may(self, person: "Person", task: str) -> bool:
        """Whether the person's role on the Page has the task."""
        return task in self.roles.get(person.id, ())

    def subscribe(self, fields: tuple[str, ...]) -> None:
        """Replace the subscribed fields; from now on they alone decide."""
        self.subscribed, self.was_subscribed = fields, True


@dataclass
class Grant:
    """What a person allowed the app; `pages` None: all Pages, present and future. `wabas`: what a
    system user has of WhatsApp.
    """

    granted: set[str]
    declined: set[str] = field(default_factory=set)
    pages: set[str] | None = None
    wabas: set[str] = field(default_factory=set)

    def covers(self, page: Page) -> bool:
        """Whether the Page is among those that the person chose."""
        return self.pages is None or page.id in self.pages


@dataclass
class Person:
    """Somebody with a Facebook account; the id is scoped to the app."""

    id: str
    name: str
    email: str
    grant: Grant | None = None
    was_connected: bool = False

    def allows(self, permission: str) -> bool:
        """Whether the permission is granted to the app now."""
        return self.grant is not None and permission in self.grant.granted

    def runs(self, page: Page) -> bool:
        """Whether the app may act on the Page for this person: a role, and a grant for it."""
        return self.id in page.roles and self.grant is not None and self.grant.covers(page)


@dataclass
class World:
    """People, Pages and leads by id."""

    people: dict[str, Person] = field(default_factory=dict)
    pages: dict[str, Page] = field(default_factory=dict)
    leads: dict[str, "Lead"] = field(default_factory=dict)
    systems: dict[str, Person] = field(default_factory=dict)
    """System users: a business has one for the app, and nobody logs in as it."""

    def anybody(self, person_id: str) -> Person | None:
        """Return the person, or the system user, of an id."""
        return self.people.get(person_id) or self.systems.get(person_id)

    def run_by(self, person: Person) -> list[Page]:
        """Return the Pages on which a person has a role."""
        return [page for page in self.pages.values() if person.id in page.roles]

    def of_instagram(self, account: str) -> Page | None:
        """Return the Page to which an Instagram account is linked."""
        pages = self.pages.values()
        return next((page for page in pages if page.instagram == account), None)

    def why_silent(self, page: Page, fieldname: str | None) -> str | None:
        """Return why a webhook of this field does not go out, or None if it does.

        `fieldname` None: any subscription will do.
        """
        if page.always_on and not page.was_subscribed:
            return None
        if not page.subscribed or (fieldname is not None and fieldname not in page.subscribed):
            return f"the app is not subscribed to {fieldname or 'this Page'}"
        needed = PERMISSION_OF.get(fieldname or "", PERMISSIONS[0])
        if not any(who.runs(page) and who.allows(needed) for who in self.people.values()):
            return f"nobody with a role on the Page grants {needed} any more"
        return None
