"""Processes that never outlive a test, and waiting for them."""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self


def program(name: str) -> str | None:
    """Where `name` is installed, also among the programs of administrators."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


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
