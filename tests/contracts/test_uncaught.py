"""What nobody caught is told like every other error, in a real process."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
TEXT = "what a contact wrote"
BEGINNING = """
import asyncio, sys, threading
from contracts import logs
from contracts.errors import Misconfigured
logs.configure("json")
logs.catch_uncaught()

def fail(*_):
    try:
        raise KeyError(sys.argv[1])
    except KeyError:
        raise ValueError(f"not so: {sys.argv[1]}")

class Failing:
    __del__ = fail

async def task():
    fail()

async def main():
    lost = asyncio.create_task(task(), name=sys.argv[1])
    await asyncio.sleep(0)
    await asyncio.sleep(0)

async def callback():
    asyncio.get_running_loop().call_soon(fail, sys.argv[1])
    await asyncio.sleep(0)
"""


class Ended(NamedTuple):
    """How a process ended, and what it printed."""

    code: int
    text: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]


def _run(end: str) -> Ended:
    done = subprocess.run(
        [sys.executable, "-c", BEGINNING + end, TEXT],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    return Ended(done.returncode, done.stdout + done.stderr)


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ("fail()", 1),
        ("thread = threading.Thread(target=fail); thread.start(); thread.join()", 0),
        ("x = Failing(); del x", 0),
        ("asyncio.run(main())", 0),
        ("asyncio.run(callback())", 0),
    ],
    ids=["main", "thread", "finalizer", "task", "callback"],
)
def test_it_is_told_by_type_and_place(end: str, code: int) -> None:
    ended = _run(end)
    (line,) = ended.lines
    assert ended.code == code
    assert [told["type"] for told in line["exception"]] == ["ValueError", "KeyError"]
    assert line["exception"][0]["at"][-1].endswith(" fail")
    assert line["level"] == "error"
    assert TEXT not in ended.text


def test_our_own_errors_are_told_with_their_text() -> None:
    (line,) = _run("raise Misconfigured('GATEWAY_X is not set')").lines
    assert line["exception"][0]["detail"] == "GATEWAY_X is not set"


@pytest.mark.parametrize("end", ["raise SystemExit(3)", f"raise SystemExit('{TEXT}')"])
def test_an_exit_is_none(end: str) -> None:
    assert _run(f"threading.Thread(target=lambda: exec({end!r})).start()") == (0, "")


def test_an_interrupted_process_ends_as_the_shell_expects() -> None:
    ended = _run("raise KeyboardInterrupt")
    assert ended.code == -2
    assert TEXT not in ended.text
