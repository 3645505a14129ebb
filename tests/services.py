"""Services that tests need: what is there, private ones to kill, and processes that end."""

import contextlib
import functools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
import redis

POSTGRES_URL = os.environ.get(
    "GATEWAY_TEST_POSTGRES_URL", "postgresql://postgres@127.0.0.1:5432/postgres"
)
REDIS_URL = os.environ.get("GATEWAY_TEST_REDIS_URL", "redis://127.0.0.1:6379/0")
RABBITMQ_URL = os.environ.get("GATEWAY_TEST_RABBITMQ_URL")
REQUIRED = os.environ.get("GATEWAY_TEST_REQUIRE_SERVICES") == "1"


# What is there


def require(service: str) -> None:
    """Skip the test, with the reason, when `service` is missing; fail if services are required."""
    missing = _missing(service)
    if missing is None:
        return
    reason = f"{service}: {missing}"
    if REQUIRED:
        pytest.fail(f"GATEWAY_TEST_REQUIRE_SERVICES=1, but {reason}", pytrace=False)
    pytest.skip(reason)


@functools.cache
def _missing(service: str) -> str | None:
    return SERVICES[service]()


def _no_postgres() -> str | None:
    try:
        psycopg.connect(POSTGRES_URL, connect_timeout=3).close()
    except psycopg.OperationalError as error:
        return str(error).strip().splitlines()[0]
    return None


def _no_redis() -> str | None:
    client = redis.Redis.from_url(REDIS_URL, socket_connect_timeout=3)
    try:
        client.ping()
    except redis.RedisError as error:
        return str(error)
    finally:
        client.close()
    return None


def _no_rabbitmq() -> str | None:
    if RABBITMQ_URL:
        address = urlsplit(RABBITMQ_URL)
        return _no_listener(address.hostname or "127.0.0.1", address.port or 5672)
    if rabbitmqctl := _program("rabbitmqctl"):
        alive = subprocess.run([rabbitmqctl, "-q", "ping"], capture_output=True, check=False)
        if alive.returncode == 0:
            return _no_listener("127.0.0.1", 5672)
        return "no node that rabbitmqctl may reach (set GATEWAY_TEST_RABBITMQ_URL for another)"
    return "rabbitmqctl is not installed (set GATEWAY_TEST_RABBITMQ_URL to use a broker without it)"


def _no_listener(host: str, port: int) -> str | None:
    try:
        socket.create_connection((host, port), timeout=3).close()
    except OSError as error:
        return f"{host}:{port}: {error}"
    return None


def _no_postgres_server() -> str | None:
    if postgres_program("initdb") is None:
        return "no initdb on the path or under /usr/lib/postgresql"
    if os.geteuid() == 0 and _postgres_user() is None:
        return "initdb refuses to run as root, and there is no user postgres"
    return None


def _no_bare_tree() -> str | None:
    if os.geteuid() != 0:
        return "only root may make a bare Debian tree and enter it"
    absent = [name for name in ("debootstrap", "unshare", "nsenter") if _program(name) is None]
    return f"{', '.join(absent)} not installed" if absent else None


def _no_program(name: str) -> Callable[[], str | None]:
    return lambda: None if _program(name) else f"{name} is not installed"


SERVICES: dict[str, Callable[[], str | None]] = {
    "postgres": _no_postgres,
    "postgres_server": _no_postgres_server,
    "redis": _no_redis,
    "redis_server": _no_program("redis-server"),
    "rabbitmq": _no_rabbitmq,
    "chromium": _no_program("chromium"),
    "debootstrap": _no_bare_tree,
}


def _program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def postgres_program(name: str) -> str | None:
    """Where a server program of PostgreSQL is: Debian keeps them off the path."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*"), key=lambda p: -float(p.name))
    found = [str(v / "bin" / name) for v in versions if (v / "bin" / name).exists()]
    return found[0] if found else _program(name)


def _postgres_user() -> str | None:
    with contextlib.suppress(KeyError):
        return pwd.getpwnam("postgres").pw_name
    return None


# Time and ports


def free_port() -> int:
    """A TCP port on loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def eventually(check: Callable[[], object], within_s: float = 10.0, every_s: float = 0.05) -> None:
    """Wait until `check()` is true; AssertionError when it is not `within_s` seconds later."""
    deadline = time.monotonic() + within_s
    while not check():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s} s: {check}")
        time.sleep(every_s)


# Processes


class Process:
    """A child process with its output in a file; `close()` ends it and everything it started."""

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        user: str | None = None,
    ) -> None:
        """Start `command`; `env` is added to the environment of the tests."""
        self.log = log
        self._group = pwd.getpwnam(user).pw_gid if user else None
        with log.open("ab") as out:
            self._child = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
                cwd=cwd,
                user=user,
                group=self._group,
                extra_groups=[] if user else None,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._child.pid

    @property
    def returncode(self) -> int | None:
        """Exit code, minus the signal's number when killed; None while it runs."""
        return self._child.poll()

    def output(self) -> str:
        """Everything written to standard output and error so far."""
        return self.log.read_text(errors="replace")

    def wait_for(self, text: str, within_s: float = 20.0) -> str:
        """Wait for `text` in the output and return the output; fail at once when the child ends."""
        deadline = time.monotonic() + within_s
        while text not in (output := self.output()):
            if self.returncode is not None:
                raise AssertionError(f"ended with {self.returncode} before {text!r}:\n{output}")
            if time.monotonic() > deadline:
                raise AssertionError(f"no {text!r} within {within_s} s:\n{output}")
            time.sleep(0.02)
        return output

    def wait(self, within_s: float = 20.0) -> int:
        """Wait for the end and return the exit code."""
        return self._child.wait(within_s)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the child alone."""
        self._child.send_signal(number)

    def terminate(self, within_s: float = 20.0) -> int:
        """Ask the child to end, wait, and return its exit code."""
        self._child.terminate()
        return self._child.wait(within_s)

    def kill(self) -> None:
        """SIGKILL the child alone; what it started lives on, as after a crash."""
        self._child.kill()
        self._child.wait(10)

    def close(self) -> None:
        """SIGKILL the child and everything it started."""
        for pid in [self.pid, *started_by(self.pid)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._child.wait(10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)


def started_by(pid: int) -> list[int]:
    """Process ids of the children of `pid`, their children and so on."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (thread / "children").read_text().split()):
                found += [child, *started_by(child)]
    return found


# Private servers


class PrivatePostgres:
    """A PostgreSQL cluster in a directory of its own, to stop and kill at will."""

    def __init__(self, directory: Path) -> None:
        """Make the cluster under `directory`; `start()` it before use."""
        self.port = free_port()
        self.url = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"
        self._home = directory
        self._user = _postgres_user() if os.geteuid() == 0 else None
        self._child: Process | None = None
        if self._user:
            shutil.chown(directory, self._user)
        options = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]
        made = self._run([_server("initdb"), "-D", str(directory / "data"), *options])
        if made.wait(60) != 0:
            raise RuntimeError(f"initdb failed:\n{made.output()}")

    def _run(self, command: Sequence[str | Path]) -> Process:
        return Process(command, log=self._home.with_suffix(".log"), user=self._user, cwd=self._home)

    def start(self) -> None:
        """Start, or start again after `stop()` or `kill()`, on the same port; ready on return."""
        options = ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]
        data, port = str(self._home / "data"), str(self.port)
        command = [_server("postgres"), "-D", data, "-p", port, *options]
        self._child = self._run(command)
        eventually(self._answers, within_s=30)

    def _answers(self) -> bool:
        if self._child is None or self._child.returncode is not None:
            raise AssertionError(f"postgres ended:\n{self._home.with_suffix('.log').read_text()}")
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


class PrivateRedis:
    """A redis-server of its own, without persistence, to stop and kill at will."""

    def __init__(self, directory: Path) -> None:
        """Keep files in `directory`; `start()` it before use."""
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._home = directory
        self._child: Process | None = None

    def start(self) -> None:
        """Start, or start again on the same port with nothing kept; ready on return."""
        options = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        command = ["redis-server", "--port", str(self.port), "--dir", str(self._home), *options]
        self._child = Process(command, log=self._home / "redis.log")
        eventually(self._answers)

    def _answers(self) -> bool:
        return _no_listener("127.0.0.1", self.port) is None

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


# Room of one's own on a shared server


@contextlib.contextmanager
def fresh_database(server_url: str = POSTGRES_URL) -> Iterator[str]:
    """A new, empty PostgreSQL database, dropped afterwards even when sessions are open."""
    name = f"gateway_test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server_url, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}".encode())
    try:
        yield urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))
    finally:
        with psycopg.connect(server_url, autocommit=True) as admin:
            admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())


@contextlib.contextmanager
def fresh_vhost() -> Iterator[str]:
    """URL of a new RabbitMQ virtual host, or GATEWAY_TEST_RABBITMQ_URL as it is."""
    if RABBITMQ_URL:
        yield RABBITMQ_URL
        return
    name = f"gateway-test-{uuid.uuid4().hex[:12]}"
    _rabbitmqctl("add_vhost", name)
    try:
        _rabbitmqctl("set_permissions", "-p", name, "guest", ".*", ".*", ".*")
        yield f"amqp://guest:guest@127.0.0.1:5672/{name}"
    finally:
        _rabbitmqctl("delete_vhost", name)


def _rabbitmqctl(*command: str) -> None:
    program = _program("rabbitmqctl") or "rabbitmqctl"
    subprocess.run([program, "-q", *command], check=True, capture_output=True, timeout=60)


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
