"""The supervisor: restarts what dies, passes on output, ends everything it started."""

import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Spawn
from tests.processes import Process, eventually, started_by

SUPERVISED = Path(__file__).with_name("supervised.py")
SLEEPS = "import os, time; print('pid', os.getpid()); time.sleep(600)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEPS}"
PARENT = f"""
import subprocess, sys
subprocess.Popen([sys.executable, "-c", {SLEEPS!r}])
{SLEEPS}
"""

Supervise = Callable[..., Process]


@pytest.fixture
def supervise(spawn: Spawn) -> Supervise:
    """`supervise(name=code, …)`: the supervisor in a process of its own."""

    def start(grace_s: float = 10.0, **programs: str) -> Process:
        given = json.dumps(list(programs.items()))
        root = str(SUPERVISED.parents[3])
        command = [sys.executable, SUPERVISED, given, str(grace_s)]
        return spawn(command, env={"PYTHONPATH": root}, name="supervisor")

    return start


def _pids(output: str) -> list[int]:
    return [int(found) for found in re.findall(r"pid (\d+)", output)]


def _is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_output_is_passed_on_line_by_line(supervise: Supervise) -> None:
    said = "import sys, time; print('one'); sys.stderr.write('two\\nthr'); time.sleep(0.3); "
    supervisor = supervise(
        a=said + "sys.stderr.write('ee\\nend'); time.sleep(600)", b="print('last')"
    )
    output = supervisor.wait_for("supervisor: b ended with code 0")
    assert "b: last\n" in output
    assert "a: two\n" in supervisor.wait_for("a: three\n")
    assert supervisor.terminate() == 0
    assert "a: end\n" in supervisor.output()


def test_a_program_that_dies_starts_again_later_and_later(supervise: Supervise) -> None:
    supervisor = supervise(a="raise SystemExit(3)", b=SLEEPS)
    output = supervisor.wait_for("starts again in 0.8 s")
    assert "a ended with code 3; starts again in 0.2 s" in output
    assert "starts again in 0.4 s" in output
    assert output.count("b: pid") == 1


def test_a_killed_program_starts_again(supervise: Supervise) -> None:
    supervisor = supervise(a=SLEEPS)
    [first] = _pids(supervisor.wait_for("a: pid"))
    os.kill(first, signal.SIGKILL)
    supervisor.wait_for("a was killed by signal 9")
    eventually(lambda: len(_pids(supervisor.output())) == 2)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_it_stops_them_all(supervise: Supervise, number: signal.Signals) -> None:
    supervisor = supervise(a=SLEEPS, b=PARENT)
    eventually(lambda: len(_pids(supervisor.output())) == 3)
    supervisor.signal(number)
    assert supervisor.wait() == 0
    assert "supervisor: ended" in supervisor.output()
    eventually(lambda: not any(map(_is_running, _pids(supervisor.output()))))


def test_what_does_not_stop_is_killed(supervise: Supervise) -> None:
    supervisor = supervise(0.5, a=STUBBORN, b=SLEEPS)
    eventually(lambda: len(_pids(supervisor.output())) == 2)
    assert supervisor.terminate() == 0
    assert "supervisor: a did not stop: killed" in supervisor.output()
    assert "b did not stop" not in supervisor.output()


def test_a_second_signal_waits_no_longer(supervise: Supervise) -> None:
    supervisor = supervise(600.0, a=STUBBORN)
    supervisor.wait_for("a: pid")
    supervisor.signal(signal.SIGINT)
    time.sleep(0.5)
    assert supervisor.returncode is None
    supervisor.signal(signal.SIGINT)
    assert supervisor.wait() == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's end")
def test_killed_itself_it_takes_them_along(supervise: Supervise) -> None:
    supervisor = supervise(a=STUBBORN, b=SLEEPS)
    eventually(lambda: len(_pids(supervisor.output())) == 2)
    assert sorted(_pids(supervisor.output())) == sorted(started_by(supervisor.pid))
    supervisor.kill()
    eventually(lambda: not any(map(_is_running, _pids(supervisor.output()))))
