"""Everything that WhatsApp knows of the app, in memory."""

from sandbox.facebook.state import Facebook
from sandbox.facebook.world import Grant, Person
from sandbox.fields import BadField, JsonObject
from sandbox.whatsapp.media import Media
from sandbox.whatsapp.world import PEOPLE, SCOPES, Number, Waba

FIRST = ("102290129340398", "Demo Bakery", "106540352242922", "+1 555 010 0001")
"""WABA, name, number, and how it is dialled."""


class WhatsApp:
    """WABAs, numbers and files; `reset` begins anew. Consents are Facebook's."""

    def __init__(self, facebook: Facebook) -> None:
        self.facebook, self.clock = facebook, facebook.clock
        self.media = Media(self.clock)
        self.reset()

    def reset(self) -> None:
        """One WABA with one number that nobody registered; two people may share it."""
        self.wabas: dict[str, Waba] = {}
        self.numbers: dict[str, Number] = {}
        self.media.reset()
        waba, name, number, display = FIRST
        self.add_waba(waba, name, list(self.facebook.world.people)[:2])
        self.add_number(waba, number, display, name)

    def add_waba(
        self, waba_id: str, name: str, managers: list[str], business: str | None = None
    ) -> Waba:
        """Add a WABA that `managers` may share; `business`: the portfolio that it is in."""
        people = self.facebook.world.people
        if strange := [one for one in managers if one not in people]:
            raise BadField(f"there is nobody {', '.join(strange)} at Facebook")
        made = Waba(waba_id, name, business or f"2{waba_id[1:]}", set(managers))
        self.wabas[waba_id] = made
        return made

    def add_number(
        self, waba_id: str, number_id: str, display: str, name: str, *, on_app: bool = False
    ) -> Number:
        """Add a number with the usual people."""
        if waba_id not in self.wabas:
            raise BadField(f"there is no WABA {waba_id}")
        made = Number(number_id, display, name, self.wabas[waba_id], on_app, on_app)
        for person in PEOPLE:
            made.add(*person)
        self.numbers[number_id] = made
        return made

    def number(self, number_id: str) -> Number:
        """Return a number. Raises `BadField`."""
        if number_id not in self.numbers:
            raise BadField(f"there is no number {number_id}")
        return self.numbers[number_id]

    def waba(self, waba_id: str) -> Waba:
        """Return a WABA. Raises `BadField`."""
        if waba_id not in self.wabas:
            raise BadField(f"there is no WABA {waba_id}")
        return self.wabas[waba_id]

    def numbers_of(self, waba: Waba) -> list[Number]:
        """Return the numbers of a WABA."""
        return [number for number in self.numbers.values() if number.waba is waba]

    def run_by(self, person: Person) -> list[Waba]:
        """Return the WABAs that a person may share."""
        return [waba for waba in self.wabas.values() if person.id in waba.roles]

    def share(self, waba: Waba, scopes: set[str]) -> Person:
        """Return the system user of the WABA's business, who may use it from now on.

        A business has one for each app, so that what it shares adds up.
        """
        known = self.facebook.world.systems.get(waba.business)
        user = known or Person(waba.business, f"{waba.name} (system user)", "")
        shared = user.grant.wabas if user.grant else set()
        user.grant = Grant(scopes, pages=set(), wabas=shared | {waba.id})
        user.was_connected = True
        self.facebook.world.systems[user.id] = user
        return user

    def token(self, waba_ids: list[str]) -> str:
        """Return a system user's token as an admin makes one by hand."""
        users = [self.share(self.waba(waba_id), set(SCOPES)) for waba_id in waba_ids]
        if not users or any(user is not users[0] for user in users):
            raise BadField("a system user has the WABAs of one business")
        return self.facebook.tokens.system(users[0]).value

    def state(self) -> JsonObject:
        """Return what is left at WhatsApp, for tests."""
        return {
            "wabas": [
                {"id": one.id, "name": one.name, "subscribed": one.subscribed}
                for one in self.wabas.values()
            ],
            "numbers": [_number(one) for one in self.numbers.values()],
        }


def _number(number: Number) -> JsonObject:
    return {
        "id": number.id,
        "waba": number.waba.id,
        "display": number.display,
        "name": number.name,
        "registered": number.registered,
        "on_app": number.on_app,
        "has_pin": number.pin is not None,
    }
