"""`.env.example` names every setting, and works as it is."""

import re
from pathlib import Path

import msgspec

from contracts.settings import Settings, environment, load

EXAMPLE = Path(__file__).parents[2] / ".env.example"


def test_every_setting_is_there_with_its_default() -> None:
    text = EXAMPLE.read_text()
    for setting in msgspec.structs.fields(Settings):
        assert re.search(rf"^{setting.encode_name}=", text, re.MULTILINE), setting.encode_name
    example = {name: value for name, value in environment(EXAMPLE).items() if f"\n{name}=" in text}
    assert load(Settings, example) == Settings()
