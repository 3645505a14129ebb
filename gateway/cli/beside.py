"""What a `gateway run` made up for itself, told to the commands beside it: the sandbox's address
and the secrets of a demo, which no `.env` has.

It stands in a file that only its owner may read, and counts as long as its run lives: the run holds
the file's lock, which the kernel lets go of however it dies.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from contracts.settings import Settings, load

NAME: Final = "run.json"


@contextmanager
def told(data_dir: Path, given: Mapping[str, str], made: Mapping[str, str]) -> Iterator[None]:
    """While inside, commands over the same data know what `made` has beyond `given`."""
    added = {name: value for name, value in made.items() if given.get(name) != value}
    aside, path = data_dir / f"{NAME}.{os.getpid()}", data_dir / NAME
    descriptor = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.write(descriptor, json.dumps(added).encode())
        aside.replace(path)
        yield
    finally:
        with suppress(FileNotFoundError):
            path.unlink()
        os.close(descriptor)


def known(environ: Mapping[str, str]) -> Mapping[str, str]:
    """`environ`, and below it what a run that is alive over the same data has made up. Raises
    `Misconfigured`.
    """
    data_dir = load(Settings, {name: environ.get(name, "") for name in _WHERE}).data_dir
    return {**_of_run(data_dir), **{name: value for name, value in environ.items() if value}}


_WHERE: Final = ("GATEWAY_DATA_DIR", "GATEWAY_DATA_DIR_FILE")


def _of_run(data_dir: Path) -> Mapping[str, str]:
    """What it has told; nothing when none runs. Another user's run is none of ours."""
    try:
        with (data_dir / NAME).open(encoding="utf-8") as file:
            if not _is_held(file.fileno()):
                return {}
            added: dict[str, str] = json.load(file)
            return added
    except (FileNotFoundError, PermissionError, NotADirectoryError):
        return {}


def _is_held(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False
