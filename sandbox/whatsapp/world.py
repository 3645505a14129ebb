"""Business accounts (WABAs), their phone numbers, and the people who write to them."""

import hashlib
import re
from collections import deque
from dataclasses import dataclass, field

from sandbox.fields import BadField
from sandbox.people import CONTACTS_KEPT, Contact, Conversation

MESSAGING, MANAGEMENT = "whatsapp_business_messaging", "whatsapp_business_management"
SCOPES = (MANAGEMENT, MESSAGING)

WINDOW_S = 86_400
"""How long after a person's last message a business may write whatever it likes."""
TRIES_KEPT = 10
TRIES_WITHIN_S = 72 * 3_600
"""A number may be registered so many times in so long; then 133016."""

PEOPLE = (
    ("Anna Schmidt", "491701234567", ""),
    ("Олена Коваленко", "380501234567", ""),
    ("Zoë 🌻 Martin", "", "zoe.martin"),
    ("Marco Rossi", "393331234567", "marco.rossi"),
    ("Amara Okafor", "2348012345678", ""),
)
"""Name, phone number, user name: who has a user name may keep the number to themselves."""


@dataclass
class Person(Contact):
    """Somebody with WhatsApp. `psid` is the sandbox's own name: the wa_id, or without one the
    BSUID. `heard_at`: when they last wrote, in seconds of the sandbox's clock; None: never.
    """

    wa_id: str | None = None
    bsuid: str = ""
    username: str | None = None
    heard_at: int | None = None

    def is_open(self, now: int) -> bool:
        """Whether the business may write freely."""
        return self.heard_at is not None and now - self.heard_at < WINDOW_S


@dataclass
class Number:
    """A business phone number. `on_app`: it lives in the WhatsApp Business app as well; `pin`: of
    its two-step verification, None where there is none; `tried_at`: registrations.
    """

    id: str
    display: str
    name: str
    waba: "Waba"
    registered: bool = False
    on_app: bool = False
    pin: str | None = None
    tried_at: deque[int] = field(default_factory=lambda: deque(maxlen=TRIES_KEPT))
    people: dict[str, Person] = field(default_factory=dict)

    @property
    def digits(self) -> str:
        """As webhooks write it."""
        return re.sub(r"\D", "", self.display)

    def person(self, key: str) -> Person:
        """Who goes by a wa_id or a BSUID; a phone number that is new becomes somebody."""
        for known in self.people.values():
            if key in (known.psid, known.wa_id, known.bsuid):
                return known
        if not (key.isascii() and key.isdecimal() and len(key) <= 20):
            raise BadField("nobody has this BSUID, and it is no phone number")
        return self.add(f"Person {key[-4:]}", key, "")

    def find(self, key: str) -> Person | None:
        """Who goes by a wa_id or a BSUID, or nobody."""
        every = self.people.values()
        return next((one for one in every if key in (one.wa_id, one.bsuid)), None)

    def recipient(self, key: str) -> Person:
        """To whom something is sent; who is not among the people has no WhatsApp."""
        known = self.find(key)
        if known is not None:
            return known
        is_phone = key.isascii() and key.isdecimal()
        return Person(key, key, Conversation(), *((key, "") if is_phone else (None, key)))

    def add(self, name: str, wa_id: str, username: str) -> Person:
        """Add somebody: with a number, a user name, or both."""
        bsuid = bsuid_for(self.waba.id, wa_id or username)
        made = Person(
            wa_id or bsuid,
            name,
            Conversation(),
            wa_id or None,
            bsuid,
            username or None,
        )
        if len(self.people) >= CONTACTS_KEPT:
            del self.people[next(iter(self.people))]
        self.people[made.psid] = made
        return made


@dataclass
class Waba:
    """A WhatsApp Business Account. `roles`: people who may share it in the signup."""

    id: str
    name: str
    business: str
    roles: set[str] = field(default_factory=set)
    subscribed: bool = False
    override: tuple[str, str] | None = None
    """A callback URL of its own, with its verify token; the sandbox posts to the app's."""

    def why_silent(self) -> str | None:
        """Return why its webhooks do not go out, or None if they do."""
        return None if self.subscribed else "the app is not subscribed to this WABA"


def bsuid_for(waba: str, person: str) -> str:
    """Return a business-scoped user id: a country, a dot, digits."""
    digest = hashlib.sha256(f"{waba}/{person}".encode("utf-8", "surrogatepass")).digest()
    country = {"4": "DE", "3": "UA", "2": "NG"}.get(person[:1], "US")
    return f"{country}.{10**14 + int.from_bytes(digest[:8], 'big') % (9 * 10**14)}"
