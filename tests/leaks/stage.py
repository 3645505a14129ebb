"""Real processes of one deployment in a folder that is searched afterwards, with all they say."""

import itertools
import os
import re
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import httpx

from contracts.settings import Settings, load
from tests.leaks import places
from tests.leaks.backends import Backend
from tests.leaks.commands import Commands
from tests.leaks.places import Blobs
from tests.leaks.planted import Planted
from tests.leaks.search import Leak
from tests.processes import Process, eventually, free_port, started_by

ROOT: Final = Path(__file__).parents[2]
PATIENCE_S: Final = 120
EDGE, WORKER, SCHEDULE = "edge", "worker", "schedule"


class Stage:
    """Edge, worker and scheduler over the stores that `environ` names, and commands beside them.

    Under `folder`: the data directory `var`, temporary files, `logs` of processes and `said` by
    commands.
    """

    def __init__(
        self, folder: Path, planted: Planted, backend: Backend, environ: Mapping[str, str]
    ) -> None:
        self.folder, self.planted, self._backend = folder, planted, backend
        for name in ("tmp", "logs", "said"):
            (folder / name).mkdir(parents=True)
        self.url, self.worker_url = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        ours = {name: "" for name in os.environ if name.startswith(("GATEWAY_", "META_"))}
        self.environ = {
            **ours,
            "GATEWAY_DATA_DIR": str(folder / "var"),
            "GATEWAY_LEASE_SECONDS": "2",
            "GATEWAY_KEY_CACHE_SECONDS": "2",
            "GATEWAY_LOG_LEVEL": "debug",
            "GATEWAY_LOG_FORMAT": "json",
            "GATEWAY_PUBLIC_URL": self.url,
            "TMPDIR": str(folder / "tmp"),
            "PYTHONPATH": str(ROOT),
            **backend.environ,
            **environ,
        }
        self.answers: list[tuple[str, bytes]] = []
        self.leaks: dict[tuple[str, str], Leak] = {}
        self._processes: dict[str, Process] = {}
        self._numbers = itertools.count(1)
        self._commands = Commands(self.environ)

    @property
    def settings(self) -> Settings:
        """What all processes run with."""
        return load(Settings, self.environ)

    def start(self, *names: str, **environ: str) -> None:
        """Start parts, and wait until they work."""
        for name in names:
            self.begin(name, **environ)
        for name in names:
            if name == EDGE:
                eventually(self.is_ready, within_s=PATIENCE_S)
            elif name == WORKER:
                self._processes[name].wait_for("ready.", within_s=PATIENCE_S)

    def begin(self, name: str, **environ: str) -> Process:
        """Start a part."""
        command = {
            EDGE: ("gateway", "serve", "--port", self.url.rpartition(":")[2]),
            WORKER: ("gateway", "worker"),
            SCHEDULE: ("gateway", "schedule"),
        }[name]
        if name == WORKER:
            environ["GATEWAY_WORKER_METRICS"] = self.worker_url.removeprefix("http://")
        kinds = [environ.get("GATEWAY_LOG_FORMAT", "json"), str(len(self._processes))]
        log = self.folder / "logs" / f"{name}-{'-'.join(kinds)}.log"
        self._processes[name] = self.run(log, *command, **environ)
        return self._processes[name]

    def run(self, log: Path, module: str, *arguments: str, **environ: str) -> Process:
        """Start `python -m module …`, with its output in `log`."""
        return Process(
            [sys.executable, "-m", module, *arguments],
            log=log,
            env={**self.environ, **environ},
            cwd=self.folder,
        )

    def command(self, *arguments: str, stdin: str = "", expect: int = 0, **environ: str) -> str:
        """Run one `gateway` command to its end; what it printed is kept under `said`, and returned
        without what it noted.
        """
        given, printed, noted = (self._said(arguments, kind) for kind in ("given", "out", "err"))
        given.write_text(stdin)
        every = {**os.environ, **self.environ, **environ}
        code = self._commands.run(arguments, every, self.folder, [given, printed, noted])
        given.unlink()
        assert code == expect, (code, arguments, printed.read_text(), noted.read_text())
        return printed.read_text()

    def _said(self, arguments: tuple[str, ...], kind: str) -> Path:
        """Where something of a command is kept: by its name, which no secret is a part of."""
        name = " ".join(x for x in arguments[:2] if re.fullmatch("[a-z]+", x))
        return self.folder / "said" / f"{name} {next(self._numbers)} {kind}"

    def tail(self, until: str) -> None:
        """Run `gateway messages tail` until it printed something, and interrupt it."""
        log = self._said(("messages", "tail"), "out")
        with self.run(log, "gateway", "messages", "tail") as tail:
            tail.wait_for(until, PATIENCE_S)
            tail.signal(signal.SIGINT)
            tail.wait(PATIENCE_S)

    def kill(self, name: str) -> None:
        """SIGKILL a part."""
        self._processes[name].kill()

    def stop(self) -> None:
        """Ask all parts to end, and wait."""
        for process in self._processes.values():
            if process.returncode is None:
                process.terminate(within_s=PATIENCE_S)

    def close(self) -> None:
        """SIGKILL everything."""
        self._commands.close()
        for process in self._processes.values():
            process.close()

    def output(self, name: str) -> str:
        """What a part of now has logged."""
        return self._processes[name].output()

    def is_ready(self) -> bool:
        """Whether the edge says that it is ready."""
        try:
            return httpx.get(f"{self.url}/readyz", timeout=2).status_code == 200
        except httpx.TransportError:
            return False

    def client(self, key: str) -> httpx.Client:
        """A client of the edge, with an API key; what it is answered is kept: in `told` if that is
        what it came for, else to be searched.
        """
        headers = {"authorization": f"Bearer {key}"} if key else {}
        hooks = {"response": [self._answered]}
        return httpx.Client(
            base_url=self.url,
            headers=headers,
            timeout=PATIENCE_S,
            trust_env=False,
            event_hooks=hooks,
        )

    def _answered(self, response: httpx.Response) -> None:
        said = repr(response.headers.raw).encode() + b"\n" + response.read()
        self.answers.append((f"answer {response.status_code}", said))

    def look(self) -> None:
        """Search everything as it is now, and remember what was found."""
        for leak in self.planted.leaks(self.places()):
            self.leaks[leak.marker, leak.place] = leak

    def places(self) -> Blobs:
        """Everything that this deployment has written, and what it tells while it runs."""
        yield from places.files(self.folder)
        yield from self._backend.places()
        yield from self.answers
        running = {k: p for k, p in self._processes.items() if p.returncode is None}
        own = {f"{name}={value}".encode() for name, value in self.environ.items()}
        for name, process in running.items():
            yield from places.processes([process.pid, *started_by(process.pid)], own)
            if url := {EDGE: self.url, WORKER: self.worker_url}.get(name):
                yield f"metrics of {name}", httpx.get(f"{url}/metrics", timeout=10).content
