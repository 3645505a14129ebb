"""A deployment of real processes over one database, whose parts can be killed and started again."""

import hashlib
import hmac
import os
import signal
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx

from contracts.settings import Settings, load
from storage.api_keys import ApiKeys
from tests.processes import Process, eventually, free_port
from tests.rig import APP_SECRET, ENVIRON, Rig

ROOT: Final = Path(__file__).parents[2]
LEASE_S: Final = 2
EDGE: Final = "edge"


class Page(NamedTuple):
    """What one pull answered."""

    messages: list[dict[str, Any]]
    next: str
    has_more: bool


class Deployment:
    """An edge and some workers. Pages are connected before they start."""

    def __init__(
        self,
        folder: Path,
        database_url: str,
        *,
        broker_url: str | None = None,
        pooler_url: str | None = None,
        pages: Iterable[tuple[str, str]] = (("acme", "10"),),
        workers: int = 1,
        settings: Mapping[str, str] | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        """`pages` are pairs of tenant and Page id; without `broker_url` the broker is in files;
        `settings` are more of the gateway's, `environ` those of the processes alone.

        With `pooler_url` the processes reach the database through that.
        """
        self._folder = folder
        self.data = folder / "var"
        more = settings or {}
        rig = Rig(database_url, self.data, kek_uri=more.get("GATEWAY_KEK_URI"))
        for tenant, page in pages:
            rig.connect(tenant, page)
        self.key = ApiKeys(rig.database).create("crm", None, "chaos")[1]
        rig.close()
        self.url = f"http://127.0.0.1:{free_port()}"
        own = self._environment(database_url, broker_url, pooler_url)
        self._env = {**own, **more, **(environ or {})}
        self.workers = [f"worker-{number + 1}" for number in range(workers)]
        self._processes: dict[str, Process] = {}

    def _environment(
        self, database_url: str, broker_url: str | None, pooler_url: str | None
    ) -> Mapping[str, str]:
        return {
            **ENVIRON,
            "GATEWAY_DATA_DIR": str(self.data),
            "GATEWAY_DATABASE_URL": pooler_url or database_url,
            "GATEWAY_DATABASE_LISTEN_URL": database_url if pooler_url else "",
            "GATEWAY_BROKER_URL": broker_url or "",
            "GATEWAY_LEASE_SECONDS": str(LEASE_S),
            "GATEWAY_LOG_FORMAT": "json",
            "PYTHONPATH": str(ROOT),
        }

    def start(self) -> None:
        """Start what does not run, and wait until the edge answers and a worker is ready."""
        for name in (EDGE, *self.workers):
            if name not in self._processes or self._processes[name].returncode is not None:
                self.start_one(name)
        eventually(self.is_ready, within_s=30)
        for name in self.workers:
            self._processes[name].wait_for("ready.", within_s=30)

    def start_one(self, name: str) -> None:
        """Start one part and return at once."""
        port = self.url.rpartition(":")[2]
        arguments = ["gateway", "serve", "--port", port] if name == EDGE else ["workers", "worker"]
        self._processes[name] = Process(
            [sys.executable, "-m", *arguments],
            log=self._folder / f"{name}.log",
            env=self._env,
            cwd=self._folder,
        )

    def command(self, *arguments: str) -> str:
        """Run one `gateway` command over this deployment to its end; what it printed."""
        with self.begin(*arguments) as process:
            assert process.wait(30) == 0, process.output()
            return process.output()

    def wait_for(self, name: str, text: str, within_s: float = 20.0) -> None:
        """Wait until a part logs `text`; fails when it ends before."""
        self._processes[name].wait_for(text, within_s)

    def begin(self, *arguments: str) -> Process:
        """Start one `gateway` command over this deployment; to be closed."""
        log = self._folder / f"{arguments[0]}.log"
        program = [sys.executable, "-m", "gateway", *arguments]
        return Process(program, log=log, env=self._env, cwd=self._folder)

    def kill(self, name: str) -> None:
        """SIGKILL one part, as the kernel does when memory runs out."""
        self._processes[name].kill()

    def pid(self, name: str) -> int:
        """A part's process id."""
        return self._processes[name].pid

    def output(self, name: str) -> str:
        """What a part, and those that ran before it under its name, have logged."""
        return self._processes[name].output()

    @property
    def settings(self) -> Settings:
        """The settings that all parts run with."""
        return load(Settings, self._env)

    def close(self) -> None:
        """SIGKILL everything."""
        for process in self._processes.values():
            process.close()

    def is_ready(self) -> bool:
        """Whether the edge says that it is ready."""
        try:
            return httpx.get(f"{self.url}/readyz", timeout=2).status_code == 200
        except httpx.TransportError:
            return False

    def sent_nudges(self) -> float:
        """How many nudges this edge process has sent."""
        metrics = httpx.get(f"{self.url}/metrics", timeout=5).text.splitlines()
        (line,) = (x for x in metrics if "nudges" in x and 'result="sent"' in x and "_total" in x)
        return float(line.rpartition(" ")[2])

    def client(self) -> httpx.Client:
        """A client that keeps its connection to the edge, with the key of a CRM core."""
        return httpx.Client(
            base_url=self.url, headers={"authorization": f"Bearer {self.key}"}, timeout=10
        )


def post(client: httpx.Client, body: bytes, *, timeout_s: float = 10.0) -> int | None:
    """Deliver as Meta does; the status, or None when there was no answer."""
    digest = hmac.new(APP_SECRET.encode(), body, hashlib.sha256).hexdigest()
    headers = {"x-hub-signature-256": f"sha256={digest}", "content-type": "application/json"}
    try:
        return client.post(
            "/webhooks/meta", content=body, headers=headers, timeout=timeout_s
        ).status_code
    except httpx.TransportError:
        return None


def pull(client: httpx.Client, after: str, *, limit: int = 1000, wait_s: int = 0) -> Page:
    """One pull. Raises `httpx.HTTPError` when it was not answered, or not with 200."""
    asked: dict[str, str | int] = {"after": after, "limit": limit, "wait": wait_s}
    answer = client.get("/v1/messages", params=asked, timeout=wait_s + 10)
    found = answer.raise_for_status().json()
    return Page(found["messages"], found["next"], found["has_more"])


def pull_all(client: httpx.Client) -> list[dict[str, Any]]:
    """The whole feed from its beginning."""
    found: list[dict[str, Any]] = []
    page = Page([], "", True)
    while page.has_more:
        page = pull(client, page.next)
        found += page.messages
    return found


def texts_of(messages: Iterable[Mapping[str, Any]]) -> list[str]:
    """The texts that contacts wrote, in their order."""
    received = (m for m in messages if m["type"] == "cleverbox.message.received")
    return [m["data"]["text"] for m in received]


def gaps(client: httpx.Client) -> list[dict[str, Any]]:
    """Every `connection.gap` in the feed."""
    return [m for m in pull_all(client) if m["type"] == "cleverbox.connection.gap"]


def visible_after_s(client: httpx.Client, body: bytes, after: str) -> tuple[float, str]:
    """Seconds from the 200 for `body` to the long poll that brings its message; the next cursor."""
    assert post(client, body) == 200
    began = time.monotonic()
    page = pull(client, after, wait_s=10)
    assert page.messages, "not visible within 10 s"
    return time.monotonic() - began, page.next


def kill_process(pid: int) -> bool:
    """SIGKILL by id; False when it was gone already."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True
