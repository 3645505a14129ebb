"""An edge, two workers, a scheduler and the sandbox as processes of their own, as in production."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

import httpx

from contracts.tokens import Secret
from gateway.cli.database import set_up
from gateway.cli.demo import APPS
from gateway.cli.parts import Parts, parts
from gateway.connecting import ManualAccount
from storage.api_keys import ApiKeys
from tests.chaos.deployment import ROOT
from tests.processes import Process, eventually, free_port

WORKERS: Final = ("worker-1", "worker-2")
_GATEWAY: Final = ("edge", *WORKERS, "schedule")
_LEASE_S: Final = 2
"""How long a killed worker's lanes wait, and a sixth of how long its sends do."""


class Fleet:
    """The processes over one SQLite database. What a part is started with is in `environ`."""

    def __init__(self, folder: Path) -> None:
        """Set the database up and start the sandbox; `start` starts the gateway."""
        self._folder, self._processes = folder, dict[str, Process]()
        port, sandbox_port = free_port(), free_port()
        self.url, self.public_url = f"http://127.0.0.1:{port}", f"http://localhost:{port}"
        self.sandbox_url = f"http://127.0.0.1:{sandbox_port}"
        self.environ = {
            **APPS,
            "META_APP_SECRET": "the-first-secret",
            "META_VERIFY_TOKEN": "verify",
            "INSTAGRAM_APP_SECRET": "instagram-secret",
            "GOOGLE_CLIENT_ID": "",
            "GATEWAY_DATA_DIR": str(folder / "var"),
            "GATEWAY_SANDBOX_URL": self.sandbox_url,
            "GATEWAY_PUBLIC_URL": self.public_url,
            "GATEWAY_LEASE_SECONDS": str(_LEASE_S),
            "GATEWAY_LOG_FORMAT": "json",
            "PYTHONPATH": str(ROOT),
        }
        with self._parts() as built:
            set_up(built, say=lambda _: None)
            self.key = ApiKeys(built.database).create("crm", None, "day")[1]
        self._start_one("sandbox")
        eventually(lambda: _answers(f"{self.sandbox_url}/healthz"), within_s=30)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes.values():
            process.close()

    def start(self, *names: str) -> None:
        """Start parts of the gateway, all where none is named, and wait until they work."""
        for name in names or _GATEWAY:
            self._start_one(name)
        eventually(lambda: _answers(f"{self.url}/readyz"), within_s=30)
        for name in set(names or _GATEWAY) & set(WORKERS):
            self._processes[name].wait_for("ready.", within_s=30)

    def restart(self, **changed: str) -> None:
        """A deployment with other settings: all parts end in order, and start again."""
        self.environ |= changed
        for name in _GATEWAY:
            self._processes[name].signal(signal.SIGTERM)
        for name in _GATEWAY:
            self._processes[name].wait()
        self.start()

    def kill(self, name: str) -> None:
        """SIGKILL one part."""
        self._processes[name].kill()

    def add(self, account: ManualAccount, token: str) -> str:
        """Connect an account by hand, and return the connection."""
        with self._parts() as built:
            return built.connecting.add(account, Secret(token)).connection.id

    @contextmanager
    def _parts(self) -> Iterator[Parts]:
        (self._folder / "var").mkdir(mode=0o700, exist_ok=True)
        with parts(self.environ) as built:
            yield built

    def _start_one(self, name: str) -> None:
        self._processes[name] = Process(
            [sys.executable, "-m", *self._command(name)],
            log=self._folder / f"{name}-{len(list(self._folder.glob(f'{name}-*.log')))}.log",
            env=self.environ,
            cwd=self._folder,
        )

    def _command(self, name: str) -> list[str]:
        if name == "edge":
            return ["gateway", "serve", "--port", self.url.rpartition(":")[2]]
        if name != "sandbox":
            return ["workers", name.partition("-")[0]]
        back = [
            option
            for login in ("meta", "instagram")
            for option in ("--redirect-uri", f"{self.public_url}/oauth/{login}/callback")
        ]
        hook = ["--webhook-url", f"{self.url}/webhooks/meta"]
        return ["sandbox", "serve", "--port", self.sandbox_url.rpartition(":")[2], *hook, *back]


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False
