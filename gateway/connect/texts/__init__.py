"""What the connect pages say, in each language: the pages' own catalogs, and each connector's."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

from connectors.registry import PROVIDERS
from contracts.connector import Connector

LANGUAGES: Final = ("en", "uk")

Table = Mapping[str, Any]


@cache
def catalog(language: str) -> Mapping[str, str]:
    """The pages' texts by name, `section.name` or `section.part.name`."""
    text = files(__package__).joinpath(f"{language}.toml").read_text(encoding="utf-8")
    return dict(_flat(tomllib.loads(text), ""))


@cache
def of_provider(provider: str, language: str) -> Table:
    """What a connector's own `connect.toml` says: of each feature `what` and `why`, and `try`:
    how to see it work.
    """
    kind = next((line.connector for line in PROVIDERS if line.connector.name == provider), None)
    return _of_connector(kind).get(language, {}) if kind is not None else {}


def _flat(table: Table, within: str) -> Iterator[tuple[str, str]]:
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{within}{name}.")
        else:
            yield f"{within}{name}", value


def _of_connector(kind: type[Connector]) -> Table:
    file = files(kind.__module__).joinpath("connect.toml")
    return tomllib.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def chosen(asked: str, known: str, accepted: str) -> str:
    """The language to speak: the one asked for on the page, else the session's, else the first of
    the browser's (`Accept-Language`, RFC 9110 §12.5.4) that we have, else English.
    """
    for language in (asked, known, *_accepted(accepted)):
        if language in LANGUAGES:
            return language
    return LANGUAGES[0]


def _accepted(header: str) -> list[str]:
    ranked = []
    for order, part in enumerate(header[:500].split(",")):
        name, _, weight = part.partition(";")
        found = re.fullmatch(r"\s*q=([01](?:\.\d{1,3})?)\s*", weight)
        quality = float(found[1]) if found else 1.0
        if quality:
            ranked.append((-quality, order, name.strip().lower().partition("-")[0]))
    return [name for _, _, name in sorted(ranked)]
