"""A real `gateway run --sandbox`, and what one does with it from outside."""

import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import httpx

from tests.processes import Process, free_port
from tests.sandbox.stage import PAGE, Phone

Json = dict[str, Any]


class Run:
    """`gateway run --sandbox` on free ports, with everything in a folder of its own."""

    def __init__(
        self,
        folder: Path,
        port: int | None = None,
        sandbox_port: int | None = None,
        *,
        lease_s: int | None = None,
    ) -> None:
        """Start it; `wait_until_running` before use. `lease_s`: `GATEWAY_LEASE_SECONDS`."""
        self._lease = {"GATEWAY_LEASE_SECONDS": str(lease_s)} if lease_s else {}
        self.data_dir = folder / "var"
        self.port, self.sandbox_port = port or free_port(), sandbox_port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.sandbox_url = f"http://127.0.0.1:{self.sandbox_port}"
        self._folder = folder
        self._started = time.monotonic()
        self.process = self.another("run", *self.options(self.port, self.sandbox_port))

    @staticmethod
    def options(port: int, sandbox_port: int) -> list[str]:
        """What follows `gateway run`."""
        return ["--sandbox", "--port", str(port), "--sandbox-port", str(sandbox_port)]

    def another(self, *arguments: str) -> Process:
        """Start one more `gateway` command over the same data."""
        return Process(
            [sys.executable, "-m", "gateway", *arguments],
            log=self._folder / f"{arguments[0]}-{time.monotonic_ns()}.log",
            env=self._environ(),
            cwd=self._folder,
        )

    def command(self, *arguments: str, stdin: str = "") -> Any:
        """What a `gateway` command with `--json` prints in a second terminal."""
        done = subprocess.run(
            [sys.executable, "-m", "gateway", *arguments, "--json"],
            env={**os.environ, **self._environ()},
            cwd=self._folder,
            input=stdin.encode(),
            capture_output=True,
            check=True,
        )
        return json.loads(done.stdout)

    def wait_until_running(self, within_s: float = 60) -> float:
        """Wait for the welcome; returns the seconds since the start."""
        self.process.wait_for("curl -H", within_s)
        return time.monotonic() - self._started

    @property
    def curl_line(self) -> str:
        """The line of the welcome that shows messages arriving."""
        found = re.search(r"curl -H .*", self.process.output())
        assert found, self.process.output()
        return found[0]

    @property
    def app_secret(self) -> bytes:
        """What the sandbox signs with."""
        return (self.data_dir / "sandbox" / "app_secret").read_bytes().strip()

    def phone(self, psid: str) -> Phone:
        """The phone of a person who writes to the demo Page."""
        return Phone(self.sandbox_url, PAGE, psid)

    def _environ(self) -> dict[str, str]:
        """The settings of whoever runs the tests do not reach the run: empty counts as absent."""
        prefixes = ("GATEWAY_", "META_", "INSTAGRAM_", "GOOGLE_")
        ours = {name: "" for name in os.environ if name.startswith(prefixes)}
        return {**ours, **self._lease, "GATEWAY_DATA_DIR": str(self.data_dir)}


class Feed:
    """Reads the feed as the printed `curl` line does, and goes on where it stopped."""

    def __init__(self, curl_line: str, tenant: str | None = None) -> None:
        """From the beginning of the log; where one is named, of that tenant alone."""
        self._whose = {"tenant": tenant} if tenant else {}
        _, _, header, url = shlex.split(curl_line)
        name, _, value = header.partition(": ")
        self._url = url.partition("?")[0]
        self._http = httpx.Client(headers={name: value}, timeout=40, trust_env=False)
        self._next = ""
        self.passed_over = {"cleverbox.attachment.updated"}
        """Types that come when they come; whoever waits for them empties this."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def pull(self, wait: float = 0) -> list[Json]:
        """The next messages, waiting for some for `wait` seconds."""
        until = time.monotonic() + wait
        while True:
            left = max(0.0, until - time.monotonic())
            query: dict[str, Any] = {"after": self._next, "limit": 1000, "wait": left}
            answer = self._http.get(self._url, params=query | self._whose)
            assert answer.status_code == 200, answer.text
            page = answer.json()
            self._next = page["next"]
            messages = [one for one in page["messages"] if one["type"] not in self.passed_over]
            if messages or not page["messages"]:
                return messages

    def skip(self) -> Self:
        """Go to the end of what is there now."""
        while self.pull():
            pass
        return self

    def until(
        self, enough: Callable[[list[Json]], object], within_s: float = 15, *, of: str = ""
    ) -> list[Json]:
        """Messages until `enough(messages)`, those of contact `of` alone where one is named."""
        deadline = time.monotonic() + within_s
        found: list[Json] = []
        while not enough(found):
            left = deadline - time.monotonic()
            assert left > 0, f"only {[brief(one) for one in found]} within {within_s} s"
            found += [one for one in self.pull(min(left, 5)) if not of or contact_of(one) == of]
        return found

    def texts_until(self, last: str, of: str) -> list[str]:
        """Texts of one contact's messages in their order, up to the one that says `last`."""
        return texts(self.until(lambda found: last in texts(found), of=of))


def contact_of(message: Json) -> str | None:
    """The person's id at the provider, whoever acted."""
    data = message["data"]
    people = [data.get("from"), *(data.get("to") or ()), data.get("contact")]
    return next((one["id"] for one in people if one and one["role"] == "contact"), None)


def texts(messages: list[Json]) -> list[str]:
    """What was written, in order."""
    return [one["data"]["text"] for one in messages if one["data"].get("text") is not None]


def brief(message: Json) -> str:
    """A message in a few words, for failures."""
    return f"{message['type']} {message['data'].get('text', '')}".strip()[:60]


def say(text: str) -> None:
    """Put a measurement into the test's output: `pytest -rP` shows it."""
    sys.stdout.write(f"{text}\n")
