"""SQLite's single writer: fair turns between processes, and none lost with its holder."""

import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path

import pytest

from storage.turn import Turn
from tests.conftest import Spawn
from tests.processes import eventually

GREEDY = """
import sys, time
from pathlib import Path
from storage.turn import Turn

turn, name = Turn(Path(sys.argv[1])), sys.argv[2]
with Path(sys.argv[3]).open("a") as log:
    while not Path(sys.argv[4]).exists():
        time.sleep(0.005)
    until = time.monotonic() + 1.5
    while time.monotonic() < until:
        with turn:
            log.write(name)
            log.flush()
            time.sleep(0.002)
"""
HOLDING = """
import sys, time
from pathlib import Path
from storage.turn import Turn

with Turn(Path(sys.argv[1])):
    print("mine", flush=True)
    time.sleep(60)
"""
ROOT = Path(__file__).parents[2]


def test_greedy_processes_take_turns(tmp_path: Path, spawn: Spawn) -> None:
    turns, begin = tmp_path / "turns", tmp_path / "begin"
    greedy = [
        spawn([sys.executable, "-c", GREEDY, tmp_path / "turn", name, turns, begin], cwd=ROOT)
        for name in "abc"
    ]
    time.sleep(0.5)
    begin.touch()
    for process in greedy:
        assert process.wait() == 0, process.output()
    order = turns.read_text()
    shares = Counter(order)
    assert min(shares.values()) > len(order) / 6, f"somebody starved: {shares}"
    runs = [len(list(same)) for _, same in groupby(order)]
    assert sorted(runs)[int(len(runs) * 0.9)] <= 2, "one overtook those who waited"


def test_a_killed_holder_gives_its_turn_back(tmp_path: Path, spawn: Spawn) -> None:
    holder = spawn([sys.executable, "-c", HOLDING, tmp_path / "turn"], cwd=ROOT)
    holder.wait_for("mine")
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(_take, Turn(tmp_path / "turn"))
        time.sleep(0.2)
        assert not waiting.done()
        holder.kill()
        waiting.result(timeout=5)


def _take(turn: Turn) -> None:
    with turn:
        pass


def test_threads_exclude_each_other(tmp_path: Path) -> None:
    turn = Turn(tmp_path / "turn")
    inside, most = 0, 0
    lock = threading.Lock()

    def work(_: int) -> None:
        nonlocal inside, most
        with turn:
            with lock:
                inside += 1
                most = max(most, inside)
            time.sleep(0.001)
            with lock:
                inside -= 1

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(100)))
    assert most == 1


def test_an_error_inside_gives_the_turn_back(tmp_path: Path) -> None:
    turn = Turn(tmp_path / "turn")
    with pytest.raises(LookupError), turn:
        raise LookupError
    with ThreadPoolExecutor(1) as threads:
        taken = threads.submit(_take, turn)
        eventually(taken.done, within_s=5)
