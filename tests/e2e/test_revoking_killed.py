"""Workers are killed while they revoke, which costs time and nothing else."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.e2e.crm import Crm
from tests.e2e.provider import GONE, Provider
from tests.e2e.stack import Run
from tests.e2e.visitor import connected
from tests.processes import eventually, started_by

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]

KILLS = 3
GRAPH = "graph.facebook.com"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """One whose killed workers' jobs come free within seconds."""
    running = Run(tmp_path_factory.mktemp("killed"), lease_s=1)
    try:
        running.wait_until_running()
        yield running
    finally:
        running.process.close()


@pytest.fixture(scope="module")
def crm(run: Run) -> Iterator[Crm]:
    key = run.command("keys", "create", "--role", "crm", "--name", "tests")["key"]
    core = Crm(run.url, key, f"http://localhost:{run.port}")
    yield core
    core.close()


class Made(NamedTuple):
    """A connection, with its Page and who consented."""

    id: str
    page: str
    person: str


def connect(crm: Crm, provider: Provider, number: int) -> list[Made]:
    persons = [provider.facebook_person(f"Owner {n}") for n in range(number)]
    pages = [provider.page(person) for person in persons]
    return [
        Made(connected(crm, f"killed-{page}", "facebook", person), page, person)
        for page, person in zip(pages, persons, strict=True)
    ]


def test_a_killed_worker_leaves_nothing_half_revoked(
    run: Run, crm: Crm, provider: Provider
) -> None:
    """What the killed one held comes free when its lease is over."""
    made = connect(crm, provider, 3)
    for one in made:
        crm.order_revocation(one.id)
    kill_workers(run)
    assert_ended(crm, provider, made)


def test_a_provider_that_is_away_at_that_is_asked_again(
    run: Run, crm: Crm, provider: Provider
) -> None:
    """The worker dies on its way to put the tokens into escrow, or just after; the receipt is as
    complete as any.
    """
    made = connect(crm, provider, 1)
    before = provider.newest_call()
    provider.act("trouble", kind="unavailable", host=GRAPH, count=1)
    crm.order_revocation(made[0].id)
    assert provider.answered(before, f"/{made[0].page}/subscribed_apps") == 503
    kill_workers(run, times=1)
    assert_ended(crm, provider, made)


def kill_workers(run: Run, times: int = KILLS) -> None:
    """Again and again, at other moments each time."""
    for n in range(times):
        time.sleep(0.1 * n)
        killed = _workers(run)
        assert killed, "a worker runs"
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: set(_workers(run)) - set(killed), 60)  # noqa: B023


def assert_ended(crm: Crm, provider: Provider, made: list[Made]) -> None:
    """Revoked, with complete receipts, and nothing is left of them at the provider."""
    eventually(lambda: all(crm.connection(x.id)["status"] == "revoked" for x in made), 90, 0.3)
    for one in made:
        receipt = crm.receipt(one.id)
        assert (receipt["subscription"], receipt["consent"]) == ("ended", "ended")
        assert crm.connection(one.id)["calls_out"] is False, "its tokens are gone"
        assert provider.subscribed("facebook", one.page) == []
        assert provider.consent("facebook", one.person) == GONE


def _workers(run: Run) -> list[int]:
    """Those that run now."""
    return [pid for pid in started_by(run.process.pid) if b"worker" in _command(pid)]


def _command(pid: int) -> list[bytes]:
    """Its words, none when it has ended just now."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        return []
