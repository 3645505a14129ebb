"""`gateway` commands, each in a process of its own that need not import everything anew: dozens of
them would take a minute to start.

As a program (`python -m tests.leaks.commands`) it reads lines of JSON, forks for each, and answers
with the child's exit code.
"""

import gc
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

LOADED: Final = (
    *("alembic.command", "hvac", "kombu", "redis", "rich.status", "rich.table", "celery"),
    *("connectors.registry", "gateway.cli.commands", "gateway.cli.doctor", "gateway.cli.restoring"),
    *("gateway.connecting", "storage.deliveries", "storage.erasing", "storage.log"),
    *("storage.migrate", "storage.replays", "storage.rotations", "token_vault", "workers.queue"),
)


class Commands:
    """Runs commands, one after the other."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        """`environ`: of the program that forks."""
        self._program = subprocess.Popen(
            [sys.executable, "-m", "tests.leaks.commands"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **environ},
            text=True,
        )

    def run(
        self,
        arguments: Sequence[str],
        environ: Mapping[str, str],
        folder: Path,
        files: Sequence[Path],
    ) -> int:
        """Run `gateway …` in `folder` to its end; returns its exit code. `files`: its standard
        input, output and error.
        """
        assert self._program.stdin is not None
        assert self._program.stdout is not None
        order = {"arguments": arguments, "environ": dict(environ), "folder": str(folder)}
        json.dump({**order, "files": [*map(str, files)]}, self._program.stdin)
        self._program.stdin.write("\n")
        self._program.stdin.flush()
        return int(self._program.stdout.readline())

    def close(self) -> None:
        """End the program."""
        self._program.communicate(timeout=10)


def _become(order: dict[str, Any]) -> None:
    """In a child: run the command, and end as it ends, without taking down what was only loaded."""
    os.environ.clear()
    os.environ.update(order["environ"])
    os.chdir(order["folder"])
    for number, name in enumerate(order["files"]):
        flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_APPEND
        os.dup2(os.open(name, flags, 0o600), number)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - the descriptor of now
    sys.argv = ["gateway", *order["arguments"]]
    code: object = None
    try:
        importlib.import_module("gateway.__main__").main()
    except SystemExit as ended:
        code = ended.code
    except BaseException as error:  # noqa: BLE001 - as the interpreter does
        sys.excepthook(type(error), error, error.__traceback__)
        code = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else int(code is not None))


def _serve() -> None:
    for name in LOADED:
        importlib.import_module(name)
    gc.freeze()
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _become(json.loads(line))
        sys.stdout.write(f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _serve()
