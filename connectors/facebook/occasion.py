"""Who, where and when of one update, and the content that follows from it."""

from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from connectors.kit.shape import Misshapen, moment
from contracts import content
from contracts.connector import Account, Event


class Occasion(msgspec.Struct, frozen=True):
    """One update of `kind`; ids are the provider's, `page` is the Page's."""

    account: Account
    page: str
    sender: str | None
    recipient: str | None
    ms: int
    """The provider's time in milliseconds since 1970."""
    kind: str
    standby: bool | UnsetType = UNSET
    app_id: str | None = None
    """Our own app."""

    @property
    def at(self) -> datetime:
        return moment(self.ms)

    @property
    def user(self) -> str:
        """The contact: whoever is not the Page. Raises `Misshapen` where nobody is named."""
        user = self.recipient if self.sender == self.page else self.sender
        if not user:
            raise Misshapen("no sender")
        return user

    def key(self, *parts: object) -> str:
        return ":".join((self.kind, *map(str, parts)))

    def from_contact(self, user: str) -> dict[str, Any]:
        """The fields of a `Talk` in which the contact acts."""
        return {
            "conversation": self.account.conversation(user),
            "sender": content.contact(user),
            "to": (content.business(self.page),),
            "standby": self.standby,
        }

    def from_page(self, user: str) -> dict[str, Any]:
        """The fields of a `Talk` in which the Page acts."""
        return {
            "conversation": self.account.conversation(user),
            "sender": content.business(self.page),
            "to": (content.contact(user),),
            "standby": self.standby,
        }

    def event(self, data: content.Content, key: str, user: str | None) -> Event:
        return Event(content=data, key=key, at=self.at, contact=user)
