"""Who, where and when of one update, and the content that follows from it."""

from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from connectors.kit.shape import Id, Misshapen, moment
from contracts import content
from contracts.connector import Account, Event
from contracts.media import Media


class Occasion(msgspec.Struct, frozen=True):
    """One update of `kind`; ids are the provider's."""

    account: Account
    business: str
    """The tenant's own account: a Page, an Instagram account."""
    sender: str | None
    recipient: str | None
    ms: int
    """The provider's time in milliseconds since 1970."""
    kind: str
    standby: bool | UnsetType = UNSET
    apps: frozenset[str] = frozenset()
    """Ids of our own apps."""

    @property
    def at(self) -> datetime:
        return moment(self.ms)

    @property
    def from_business(self) -> bool:
        return self.sender == self.business

    @property
    def user(self) -> str:
        """The contact: whoever is not the business. Raises `Misshapen` where nobody is named."""
        user = self.recipient if self.from_business else self.sender
        if not user:
            raise Misshapen("no sender")
        return user

    def key(self, *parts: object) -> str:
        return ":".join((self.kind, *map(str, parts)))

    def by_contact(self, user: str) -> dict[str, Any]:
        """The fields of a `Talk` in which the contact acts."""
        return {
            "conversation": self.account.conversation(user),
            "sender": content.contact(user),
            "to": (content.business(self.business),),
            "standby": self.standby,
        }

    def by_business(self, user: str) -> dict[str, Any]:
        """The fields of a `Talk` in which the business acts."""
        return {
            "conversation": self.account.conversation(user),
            "sender": content.business(self.business),
            "to": (content.contact(user),),
            "standby": self.standby,
        }

    def by_sender(self, user: str) -> dict[str, Any]:
        """The fields of a `Talk` in which whoever is named as sender acts."""
        return self.by_business(user) if self.from_business else self.by_contact(user)

    def under(self, post: Id) -> content.Conversation:
        """The conversation of all comments of a post; its thread is none that a contact's id can
        be.
        """
        thread = self.account.conversation(f"post:{post}")
        return msgspec.structs.replace(thread, kind="comments")

    def event(
        self, data: content.Content, key: str, user: str | None, media: tuple[Media, ...] = ()
    ) -> Event:
        return Event(content=data, key=key, at=self.at, contact=user, media=media)
