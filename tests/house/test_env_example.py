"""`.env.example` names every setting, and works as it is."""

import re
from pathlib import Path

import msgspec

from connectors.registry import LOGINS, PROVIDERS
from contracts.settings import Settings, environment, load

EXAMPLE = Path(__file__).parents[2] / ".env.example"


def test_every_setting_is_there() -> None:
    named = set(re.findall(r"^(\w+)=", EXAMPLE.read_text(), re.MULTILINE))
    kinds: list[type[msgspec.Struct]] = [
        Settings,
        *(line.settings for line in PROVIDERS),
        *(own for line in PROVIDERS if line.endpoint and (own := line.endpoint.own_settings)),
        *(line.settings for line in LOGINS.values()),
    ]
    settings = {field.encode_name for kind in kinds for field in msgspec.structs.fields(kind)}
    assert named == settings


def test_the_example_is_the_default() -> None:
    text = EXAMPLE.read_text()
    example = {name: value for name, value in environment(EXAMPLE).items() if f"\n{name}=" in text}
    assert load(Settings, example) == Settings()
