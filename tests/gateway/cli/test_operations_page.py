"""`docs/operations.md` names commands and findings that exist."""

import re
from pathlib import Path

import pytest

from gateway.cli.doctor import CHECKS
from tests.gateway.cli.conftest import Gateway

PAGE = (Path(__file__).parents[3] / "docs" / "operations.md").read_text(encoding="utf-8")
COMMANDS = sorted(
    set(re.findall(r"^gateway [a-z ]+[a-z]|`gateway [a-z ]+[a-z]", PAGE, re.MULTILINE))
)


@pytest.mark.parametrize("written", COMMANDS)
def test_every_command_exists(gateway: Gateway, written: str) -> None:
    words = written.lstrip("`").split()[1:]
    ran = gateway(*words, "--help")
    assert ran.code == 0, ran.err


def test_every_check_is_explained() -> None:
    table = PAGE.partition("## `gateway check`")[2].partition("\n## ")[0]
    assert [name for name, _ in CHECKS if name not in table] == []
