"""What a connection keeps sealed: the account's id at the provider, and a name for people."""

import msgspec

from contracts.accounts import AccountPart


class AccountDetails(msgspec.Struct, frozen=True):
    """The plain content of a connection's `sealed`: `account` is the provider's id."""

    account: str
    name: str = ""
    parts: tuple[AccountPart, ...] = ()
    """What of the account was chosen, where it has parts (calendars); empty: all."""
    business: str = ""
    """The tenant's name for people, as it was shown to who connected the account."""
    parent: str = ""
    """See `contracts.accounts.Choice.parent`."""

    @property
    def subscribed(self) -> str:
        """What is subscribed for it: the account, or what it is part of."""
        return self.parent or self.account

    @property
    def routes(self) -> tuple[str, ...]:
        """The route keys of what is delivered for it, that of what is subscribed first."""
        return (self.parent, self.account) if self.parent else (self.account,)


def encode_details(details: AccountDetails) -> bytes:
    """JSON, to be sealed under the connection's id."""
    return msgspec.json.encode(details)


def decode_details(plain: bytes) -> AccountDetails:
    """The inverse of `encode_details`. Raises `msgspec.ValidationError`."""
    return msgspec.json.decode(plain, type=AccountDetails)
