"""Everything that Facebook knows of the app, in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sandbox.facebook.fields import DEFAULT_SCOPES
from sandbox.facebook.tokens import Tokens
from sandbox.facebook.world import TASKS, Grant, Page, Person, World
from sandbox.fields import BadField, JsonObject
from sandbox.oauth.apps import App
from sandbox.oauth.clock import Clock
from sandbox.oauth.codes import Codes
from sandbox.profiles import NamedContact, nobody

CODE_LIFE_S = 600
SIGNUP_CODE_LIFE_S = 30
PEOPLE = (
    ("100000000000001", "Olena Kovalenko", "olena@example.com"),
    ("100000000000002", "Marco Rossi", "marco@example.com"),
    ("100000000000003", "Amara Okafor", "amara@example.com"),
)
"""The first runs every Page of the settings, the second the first of them too."""
FIRST_ACCOUNT = "17841400000000001"
"""The Instagram account that is linked to the first Page."""
AGENT_TASKS = ("ANALYZE", "CREATE_CONTENT", "MESSAGING", "MODERATE")


@dataclass(frozen=True)
class Consent:
    """Whose consent a code stands for: a person's, or a system user's."""

    person: Person
    is_system: bool = False


class Facebook:
    """The app at Meta, its people and Pages, its tokens; `reset` begins anew."""

    def __init__(
        self,
        app: App,
        clock: Clock,
        pages: Mapping[str, str],
        configurations: Mapping[str, Sequence[str]],
    ) -> None:
        self.app, self.clock = app, clock
        self.configurations = configurations
        self._pages = pages
        self.contact_name: NamedContact = nobody
        self.reset()

    def reset(self) -> None:
        """Nobody has granted anything; the Pages are those of the settings."""
        self.require_proof, self.profiles_hidden = False, False
        self.tokens = Tokens(self.clock, self.app.id)
        self.codes = Codes[Consent](self.clock, CODE_LIFE_S)
        self.signup_codes = Codes[Consent](self.clock, SIGNUP_CODE_LIFE_S)
        """Of Embedded Signup; these are for no redirect address."""
        self.world = World({one: Person(one, name, email) for one, name, email in PEOPLE})
        _, second, _ = self.world.people
        for page_id, name in self._pages.items():
            self.add_page(page_id, name)
        for page in list(self.world.pages.values())[:1]:
            page.roles[second], page.instagram = AGENT_TASKS, FIRST_ACCOUNT

    def add_page(
        self,
        page_id: str,
        name: str,
        managers: Sequence[str] | None = None,
        *,
        business_owned: bool = False,
        dormant: bool = False,
        instagram: str | None = None,
    ) -> Page:
        """Add a Page, or rename one that is there; the first person runs it, or `managers` do.

        `dormant`: its webhooks wait for a subscription.
        """
        if page_id in self.world.pages:
            self.world.pages[page_id].name = name
            return self.world.pages[page_id]
        runs = list(self.world.people)[:1] if managers is None else managers
        if strange := [one for one in runs if one not in self.world.people]:
            raise BadField(f"there is nobody {', '.join(strange)} at Facebook")
        roles: dict[str, tuple[str, ...]] = dict.fromkeys(runs, TASKS)
        page = Page(page_id, name, business_owned, not dormant, instagram, roles)
        self.world.pages[page_id] = page
        return page

    def scopes_of(self, config_id: str) -> Sequence[str]:
        """Return what a Configuration asks for."""
        return self.configurations.get(config_id, DEFAULT_SCOPES)

    def consent(
        self, person: Person, granted: set[str], declined: set[str], pages: set[str] | None
    ) -> Consent:
        """Record what a person chose; earlier choices about other permissions stay."""
        earlier = person.grant or Grant(set())
        person.grant = Grant(
            (earlier.granted | granted) - declined,
            (earlier.declined | declined) - granted,
            pages,
        )
        person.was_connected = True
        return Consent(person)

    def codes_for(self, code: str) -> Codes[Consent]:
        """Return the codes among which `code` is."""
        return self.signup_codes if self.signup_codes.knows(code) else self.codes

    def revoke(self, person: Person, permission: str | None = None) -> None:
        """Take back one permission, or everything: then the app is removed, and tokens die."""
        if person.grant is None:
            return
        if permission is None:
            person.grant = None
            self.tokens.end(person, 458)
        elif permission in person.grant.granted:
            person.grant.granted.remove(permission)
            person.grant.declined.add(permission)

    def state(self) -> JsonObject:
        """Return what is left at Facebook, for tests and the control page."""
        pages = self.world.pages.values()
        return {
            "live_tokens": self.tokens.live(),
            "waiting_codes": self.codes.waiting() + self.signup_codes.waiting(),
            "subscriptions": {page.id: list(page.subscribed) for page in pages if page.subscribed},
            "people": [self._person(person) for person in self.world.people.values()],
            "pages": [self._page(page) for page in pages],
        }

    def _person(self, person: Person) -> JsonObject:
        grant = person.grant
        return {
            "id": person.id,
            "name": person.name,
            "connected": grant is not None,
            "was_connected": person.was_connected,
            "granted": sorted(grant.granted) if grant else [],
            "declined": sorted(grant.declined) if grant else [],
            "live_tokens": self.tokens.live(person),
        }

    def _page(self, page: Page) -> JsonObject:
        return {
            "id": page.id,
            "name": page.name,
            "business_owned": page.business_owned,
            "always_on": page.always_on,
            "instagram": page.instagram,
            "subscribed": list(page.subscribed),
            "roles": {person: list(tasks) for person, tasks in page.roles.items()},
        }
