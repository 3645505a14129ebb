"""Reading the fields of a request strictly: what is wrong or unknown is said, not guessed."""

from collections.abc import Mapping, Sequence

JsonObject = dict[str, object]


class BadField(ValueError):
    """A field of a request is missing, of the wrong type, or unknown."""


def present(**fields: object) -> JsonObject:
    """Return the fields that are not None, in the order given."""
    return {name: value for name, value in fields.items() if value is not None}


class Fields:
    """A JSON object read field by field; `finish` refuses what nobody asked for."""

    def __init__(self, given: Mapping[str, object]) -> None:
        self._left = dict(given)

    def optional_text(self, name: str) -> str | None:
        """Return a string, or None where it is absent or null."""
        value = self._left.pop(name, None)
        if value is None or isinstance(value, str):
            return value
        raise BadField(f"{name} must be a string")

    def text(self, name: str, default: str | None = None) -> str:
        """Return a string; without a default it must be there."""
        value = self.optional_text(name)
        if value is None:
            value = default
        if value is None:
            raise BadField(f"{name} is needed")
        return value

    def choice(self, name: str, choices: Sequence[str], default: str | None = None) -> str:
        """Return one of `choices`."""
        value = self.text(name, choices[0] if default is None else default)
        if value not in choices:
            raise BadField(f"{name} must be one of {', '.join(choices)}")
        return value

    def optional_integer(self, name: str, least: int = 0, most: int = 2**63 - 1) -> int | None:
        """Return an integer within the bounds, or None where it is absent or null."""
        value = self._left.pop(name, None)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise BadField(f"{name} must be an integer from {least} to {most}")
        return value

    def integer(self, name: str, default: int, least: int = 0, most: int = 2**63 - 1) -> int:
        """Return an integer within the bounds, or the default."""
        value = self.optional_integer(name, least, most)
        return default if value is None else value

    def number(self, name: str, default: float) -> float:
        """Return a number, whole or not, or the default."""
        value = self._left.pop(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise BadField(f"{name} must be a number")
        return value

    def flag(self, name: str) -> bool:
        """Return a boolean; absent is false."""
        value = self._left.pop(name, False)
        if not isinstance(value, bool):
            raise BadField(f"{name} must be true or false")
        return value

    def optional_object(self, name: str) -> JsonObject | None:
        """Return an object, or None where it is absent or null."""
        value = self._left.pop(name, None)
        if value is None or isinstance(value, dict):
            return value
        raise BadField(f"{name} must be an object")

    def optional_objects(self, name: str) -> list[JsonObject] | None:
        """Return a list of objects, or None where it is absent or null."""
        value = self._left.pop(name, None)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise BadField(f"{name} must be a list of objects")
        return value

    def optional_texts(self, name: str) -> list[str] | None:
        """Return a list of strings, or None where it is absent or null."""
        value = self._left.pop(name, None)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise BadField(f"{name} must be a list of strings")
        return value

    def has(self, name: str) -> bool:
        """Return whether the field was given and not read yet."""
        return name in self._left

    def finish(self) -> None:
        """Raise BadField if a field was given that nobody read."""
        if self._left:
            raise BadField(f"unknown: {', '.join(sorted(self._left))}")
