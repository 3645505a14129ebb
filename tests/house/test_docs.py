"""Nothing that the documents name is missing: links, files, tests, commands, settings, numbers."""

import ast
import importlib
import re
import shlex
import subprocess
import tomllib
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from typer.core import TyperGroup
from typer.main import get_command

from connectors.kit.transport.transport import Limits
from connectors.registry import LOGINS, PROVIDERS
from contracts.settings import Settings
from gateway.cli.commands import app
from scripts import error_table
from scripts.connector_table import filled

ROOT: Final = Path(__file__).parents[2]
ADRS: Final = sorted((ROOT / "docs/adr").glob("[0-9]*.md"))
ARCHITECTURE: Final = ROOT / "docs/architecture.md"
README: Final = ROOT / "README.md"

_FENCE: Final = re.compile(r"^( *)```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_CODE: Final = re.compile(r"`([^`\n]+)`")
_LINK: Final = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_FILE: Final = re.compile(r"^([\w.-]+(?:/[\w.-]+)+/?)(?:::(\w+))?$")


def _documents() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "*.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return sorted(path for name in listed.stdout.split("\0") if (path := ROOT / name).is_file())


DOCUMENTS: Final = _documents()
every_document = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
every_adr = pytest.mark.parametrize("path", ADRS, ids=lambda path: path.stem)


def _prose(path: Path) -> str:
    return _FENCE.sub("", path.read_text(encoding="utf-8"))


def _codes(path: Path) -> list[str]:
    return _CODE.findall(_prose(path))


def _blocks(path: Path, *languages: str) -> list[str]:
    found = _FENCE.findall(path.read_text(encoding="utf-8"))
    return [text for _, language, text in found if language in languages]


@cache
def _anchors(path: Path) -> set[str]:
    """What a heading is called in a link: lower case, no punctuation, hyphens for spaces."""
    headings = re.findall(r"^#+ (.+)$", _prose(path), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in plain}


@every_document
def test_links_lead_somewhere(path: Path) -> None:
    dead = []
    for link in _LINK.findall(_prose(path)):
        address, _, anchor = link.partition("#")
        if "://" in address:
            continue
        target = (path.parent / address).resolve() if address else path
        if not target.exists() or (anchor and anchor not in _anchors(target)):
            dead.append(link)
    assert dead == []


@every_document
def test_files_and_tests_that_are_named_exist(path: Path) -> None:
    first = {entry.name for entry in ROOT.iterdir()} - {"var"}
    missing = []
    for code in _codes(path):
        named = _FILE.match(code)
        if named is None or named[1].split("/")[0] not in first:
            continue
        file = ROOT / named[1]
        if not file.exists() or (named[2] and named[2] not in _functions(file)):
            missing.append(code)
    assert missing == []


@cache
def _functions(file: Path) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    return {node.name for node in ast.walk(tree) if isinstance(node, kinds)}


# -- commands -----------------------------------------------------------------------------------


def _commands(path: Path) -> list[list[str]]:
    """The words of each `gateway …` in code, up to a pipe or a comment."""
    lines = [
        line for block in _blocks(path, "sh", "bash", "console") for line in block.splitlines()
    ]
    texts = [line.strip().removeprefix("$ ") for line in lines] + _codes(path)
    called = (text for text in texts if re.match(r"(\.venv/bin/)?gateway [a-z-]", text))
    return [shlex.split(text.partition(" | ")[0], comments=True)[1:] for text in called]


def _unknown(words: list[str]) -> str | None:
    """The first word that is no command or option; None when all of them exist."""
    command: Any = get_command(app)
    for word in words:
        if word.startswith("--"):
            names = {name for option in command.params for name in option.opts}
            names |= {name for option in command.params for name in option.secondary_opts}
            if word.partition("=")[0] not in names and not command.ignore_unknown_options:
                return word
        elif isinstance(command, TyperGroup):
            alternatives = [word.split("|")[0]] if "|" not in word else word.split("|")
            if any(name not in command.commands for name in alternatives):
                return word
            command = command.commands[alternatives[0]]
    return None


@every_document
def test_commands_exist(path: Path) -> None:
    unknown = {" ".join(words): _unknown(words) for words in _commands(path)}
    assert {words: word for words, word in unknown.items() if word} == {}


def test_the_readme_names_every_command() -> None:
    groups = get_command(app)
    assert isinstance(groups, TyperGroup)
    every = {
        f"{name} {inner}".strip()
        for name, command in groups.commands.items()
        for inner in (command.commands if isinstance(command, TyperGroup) else [""])
    }
    named = {" ".join(w for w in words if not w.startswith("-")) for words in _commands(README)}
    assert {
        name for name in every if not any(f"{x} ".startswith(f"{name} ") for x in named)
    } == set()


@every_document
def test_make_targets_exist(path: Path) -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    texts = [*_codes(path), *"\n".join(_blocks(path, "sh", "bash")).splitlines()]
    asked = {found[1] for text in texts if (found := re.match(r"make (\w+)", text))}
    assert asked - targets == set()


# -- tables that are made from the code ---------------------------------------------------------


def test_the_table_of_metas_errors_is_the_codes() -> None:
    text = error_table.PAGE.read_text(encoding="utf-8")
    assert error_table.filled(text) == text, "scripts/error_table.py --write"


def test_the_connector_table_is_the_registrys() -> None:
    text = README.read_text(encoding="utf-8")
    assert filled(text) == text, "scripts/connector_table.py --write"


def test_the_settings_table_is_the_codes() -> None:
    rows = re.findall(r"^\| `([A-Z_]+)` \| (.+?) \|", README.read_text(), re.MULTILINE)
    kinds: list[type[msgspec.Struct]] = [
        Settings,
        *(line.settings for line in PROVIDERS),
        *(own for line in PROVIDERS if line.endpoint and (own := line.endpoint.own_settings)),
        *(line.settings for line in LOGINS.values()),
    ]
    fields = {f.encode_name: f for kind in kinds for f in msgspec.structs.fields(kind)}
    assert [name for name, _ in rows] == list(dict.fromkeys(name for name, _ in rows))
    assert {name for name, _ in rows} == set(fields)
    for name, default in rows:
        assert (default == "**required**") == fields[name].required, name
        if not fields[name].required and fields[name].default is not None:
            assert default == f"`{_plain(fields[name].default)}`", name


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def test_boxes_are_packages() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (diagram,) = _blocks(ARCHITECTURE, "mermaid")
    boxes = dict(re.findall(r"^ +(\w+)\[\"(\w+)<br>", diagram, re.MULTILINE))
    assert set(boxes) == set(contracts["root_packages"])
    assert all(box == title for box, title in boxes.items())
    assert set(re.findall(r"^\| `([a-z-]+)` \|", ARCHITECTURE.read_text(), re.MULTILINE)) == {
        contract["id"] for contract in contracts["contracts"]
    }


def test_arrows_go_down_the_layers() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (layers,) = (c["layers"] for c in contracts["contracts"] if c["type"] == "layers")
    depth = {name: n for n, names in enumerate(layers) for name in names.split(" | ")}
    (diagram,) = _blocks(ARCHITECTURE, "mermaid")
    arrows = re.findall(r"^ +(\w+) -(?:- \"[^\"]+\" -)?-> (\w+)", diagram, re.MULTILINE)
    assert arrows
    assert [arrow for arrow in arrows if depth[arrow[0]] >= depth[arrow[1]]] == []


def test_numbers_are_the_codes() -> None:
    rows = re.findall(
        r"^\| [^|]+ \| ([\d.,]+)(?: \w+)? \| `([\w.]+)\.([A-Z_]+)` \|$",
        ARCHITECTURE.read_text(),
        re.MULTILINE,
    )
    assert len(rows) > 20
    code = [getattr(importlib.import_module(module), name) for _, module, name in rows]
    assert [float(said.replace(",", "")) for said, _, _ in rows] == [float(v) for v in code]


def test_limits_of_calls_out_are_the_codes() -> None:
    rows = re.findall(
        r"^\| [^|]+ \| ([\d,]+)(?: \w+)? \| `Limits\.(\w+)` \|$",
        (ROOT / "docs/security.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    said = {name: float(number.replace(",", "")) for number, name in rows}
    assert said == msgspec.structs.asdict(Limits())


# -- decisions ----------------------------------------------------------------------------------


def test_every_decision_is_listed_once_and_in_order() -> None:
    index = (ROOT / "docs/adr/README.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| (\d+) \| \[([^\]]+)\]\(([^)]+)\)", index, re.MULTILINE)
    assert [name for _, _, name in listed] == [path.name for path in ADRS]
    for number, title, name in listed:
        first = (ROOT / "docs/adr" / name).read_text(encoding="utf-8").partition("\n")[0]
        assert (first, name[:4]) == (f"# {number}. {title}", f"{int(number):04d}")
    assert [int(number) for number, _, _ in listed] == list(range(1, len(ADRS) + 1))


@every_adr
def test_a_decision_says_what_enforces_it(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for section in ("## Context", "## Decision", "## Considered", "## Consequences"):
        assert f"\n{section}\n" in text
    assert re.search(r"enforced by", text, re.IGNORECASE)
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    rules = {f"`{contract['id']}`" for contract in contracts["contracts"]}
    enforced = re.split(r"enforced by", text, maxsplit=1, flags=re.IGNORECASE)[1]
    assert "test_" in enforced or any(rule in enforced for rule in rules)
