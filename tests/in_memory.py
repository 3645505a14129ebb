"""A run's files and its PostgreSQL in memory, where there is room: no test pulls the plug.

Making and dropping a database takes 1.1 s on the disk of the reference machine, 0.12 s in memory.
What is to survive a kill has a server of its own, or kills a process and not the machine.
"""

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.servers import PrivatePostgres, postgres_program, postgres_user

SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - memory is what is wanted
ROOM: Final = 4 << 30
"""Bytes that must be free for a run."""
URL: Final = "GATEWAY_TEST_POSTGRES_URL"


def begin() -> Callable[[], None]:
    """Point this process and those that it starts there. Returns what ends the server."""
    if not SHARED_MEMORY.is_dir() or shutil.disk_usage(SHARED_MEMORY).free < ROOM:
        return lambda: None
    if "TMPDIR" not in os.environ:
        os.environ["TMPDIR"] = str(SHARED_MEMORY)
        tempfile.tempdir = None  # it is remembered
    if URL in os.environ or not _can_serve():
        return lambda: None
    return _serve()


def _can_serve() -> bool:
    user = os.geteuid() != 0 or postgres_user() is not None
    return user and postgres_program("initdb") is not None


def _serve() -> Callable[[], None]:
    directory = Path(tempfile.mkdtemp(prefix="gateway-test-", dir=SHARED_MEMORY))
    directory.chmod(0o755)  # another user enters it
    home = directory / "server"
    home.mkdir()
    server = PrivatePostgres(home)
    server.start()
    os.environ[URL] = server.url

    def end() -> None:
        del os.environ[URL]
        server.stop()
        shutil.rmtree(directory)

    return end
