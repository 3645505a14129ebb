"""What the pages say: the same in every language, and something for every feature of a provider."""

import re

import pytest

from connectors.registry import PROVIDERS
from contracts.accounts import Offers
from contracts.connector import Connector
from gateway.connect.texts import LANGUAGES, catalog, chosen, of_provider

OFFERING = [line.connector for line in PROVIDERS if issubclass(line.connector, Offers)]
NAMES = {"business", "provider", "login", "account", "features", "name", "time"}


def _filled_in(text: str) -> list[str]:
    return sorted(re.findall(r"\{(\w*)\}", text))


@pytest.mark.parametrize("language", LANGUAGES)
def test_catalogs_have_the_same_texts_with_the_same_names(language: str) -> None:
    english, other = catalog("en"), catalog(language)
    assert other.keys() == english.keys()
    assert all(other.values())
    for key, text in english.items():
        assert set(_filled_in(text)) <= NAMES
        assert set(_filled_in(other[key])) == set(_filled_in(text)), key


def test_no_text_was_left_in_english() -> None:
    for key, text in catalog("uk").items():
        assert re.search("[\u0430-\u0457]", text), key


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("connector", OFFERING, ids=lambda kind: kind.name)
def test_every_feature_says_what_is_read_and_why(connector: type[Connector], language: str) -> None:
    said = of_provider(connector.name, language)
    for feature in connector.features:
        assert said[feature.name]["what"], feature.name
        assert "{business}" in said[feature.name]["why"], feature.name
    assert said["try"]
    assert set(said) == {"try", *(feature.name for feature in connector.features)}


@pytest.mark.parametrize(
    ("asked", "known", "accepted", "speaks"),
    [
        ("", "", "", "en"),
        ("", "", "uk-UA,uk;q=0.9,en;q=0.8", "uk"),
        ("", "", "de,en;q=0.5,uk;q=0.7", "uk"),
        ("", "", "uk;q=0, en", "en"),
        ("", "", "UK", "uk"),
        ("", "en", "uk", "en"),
        ("uk", "en", "en", "uk"),
        ("xx", "", "uk", "uk"),
        ("", "", ";;;q=,,q=9", "en"),
    ],
)
def test_the_language_is_the_one_asked_for(
    asked: str, known: str, accepted: str, speaks: str
) -> None:
    assert chosen(asked, known, accepted) == speaks
