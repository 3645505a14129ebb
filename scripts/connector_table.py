"""The connector table of the README, made from the registry: `--check` it, or `--write` it."""

import sys
from pathlib import Path
from typing import Final

from connectors.registry import PROVIDERS
from contracts.connector import Connector, Receives

README: Final = Path(__file__).parents[1] / "README.md"
BEGIN: Final = "<!-- connectors:begin · made by scripts/connector_table.py -->\n"
END: Final = "<!-- connectors:end -->\n"
_HEAD: Final = (
    "| provider | channel | features and their scopes | message types |\n|---|---|---|---|\n"
)


def table() -> str:
    """A row per connector of the registry, in Markdown."""
    return _HEAD + "".join(_row(provider.connector) for provider in PROVIDERS)


def filled(text: str) -> str:
    """`text` with what stands between the markers made anew. Raises `ValueError` without them."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError("the README has lost its markers")
    return before + begin + table() + end + after


def main(arguments: list[str]) -> int:
    """Returns the exit code: 1 when the README is behind the registry, 2 for wrong usage."""
    if arguments not in (["--check"], ["--write"]):
        print("usage: connector_table.py --check | --write", file=sys.stderr)
        return 2
    text = README.read_text(encoding="utf-8")
    made = filled(text)
    if arguments == ["--write"]:
        README.write_text(made, encoding="utf-8")
    elif made != text:
        print("README.md is behind the registry: connector_table.py --write", file=sys.stderr)
        return 1
    return 0


def _row(connector: type[Connector]) -> str:
    features = "<br>".join(
        f"{feature.name}: {', '.join(f'`{scope}`' for scope in feature.scopes)}"
        for feature in connector.features
    )
    emits = connector.emits if issubclass(connector, Receives) else ()
    types = " ".join(f"`{content.type}`" for content in emits) or "none yet"
    cells = (f"{connector.title} (`{connector.name}`)", connector.channel, features, types)
    return f"| {' | '.join(cells)} |\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
