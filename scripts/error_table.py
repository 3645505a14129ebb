"""The table of Meta's errors in docs/providers/meta.md, made from the code."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from connectors.kit.meta.errors import (
    BY_CODE,
    BY_LONG_SUBCODE,
    BY_SUBCODE,
    RANGES,
    Verdict,
)
from contracts.errors import Throttled

PAGE: Final = Path(__file__).parents[1] / "docs" / "providers" / "meta.md"
BEGIN: Final = "<!-- errors:begin · made by scripts/error_table.py -->\n"
END: Final = "<!-- errors:end -->\n"
_HEAD: Final = "| code | error | words |\n|---|---|---|\n"


def table() -> str:
    """A row per code, subcodes behind their code, in Markdown."""
    return _HEAD + "".join(_row(code, meant) for code, meant in sorted(_rows(), key=_order))


def filled(text: str) -> str:
    """`text` with what stands between the markers made anew. Raises `ValueError` without them."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError("the page has lost its markers")
    return before + begin + table() + end + after


def main(arguments: list[str]) -> int:
    """Returns the exit code: 1 when the page is behind the code, 2 for wrong usage."""
    if arguments not in (["--check"], ["--write"]):
        print("usage: error_table.py --check | --write", file=sys.stderr)
        return 2
    text = PAGE.read_text(encoding="utf-8")
    made = filled(text)
    if arguments == ["--write"]:
        PAGE.write_text(made, encoding="utf-8")
    elif made != text:
        print(f"{PAGE.name} is behind the code: error_table.py --write", file=sys.stderr)
        return 1
    return 0


def _rows() -> Iterator[tuple[str, Verdict]]:
    yield from ((f"{code}/{subcode}", meant) for (code, subcode), meant in BY_SUBCODE.items())
    yield from ((f"…/{subcode}", meant) for subcode, meant in BY_LONG_SUBCODE.items())
    yield from ((f"{code}", meant) for code, meant in BY_CODE.items())
    yield from ((f"{codes.start}-{codes.stop - 1}", meant) for codes, meant in RANGES)


def _order(row: tuple[str, Verdict]) -> tuple[int, str]:
    first = row[0].partition("/")[0].partition("-")[0]
    return (int(first) if first.isdecimal() else sys.maxsize, row[0])


def _row(code: str, meant: Verdict) -> str:
    error = meant.kind.__name__
    of = f" of the {meant.closes}" if meant.kind is Throttled else ""
    return f"| `{code}` | `{error}`{of} | {meant.words} |\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
