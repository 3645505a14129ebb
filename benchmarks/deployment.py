"""A whole gateway of a benchmark's own: database, keys, accounts and processes."""

import contextlib
import os
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple
from urllib.request import urlopen

import psycopg

from connectors import registry
from contracts.settings import Settings
from gateway.connecting import Connecting, ManualAccount
from storage import migrate
from storage.api_keys import ApiKeys
from storage.connections import Connections
from storage.database import Database
from storage.lanes import lane_of
from tests.processes import Process, free_port
from tests.services import fresh_database, postgres_server_url
from token_vault import open_vault
from workers.composition import Parts

ROOT: Final = Path(__file__).parents[1]
PROVIDER: Final = "facebook"


class Page(NamedTuple):
    """A connected account, each with a tenant of its own."""

    tenant: str
    account: str
    connection: str


class Deployment:
    """One gateway. Its parts run in this process, or as real processes through `edge`, `worker`."""

    def __init__(self, name: str, database_url: str, folder: Path, broker_url: str | None) -> None:
        self.name = name
        self.app_secret = secrets.token_hex(16)
        self.settings = Settings(data_dir=folder, database_url=database_url, broker_url=broker_url)
        self.environ = {"META_APP_SECRET": self.app_secret, "META_VERIFY_TOKEN": "verify"}
        database = Database(database_url)
        migrate.upgrade(database)
        database.close()
        vault = open_vault(self.settings)
        vault.upgrade()
        vault.close()
        self.parts = Parts(self.settings, self.environ)
        self.parts.upkeep.prepare()
        self.database, self.vault = self.parts.database, self.parts.vault
        self.endpoint = registry.build(self.environ).endpoints["meta"]
        self.pages: list[Page] = []

    @property
    def is_postgresql(self) -> bool:
        return self.database.is_postgresql

    def connect(self, count: int, lanes: Sequence[int] | None = None) -> list[Page]:
        """Connect `count` Pages of as many tenants, only on `lanes` if these are given."""
        connecting = Connecting(Connections(self.database), self.vault, (PROVIDER,))
        for account in page_ids(count, lanes):
            tenant = f"tenant-{len(self.pages)}"
            new = connecting.add(ManualAccount(tenant, PROVIDER, account), None)
            self.pages.append(Page(tenant, account, new.connection.id))
        return self.pages

    def api_key(self) -> str:
        """A key of all tenants that may pull."""
        return ApiKeys(self.database).create("crm", None, "benchmark")[1]

    @property
    def process_environ(self) -> dict[str, str]:
        """What the gateway's own processes are told."""
        told = {
            "GATEWAY_DATA_DIR": str(self.settings.data_dir),
            "GATEWAY_DATABASE_URL": self.settings.database,
            "GATEWAY_BROKER_URL": self.settings.broker,
            "GATEWAY_LOG_LEVEL": "warning",
        }
        return told | self.environ

    @contextlib.contextmanager
    def edge(self, *module: str) -> Iterator["Server"]:
        """A running edge process; `module` and its arguments instead of the gateway's own."""
        port = free_port()
        program = module or ("gateway", "serve", "--port")
        with self._process("edge", [sys.executable, "-m", *program, str(port)]) as process:
            yield answering(process, port, "/healthz")

    @contextlib.contextmanager
    def worker(self) -> Iterator[Process]:
        """A running worker process."""
        with self._process("worker", [sys.executable, "-m", "workers", "worker"]) as process:
            yield process

    @contextlib.contextmanager
    def _process(self, name: str, command: Sequence[str]) -> Iterator[Process]:
        log = self.settings.data_dir / f"{name}.log"
        process = Process(command, log=log, env=self.process_environ, cwd=ROOT)
        try:
            yield process
            process.terminate()
        finally:
            process.close()

    def close(self) -> None:
        self.database.close()
        self.vault.close()


class Server(NamedTuple):
    """A process that answers at `url`."""

    process: Process
    url: str


def answering(process: Process, port: int, path: str, within_s: float = 20.0) -> Server:
    """Wait until the process answers 200. Raises `AssertionError` with its output otherwise."""
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline and process.returncode is None:
        with contextlib.suppress(OSError), urlopen(url + path, timeout=2) as answer:  # noqa: S310
            if answer.status == 200:
                return Server(process, url)
        time.sleep(0.005)
    raise AssertionError(f"no answer at {url}{path}:\n{process.output()}")


def cpu_s(process: Process) -> float:
    """Seconds of processor time that the process has had, in all its threads."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def page_ids(count: int, lanes: Sequence[int] | None = None) -> Iterator[str]:
    """`count` Page ids, as even as may be over `lanes`."""
    if lanes is None:
        yield from (str(10**14 + number) for number in range(count))
        return
    left = {lane: -(-count // len(lanes)) for lane in lanes}
    number = 10**14
    while count:
        lane = lane_of(PROVIDER, str(number))
        if left.get(lane, 0):
            left[lane] -= 1
            count -= 1
            yield str(number)
        number += 1


@contextlib.contextmanager
def deployment(
    kind: str, *, name: str | None = None, broker_url: str | None = None
) -> Iterator[Deployment]:
    """A fresh deployment on `kind`: `sqlite` or `postgresql`; everything is removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="gateway-bench-"))
    try:
        with contextlib.ExitStack() as stack:
            if kind == "postgresql":
                url = stack.enter_context(fresh_database())
            else:
                url = f"sqlite:///{folder / 'gateway.db'}"
            found = Deployment(name or kind, url, folder, broker_url)
            stack.callback(found.close)
            yield found
    finally:
        shutil.rmtree(folder)


def databases() -> list[str]:
    """What can be measured here: SQLite always, PostgreSQL when its server answers."""
    try:
        psycopg.connect(postgres_server_url(), connect_timeout=3).close()
    except psycopg.OperationalError:
        return ["sqlite"]
    return ["postgresql", "sqlite"]
