"""Runs the supervisor over programs given as JSON: `[[name, code], …]`, each run by `python -c`."""

import json
import os
import sys

from gateway.supervisor import Program, Supervisor


def _write(name: str, line: bytes) -> None:
    sys.stdout.write(f"{name}: {line.decode()}\n")
    sys.stdout.flush()


def _main(programs: str, grace_s: str) -> None:
    environ = {**os.environ, "PYTHONUNBUFFERED": "1"}
    Supervisor(
        [
            Program(name, [sys.executable, "-c", code], environ)
            for name, code in json.loads(programs)
        ],
        _write,
        float(grace_s),
    ).run(lambda: True, lambda: _write("ready", b""))
    _write("supervisor", b"ended")


if __name__ == "__main__":
    _main(*sys.argv[1:])
