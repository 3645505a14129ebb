"""Private PostgreSQL, PgBouncer and Redis servers, to stop and kill at will."""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg

from tests.processes import Process, eventually, free_port, program


def no_listener(host: str, port: int) -> str | None:
    """Why nothing can be reached at the address; None when something listens."""
    try:
        socket.create_connection((host, port), timeout=3).close()
    except OSError as error:
        return f"{host}:{port}: {error}"
    return None


def postgres_program(name: str) -> str | None:
    """Where a server program of PostgreSQL is: Debian keeps them off the path."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*"), key=lambda p: -float(p.name))
    found = [str(v / "bin" / name) for v in versions if (v / "bin" / name).exists()]
    return found[0] if found else program(name)


def postgres_user() -> str | None:
    """The user that PostgreSQL's servers run as, when there is one."""
    with contextlib.suppress(KeyError):
        return pwd.getpwnam("postgres").pw_name
    return None


class PrivatePostgres:
    """A PostgreSQL cluster in a directory of its own, to stop and kill at will."""

    def __init__(self, directory: Path) -> None:
        """Make the cluster under `directory`; `start()` it before use."""
        self.port = free_port()
        self.url = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"
        self.log = directory.with_suffix(".log")
        self._home = directory
        self._user = postgres_user() if os.geteuid() == 0 else None
        self._child: Process | None = None
        if self._user:
            shutil.chown(directory, self._user)
        options = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]
        made = self._run([_server("initdb"), "-D", str(directory / "data"), *options])
        if made.wait(60) != 0:
            raise RuntimeError(f"initdb failed:\n{made.output()}")

    def _run(self, command: Sequence[str | Path]) -> Process:
        return Process(command, log=self.log, user=self._user, cwd=self._home)

    def start(self) -> None:
        """Start, or start again after `stop()` or `kill()`, on the same port; ready on return."""
        settings = (
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "dynamic_shared_memory_type=mmap",  # in its directory: what a kill leaves goes with it
        )
        options = [part for setting in settings for part in ("-c", setting)]
        data, port = str(self._home / "data"), str(self.port)
        command = [_server("postgres"), "-D", data, "-p", port, *options]
        self._child = self._run(command)
        eventually(self._answers, within_s=30)

    def _answers(self) -> bool:
        if self._child is None or self._child.returncode is not None:
            raise AssertionError(f"postgres ended:\n{self.log.read_text()}")
        try:
            psycopg.connect(self.url, connect_timeout=3).close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self) -> None:
        """Fast shutdown: sessions are ended, what is committed is written."""
        if self._child is not None:
            self._child.signal(signal.SIGINT)
            self._child.wait(30)
            self._child = None

    def kill(self) -> None:
        """SIGKILL the server and all its sessions, as a power failure does."""
        if self._child is not None:
            self._child.close()
            self._child = None


def _server(name: str) -> str:
    found = postgres_program(name)
    if found is None:
        raise FileNotFoundError(name)
    return found


class PrivatePgbouncer:
    """A PgBouncer in transaction mode before a server: statements outside of one transaction go to
    any of a few sessions, and nothing that a client sets for its session is kept for it.
    """

    _CONFIG = """
[databases]
* = host={host} port={port} user={user}{password}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
pool_mode = transaction
default_pool_size = 4
server_round_robin = 1
auth_type = any
admin_users = postgres
"""

    def __init__(self, directory: Path, server_url: str) -> None:
        """Keep files in `directory`; `start()` it before use."""
        self.port = free_port()
        server = urlsplit(server_url)
        self._home = directory
        self._user = postgres_user() if os.geteuid() == 0 else None
        self._child: Process | None = None
        config = self._CONFIG.format(
            host=server.hostname,
            port=server.port or 5432,
            user=server.username or "postgres",
            password=f" password={server.password}" if server.password else "",
            listen=self.port,
        )
        self._config = directory / "pgbouncer.ini"
        self._config.write_text(config)

    def through(self, database_url: str) -> str:
        """The URL by which the database is reached through it."""
        return urlunsplit(urlsplit(database_url)._replace(netloc=f"anyone@127.0.0.1:{self.port}"))

    def start(self) -> None:
        """Start, or start again on the same port; ready on return. Refuses to run as root."""
        command = [program("pgbouncer") or "pgbouncer", str(self._config)]
        log = self._home.with_suffix(".log")
        self._child = Process(command, log=log, user=self._user, cwd=self._home)
        eventually(self._answers)

    def _answers(self) -> bool:
        if self._child is None or self._child.returncode is not None:
            raise AssertionError(f"pgbouncer ended:\n{self.output()}")
        return no_listener("127.0.0.1", self.port) is None

    def output(self) -> str:
        """What it has logged."""
        return self._home.with_suffix(".log").read_text()

    def kill(self) -> None:
        """SIGKILL it."""
        if self._child is not None:
            self._child.close()
            self._child = None


class PrivateRedis:
    """A redis-server of its own, without persistence, to stop and kill at will."""

    def __init__(self, directory: Path, password: str = "") -> None:
        """Keep files in `directory`; `start()` it before use."""
        self.port = free_port()
        self.url = f"redis://{f':{password}@' if password else ''}127.0.0.1:{self.port}/0"
        self._protection = ["--requirepass", password] if password else []
        self._home = directory
        self._child: Process | None = None

    def start(self) -> None:
        """Start, or start again on the same port with nothing kept; ready on return."""
        options = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", *self._protection]
        command = ["redis-server", "--port", str(self.port), "--dir", str(self._home), *options]
        self._child = Process(command, log=self._home / "redis.log")
        eventually(self._answers)

    def _answers(self) -> bool:
        return no_listener("127.0.0.1", self.port) is None

    def stop(self) -> None:
        """Ask the server to end, and wait for it."""
        if self._child is not None:
            self._child.terminate()
            self._child = None

    def kill(self) -> None:
        """SIGKILL the server."""
        if self._child is not None:
            self._child.close()
            self._child = None


@contextlib.contextmanager
def server_directory() -> Iterator[Path]:
    """A directory that another user may enter, which pytest's own are not."""
    directory = Path(tempfile.mkdtemp(prefix="gateway-test-"))
    directory.chmod(0o755)
    home = directory / "server"
    home.mkdir()
    try:
        yield home
    finally:
        shutil.rmtree(directory)
