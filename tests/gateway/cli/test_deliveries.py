"""`gateway deliveries` and `gateway messages`: what came in, again, and what became of it."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from contracts.connector import Item
from storage.replays import Replays
from tests.conftest import Spawn
from tests.gateway.cli.conftest import Gateway
from tests.rig import ENVIRON, Rig, text


@contextmanager
def _working(rig: Rig) -> Iterator[None]:
    """A worker that carries out replays in this process."""
    ended = threading.Event()

    def work() -> None:
        while not ended.wait(0.05):
            rig.parts.replayer.run_queued()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_waiting_then_unrouted_then_handled(rig: Rig, gateway: Gateway) -> None:
    lanes = rig.put(text("42", "7", "hello"))
    [waiting] = gateway("deliveries", "list", "--json").json
    assert waiting["status"] == "waiting"
    rig.drain(lanes)
    [unrouted] = gateway("deliveries", "list", "--status", "unrouted", "--json").json
    assert unrouted["id"] == waiting["id"]
    assert gateway("deliveries", "list", "--provider", "gmail", "--json").json == []
    assert gateway("deliveries", "show", unrouted["id"], "--json").json["status"] == "unrouted"
    assert "hello" not in gateway("deliveries", "list").out


def test_a_replay_says_what_it_added(rig: Rig, gateway: Gateway) -> None:
    rig.connect("acme", "42")
    rig.drain(rig.put(text("42", "7", "hello")))
    with _working(rig):
        ran = gateway("deliveries", "replay", "itm_1")
    assert ran.code == 0
    assert "1 delivery: added 0, already there 1" in ran.err
    assert len(rig.messages()) == 1


def test_replaying_what_was_unrouted_adds_it(rig: Rig, gateway: Gateway) -> None:
    rig.drain(rig.put(text("42", "7", "one"), text("42", "7", "two")))
    rig.connect("acme", "42")
    with _working(rig):
        ran = gateway("deliveries", "replay", "--status", "unrouted", "--json")
    assert (ran.code, ran.json["state"], ran.json["added"]) == (0, "done", 2)
    assert rig.texts() == ["one", "two"]
    assert gateway("deliveries", "list", "--json").json == []


def test_parked_again_is_said(rig: Rig, gateway: Gateway) -> None:
    rig.connect("acme", "42")
    rig.drain(rig.put_items([Item("facebook", "42", b'{"id":"42","messaging":[{"message":3}]}')]))
    [parked] = gateway("deliveries", "list", "--status", "parked", "--json").json
    assert (parked["tenant"], parked["id"][:4]) == ("acme", "prk_")
    with _working(rig):
        ran = gateway("deliveries", "replay", parked["id"])
    assert (ran.code, "parked again 1" in ran.err) == (0, True)


def test_what_is_not_there_is_not_ordered(rig: Rig, gateway: Gateway) -> None:
    assert gateway("deliveries", "show", "itm_99").code == 1
    assert gateway("deliveries", "replay", "itm_99").code == 1
    assert gateway("deliveries", "replay", "nonsense").code == 1
    assert Replays(rig.database).queued() == []


def test_without_a_worker_it_stays_ordered(
    rig: Rig, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.cli.deliveries.PATIENCE_S", 0.1)
    rig.put(text("42", "7", "hello"))
    ran = gateway("deliveries", "replay", "itm_1")
    assert (ran.code, "Is one running" in ran.err) == (1, True)


def test_tail_prints_the_newest_and_follows(rig: Rig, spawn: Spawn) -> None:
    rig.connect("acme", "42")
    rig.drain(rig.put(*(text("42", "7", f"old {n}") for n in range(12))))
    environ = {
        "GATEWAY_DATABASE_URL": rig.settings.database,
        "GATEWAY_DATA_DIR": str(rig.settings.data_dir),
        **ENVIRON,
    }
    command = [sys.executable, "-m", "gateway", "messages", "tail"]
    lines = spawn([*command, "--json"], env=environ, name="json")
    table = spawn([*command, "--tenant", "acme"], env=environ, name="table")
    lines.wait_for("old 11")
    assert "old 1\\n" not in table.wait_for("old 11")
    rig.drain(rig.put(text("42", "7", "new\x1b[31m one")))
    lines.wait_for("new")
    assert "message.received    acme" in table.wait_for("new [31m one")
    messages = [json.loads(line) for line in lines.output().splitlines()]
    assert [int(message["sequence"]) for message in messages] == list(range(3, 14))
    assert "\x1b[31m one" not in table.output()


def test_tail_ends_quietly_when_nobody_reads_on(rig: Rig) -> None:
    rig.connect("acme", "42")
    rig.drain(rig.put(text("42", "7", "hello")))
    environ = {
        "GATEWAY_DATABASE_URL": rig.settings.database,
        "GATEWAY_DATA_DIR": str(rig.settings.data_dir),
    }
    tail = subprocess.Popen(
        [sys.executable, "-m", "gateway", "messages", "tail"],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        assert tail.stdout is not None
        assert b"hello" in tail.stdout.readline()
        tail.stdout.close()
        rig.drain(rig.put(text("42", "7", "more")))
        until = time.monotonic() + 20
        while tail.poll() is None and time.monotonic() < until:
            time.sleep(0.05)
        assert tail.stderr is not None
        assert b"Traceback" not in tail.stderr.read()
        tail.stderr.close()
    finally:
        tail.kill()
        tail.wait()
