"""`gateway run` as a process: alone over its data, ended whole, its children restarted."""

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.e2e.stack import Feed, Run, say
from tests.processes import eventually, free_port, started_by
from tests.sandbox.stage import PSID

CHILDREN = {"gateway serve", "workers worker", "workers schedule", "sandbox serve"}
STOPS_WITHIN_S = 18


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Run]:
    """A run of the test's own, running."""
    running = Run(tmp_path)
    try:
        say(f"cold start: {running.wait_until_running():.1f} s")
        yield running
    finally:
        running.process.close()


def children(run: Run) -> dict[str, int]:
    """Module and command of each child, with its process id."""
    return {name: pid for pid in started_by(run.process.pid) if (name := _name(pid)) in CHILDREN}


def _all_new(now: dict[str, int], before: dict[str, int]) -> bool:
    return set(now) == CHILDREN and not set(now.values()) & set(before.values())


def _name(pid: int) -> str:
    """The two words after `-m`; nothing of a process that is gone."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return ""
    return " ".join(words[words.index("-m") + 1 :][:2]) if "-m" in words else ""


def _alive(pids: list[int]) -> list[int]:
    return [pid for pid in pids if _state(pid) not in "ZX"]


def _state(pid: int) -> str:
    """The state's letter, `X` when there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "X"


def test_two_runs_over_the_same_data_are_refused(run: Run) -> None:
    with run.another("run", *run.options(free_port(), free_port())) as second:
        assert second.wait() == 1
        assert f"in use by another gateway run, pid {run.process.pid}" in second.output()


@pytest.mark.parametrize("option", ["--port", "--sandbox-port"])
def test_a_port_that_is_taken_is_named(run: Run, tmp_path: Path, option: str) -> None:
    taken = {"--port": (run.port, None), "--sandbox-port": (None, run.sandbox_port)}
    with Run(tmp_path, *taken[option]).process as second:
        assert second.wait() == 1
        assert f"another one: {option} (" in second.output()


def test_sigterm_ends_everything_in_order(fresh: Run) -> None:
    assert set(children(fresh)) == CHILDREN
    everyone = started_by(fresh.process.pid)
    with Feed(fresh.curl_line) as feed, ThreadPoolExecutor(1) as pool:
        feed.skip()
        waiting = pool.submit(feed.pull, 30)
        time.sleep(0.3)
        asked = time.monotonic()
        assert fresh.process.terminate(STOPS_WITHIN_S) == 0
        took = time.monotonic() - asked
        assert waiting.result() == []  # a reader that waits is answered, not cut off
    say(f"stopped in {took:.1f} s")
    assert _alive(everyone) == []
    output = fresh.process.output()
    assert "killed" not in output
    assert "[error" not in output
    assert output.endswith("Stopped.\n")


def test_a_child_that_is_killed_comes_back_and_none_outlives_the_supervisor(fresh: Run) -> None:
    before = children(fresh)
    for pid in before.values():
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: _all_new(children(fresh), before), 30)
    for name in ("edge", "worker", "schedule", "sandbox"):
        assert f"{name} was killed by signal 9; starts again in" in fresh.process.output()
    eventually(lambda: _answers(fresh.url) and _answers(fresh.sandbox_url), 30)
    phone = fresh.phone(PSID)
    phone.write("still here")
    phone.http.close()
    with Feed(fresh.curl_line) as feed:
        assert feed.texts_until("still here", of=PSID) == ["still here"]
    everyone = started_by(fresh.process.pid)
    fresh.process.kill()
    eventually(lambda: _alive(everyone) == [], 5)


def _answers(url: str) -> bool:
    """Whether a program that has just started listens by now."""
    try:
        return httpx.get(f"{url}/healthz", trust_env=False).is_success
    except httpx.TransportError:
        return False
