"""What Meta tells of who writes: a name and a picture, where that is allowed.

Sources: Messenger Platform, "User Profile"; Instagram Platform, "User Profile API".
"""

from collections.abc import Callable, Sequence

from sandbox.facebook.errors import GraphError, parameter
from sandbox.fields import JsonObject

PICTURE = "https://platform-lookaside.fbsbx.com/platform/profilepic/?psid={id}&ext=1"
NamedContact = Callable[[str, str], str | None]
"""Of a Page or an account, and an id there, the name of a contact."""


def nobody(_asset: str, _contact: str) -> str | None:
    """Nobody is known yet."""
    return None


def of_page(contact: str, name: str, asked: Sequence[str], *, hidden: bool) -> JsonObject:
    """Return what a Page is told; without the right to ask that is nothing."""
    first, _, last = name.partition(" ")
    known: JsonObject = {
        "id": contact,
        "name": name,
        "first_name": first,
        "last_name": last,
        "profile_pic": PICTURE.format(id=contact),
    }
    found = _chosen(known, asked)
    return {} if hidden else found


def of_instagram(contact: str, name: str, asked: Sequence[str], *, hidden: bool) -> JsonObject:
    """Return what an account is told of who has agreed to it. Raises `GraphError` 230."""
    if hidden:
        raise GraphError("User consent is required to access user profile", 230)
    known: JsonObject = {
        "id": contact,
        "name": name,
        "username": name.lower().replace(" ", "."),
        "profile_pic": PICTURE.format(id=contact),
    }
    return _chosen(known, asked)


def _chosen(known: JsonObject, asked: Sequence[str]) -> JsonObject:
    if strange := [field for field in asked if field not in known]:
        raise parameter(f"Tried accessing nonexisting field ({strange[0]})")
    return {field: known[field] for field in (*asked, "id")}
