"""What the Cloud API takes for a message: each type's own fields, checked as the real one does.

Source: WhatsApp Cloud API, "Messages". What is wrong is error 100, 131008 or 131009.
"""

from collections.abc import Callable, Mapping

from sandbox.facebook import errors
from sandbox.fields import JsonObject
from sandbox.whatsapp.errors import CloudError
from sandbox.whatsapp.media import Media
from sandbox.whatsapp.world import Number

LONGEST_TEXT, LONGEST_CAPTION = 4_096, 1_024
MOST_BUTTONS, MOST_ROWS = 3, 10
TEMPLATES = {("hello_world", "en_US"): 0, ("order_ready", "en"): 1, ("order_ready", "uk"): 1}
"""Name and language of approved templates, and how many parameters the body has."""


class Draft:
    """A message being checked: for which number, with which files."""

    def __init__(self, number: Number, media: Media, body: JsonObject) -> None:
        self.number, self.media, self._body = number, media, body

    def text(self, name: str, longest: int | None = None, *, needed: bool = True) -> str | None:
        """Return a text of the type's object."""
        value = self._body.get(name)
        if value is None and not needed:
            return None
        if not isinstance(value, str) or (needed and not value):
            raise CloudError(131008, f"Parameter '{name}' is required.")
        if longest is not None and len(value) > longest:
            raise errors.parameter(
                f"Param text['{name}'] must be at most {longest} characters long."
            )
        return value

    def get(self, name: str) -> object:
        """Return a field of the type's object."""
        return self._body.get(name)

    def item(self, name: str) -> JsonObject:
        """Return an object of the type's object."""
        value = self._body.get(name)
        if not isinstance(value, dict):
            raise CloudError(131008, f"Parameter '{name}' is required.")
        return value


def _text(draft: Draft) -> None:
    draft.text("body", LONGEST_TEXT)


def _file(draft: Draft) -> None:
    """By the id of an upload, or by an address: one of them."""
    given, link = draft.text("id", needed=False), draft.text("link", needed=False)
    if (given is None) == (link is None):
        raise CloudError(131008, "One of id and link is required.")
    if link is not None and not link.startswith(("http://", "https://")):
        raise CloudError(131009, "Media link is not a valid URL.")
    draft.text("caption", LONGEST_CAPTION, needed=False)
    medium = None if given is None else draft.media.find(given)
    if given is not None and (medium is None or medium.number is not draft.number):
        raise CloudError(131009, f"Media ID {given} does not exist for this number.")


def _location(draft: Draft) -> None:
    for name in ("latitude", "longitude"):
        if not isinstance(draft.get(name), int | float | str):
            raise CloudError(131008, f"Parameter '{name}' is required.")


def _reaction(draft: Draft) -> None:
    draft.text("message_id")
    if not isinstance(draft.get("emoji"), str):
        raise CloudError(131008, "Parameter 'emoji' is required.")


def _interactive(draft: Draft) -> None:
    kind, action = draft.text("type"), draft.item("action")
    body = draft.item("body").get("text")
    if not isinstance(body, str) or not body or len(body) > LONGEST_CAPTION:
        raise CloudError(131009, "Body text must have 1 to 1024 characters.")
    if kind == "button":
        buttons = action.get("buttons")
        if not isinstance(buttons, list) or not 1 <= len(buttons) <= MOST_BUTTONS:
            raise CloudError(
                131009, f"Invalid buttons count. Min allowed buttons: 1, Max: {MOST_BUTTONS}"
            )
    elif kind == "list":
        sections = action.get("sections")
        rows = (
            [row for one in sections for row in one["rows"]] if isinstance(sections, list) else []
        )
        if not 1 <= len(rows) <= MOST_ROWS:
            raise CloudError(131009, f"Total row count exceed max allowed count: {MOST_ROWS}")
    elif kind != "cta_url":
        raise CloudError(131009, f"Unexpected interactive type {kind}.")


def _template(draft: Draft) -> None:
    name, code = draft.text("name") or "", str(draft.item("language").get("code"))
    if (name, code) not in TEMPLATES:
        raise CloudError(132001, f"template name ({name}) does not exist in {code}")
    given = _parameters(draft.get("components"))
    if given != (wanted := TEMPLATES[name, code]):
        raise CloudError(
            132000,
            f"body: number of localizable_params ({given}) does not match the expected number of "
            f"params ({wanted})",
        )


def _parameters(components: object) -> int:
    parts = components if isinstance(components, list) else []
    bodies = [one for one in parts if isinstance(one, dict) and one.get("type") == "body"]
    return sum(len(one.get("parameters") or ()) for one in bodies)


TYPES: Mapping[str, Callable[[Draft], None]] = {
    "text": _text,
    "image": _file,
    "audio": _file,
    "video": _file,
    "document": _file,
    "sticker": _file,
    "location": _location,
    "reaction": _reaction,
    "interactive": _interactive,
    "template": _template,
}


def check(number: Number, media: Media, kind: str, body: object) -> None:
    """Raise `GraphError` for what the Cloud API refuses; `body` is the object named as the type."""
    if kind not in TYPES and kind != "contacts":
        raise errors.parameter(f'Param type must be one of {{{", ".join(TYPES)}}} - got "{kind}".')
    if kind == "contacts":
        if not isinstance(body, list) or not body:
            raise CloudError(131008, "Parameter 'contacts' is required.")
        return
    if not isinstance(body, dict):
        raise CloudError(131008, f"Parameter '{kind}' is required.")
    TYPES[kind](Draft(number, media, body))
