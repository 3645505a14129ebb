"""Who, where and when of one happening, and the parts of content that follow from it."""

from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from connectors.kit.shape import Id, Misshapen, Number, milliseconds, moment
from connectors.whatsapp import shapes
from contracts import content
from contracts.connector import Account, Event

_LONGEST_NUMBER: Final = 15
"""Digits of a phone number, by E.164."""


class Person(msgspec.Struct, frozen=True):
    """A contact. `id` is the one in the business's portfolio (BSUID) where it is told, since phone
    numbers change and may be withheld; else the phone number.
    """

    id: str
    phone: str | None = None
    name: str | None = None
    username: str | None = None

    @property
    def participant(self) -> content.Participant:
        return content.contact(self.id, self.name, address_of(self.phone), self.username or UNSET)


class Told(msgspec.Struct, frozen=True):
    """What a change says of all its happenings: contacts, the business's own phone number, and the
    time that counts where a happening has none. `alone`: it has one happening only.
    """

    contacts: tuple[shapes.Contact, ...] = ()
    number: str = ""
    time: Number | None = None
    alone: bool = False

    def person(self, user_id: Id | None, phone: Id | None) -> Person:
        """Raises `Misshapen` where nobody is named."""
        found = self._contact(user_id, phone) or shapes.Contact()
        id_, known = user_id or found.user_id, phone or found.wa_id
        profile = found.profile or shapes.Profile()
        if not id_ and not known:
            raise Misshapen("nobody is named")
        return Person(
            id=str(id_ or known),
            phone=str(known) if known else None,
            name=profile.name or None,
            username=profile.username or None,
        )

    def _contact(self, user_id: Id | None, phone: Id | None) -> shapes.Contact | None:
        """Whom the change tells of by either id. A phone number and the `wa_id` of the same person
        may differ; of one happening and one contact there is no doubt.
        """
        for one in self.contacts:
            if user_id and one.user_id:
                if str(one.user_id) == str(user_id):
                    return one
            elif phone and one.wa_id and str(one.wa_id) == str(phone):
                return one
        if self.alone and len(self.contacts) == 1:
            (one,) = self.contacts
            if not (user_id and one.user_id):
                return one
        return None


class Occasion(msgspec.Struct, frozen=True):
    """One happening; ids are the provider's."""

    account: Account
    business: str
    """The phone number's id, or the account's."""
    kind: str
    raw: bytes
    told: Told
    outgoing: bool = False
    """The business acts."""
    via: str | UnsetType = UNSET
    """What it acts by."""
    past: bool = False
    """It is of the time before the account was connected."""

    def ms(self, timestamp: Number | None) -> int:
        """Milliseconds since 1970. Raises `Misshapen`."""
        time = self.told.time if timestamp is None else timestamp
        if time is None:
            raise Misshapen("no timestamp")
        return milliseconds(time)

    def sender(self, it: shapes.Message) -> Person:
        """The contact of a message, whoever wrote it."""
        if self.outgoing:
            return self.told.person(it.to_user_id, it.to)
        return self.told.person(it.from_user_id, it.sender)

    def thread(self, person: Person, group: Id | None = None) -> content.Conversation:
        """That of a group is all its members'; its thread is none that a contact's id can be."""
        if not group:
            return self.account.conversation(person.id)
        thread = self.account.conversation(f"group:{group}")
        return msgspec.structs.replace(thread, kind="group")

    def talk(self, person: Person, group: Id | None = None) -> dict[str, Any]:
        """The fields of a `Talk` between the business and `person`."""
        business = content.business(self.business)
        sender, to = person.participant, business
        if self.outgoing:
            sender, to = to, sender
        return {"conversation": self.thread(person, group), "sender": sender, "to": (to,)}

    def event(
        self, data: content.Content, key: str, timestamp: Number | None, contact: str | None
    ) -> Event:
        """Raises `Misshapen` for a time that is none."""
        return Event(content=data, key=key, at=moment(self.ms(timestamp)), contact=contact)


def address_of(phone: Id | None) -> str | None:
    """A phone number as people write it, with its plus."""
    digits = str(phone or "").removeprefix("+")
    if digits.isascii() and digits.isdigit() and len(digits) <= _LONGEST_NUMBER:
        return f"+{digits}"
    return None
