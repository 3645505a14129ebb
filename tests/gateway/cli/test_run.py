"""`gateway run`: from an empty folder to a message in a long poll, and whatever dies meanwhile."""

import os
import re
import signal
import socket
import stat
import sys
from pathlib import Path

import httpx
import pytest

from tests.conftest import Spawn
from tests.gateway.cli.conftest import Gateway
from tests.processes import Process, eventually, started_by

CURL = re.compile(r'curl -H "Authorization: (Bearer \S+)" "(\S+)"')
SANDBOX = re.compile(r"Sandbox +(\S+)")


class Running:
    """A `gateway run --sandbox` and what its banner offers."""

    def __init__(self, process: Process) -> None:
        self.process = process
        output = process.wait_for("See the messages arrive", within_s=60)
        output = process.wait_for("wait=30", within_s=5)
        self.authorization, self.poll = _found(CURL, output)
        [self.sandbox] = _found(SANDBOX, output)

    def write(self, text: str) -> None:
        """As a contact, in the sandbox."""
        page = httpx.get(f"{self.sandbox}/api/pages").json()["pages"][0]
        contact = f"{self.sandbox}/api/pages/{page['id']}/contacts/{page['contacts'][0]['psid']}"
        httpx.post(f"{contact}/messages", json={"text": text}).raise_for_status()

    def texts(self) -> list[str]:
        """All texts, as the banner's curl line reads them; none while the edge is away."""
        poll = self.poll.replace("wait=30", "wait=5")
        try:
            answer = httpx.get(poll, headers={"authorization": self.authorization}, timeout=30)
        except httpx.TransportError:
            return []
        return [one["data"]["text"] for one in answer.json().get("messages", [])]

    def child(self, name: str) -> int:
        """The process id of one of its programs."""
        for pid in started_by(self.process.pid):
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if name.encode() in command:
                return pid
        raise AssertionError(f"no {name} runs")


def _found(pattern: re.Pattern[str], text: str) -> tuple[str, ...]:
    match = pattern.search(text)
    assert match, text
    return match.groups()


@pytest.fixture
def running(spawn: Spawn, folder: Path, free_port: int) -> Running:
    public = {"GATEWAY_PUBLIC_URL": "", "GATEWAY_DATA_DIR": "var"}
    command = [sys.executable, "-m", "gateway", "run", "--sandbox", "--port", str(free_port)]
    return Running(spawn(command, env=public, cwd=folder, name="run"))


@pytest.mark.slow
def test_a_message_travels_and_nothing_that_dies_stops_it(running: Running, folder: Path) -> None:
    running.write("first")
    eventually(lambda: running.texts() == ["first"], within_s=30)
    for name in ("worker", "serve", "schedule"):
        os.kill(running.child(name), signal.SIGKILL)
        running.process.wait_for("starts again")
    running.write("second")
    eventually(lambda: running.texts() == ["first", "second"], within_s=30)
    secrets = [path for path in (folder / "var").rglob("*") if path.parent.name == "sandbox"]
    assert {path.name for path in secrets} == {
        "app_secret",
        "instagram_app_secret",
        "google_client_secret",
        "verify_token",
        "crm_key",
    }
    assert {stat.S_IMODE(path.stat().st_mode) for path in secrets} == {0o600}
    assert stat.S_IMODE((folder / "var").stat().st_mode) == 0o700
    children = started_by(running.process.pid)
    assert running.process.terminate(30) == 0
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]


def test_an_edge_whose_address_is_taken_says_so(
    spawn: Spawn, folder: Path, gateway: Gateway
) -> None:
    gateway("db", "upgrade")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "gateway", "serve", "--port", port]
        edge = spawn(command, env={"GATEWAY_DATA_DIR": str(folder / "var")}, name="serve")
        assert edge.wait() == 1
    assert f"cannot listen on 127.0.0.1:{port}" in edge.output()


@pytest.mark.slow
def test_it_goes_on_where_it_was(running: Running, spawn: Spawn, folder: Path) -> None:
    running.write("before")
    eventually(lambda: running.texts() == ["before"], within_s=30)
    children = started_by(running.process.pid)
    running.process.kill()
    eventually(lambda: not [pid for pid in children if Path(f"/proc/{pid}/exe").exists()])
    port = running.poll.rpartition(":")[2].partition("/")[0]
    again = [sys.executable, "-m", "gateway", "run", "--sandbox", "--port", port]
    public = {"GATEWAY_PUBLIC_URL": "", "GATEWAY_DATA_DIR": "var"}
    second = Running(spawn(again, env=public, cwd=folder, name="again"))
    assert second.authorization == running.authorization
    eventually(lambda: second.texts() == ["before"], within_s=30)
    third = spawn(again, env=public, cwd=folder, name="third")
    assert third.wait() == 1
    assert f"in use by another gateway run, pid {second.process.pid}" in third.output()


def test_a_taken_port_is_said(gateway: Gateway, free_port: int) -> None:
    with socket.create_server(("127.0.0.1", free_port)):
        ran = gateway("run", "--port", str(free_port))
    assert (ran.code, f"127.0.0.1:{free_port}" in ran.err) == (1, True)


def test_a_public_address_gets_no_sandbox(
    gateway: Gateway, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_PUBLIC_URL", "https://gateway.example")
    ran = gateway("run", "--sandbox", "--port", str(free_port))
    assert (ran.code, "loopback" in ran.err) == (1, True)
