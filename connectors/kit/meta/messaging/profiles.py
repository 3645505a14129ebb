"""What Messenger and Instagram tell of a contact, in the words of either.

Sources: https://developers.facebook.com/docs/messenger-platform/identity/user-profile and
https://developers.facebook.com/docs/instagram-platform/instagram-api-with-instagram-login/messaging-api/user-profile.
"""

from typing import Any, Final

import msgspec

from contracts.errors import Retryable
from contracts.profiles import Known

OF_PAGES: Final = "first_name,last_name,profile_pic"
OF_INSTAGRAM: Final = "name,username,profile_pic"


class _Told(msgspec.Struct):
    first_name: str | None = None
    last_name: str | None = None
    name: str | None = None
    username: str | None = None
    profile_pic: str | None = None

    @property
    def full_name(self) -> str:
        parts = (self.first_name or "").strip(), (self.last_name or "").strip()
        return (self.name or "").strip() or " ".join(filter(None, parts)) or (self.username or "")


def known(told: dict[str, Any]) -> Known:
    """`{}` is an answer: nothing may be known. Raises `Retryable` for what is no profile."""
    try:
        read = msgspec.convert(told, _Told, strict=False)
    except msgspec.ValidationError:
        raise Retryable("the provider answered with something else than a profile") from None
    picture = read.profile_pic or ""
    return Known(read.full_name, picture if picture.startswith("https://") else "")
