"""Workers are killed while they revoke, which costs time and nothing else."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.e2e.crm import Crm
from tests.e2e.provider import GONE, Provider
from tests.e2e.stack import Run
from tests.e2e.visitor import connected
from tests.processes import eventually, started_by

KILLS = 4


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_killed_worker_leaves_nothing_half_revoked(
    run: Run, crm: Crm, provider: Provider
) -> None:
    """What the killed one held comes free when its lease is over."""
    persons = [provider.facebook_person(f"Owner {n}") for n in range(3)]
    pages = [provider.page(person) for person in persons]
    made = [
        connected(crm, f"killed-{page}", "facebook", person)
        for page, person in zip(pages, persons, strict=True)
    ]
    for id_ in made:
        crm.order_revocation(id_)
    for n in range(KILLS):
        time.sleep(0.05 * n)
        killed = _workers(run)
        assert killed, "a worker runs"
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: set(_workers(run)) - set(killed), 60)  # noqa: B023
    eventually(lambda: all(crm.connection(id_)["status"] == "revoked" for id_ in made), 330, 1)
    for id_, page, person in zip(made, pages, persons, strict=True):
        receipt = crm.receipt(id_)
        assert (receipt["subscription"], receipt["consent"]) == ("ended", "ended")
        assert crm.connection(id_)["calls_out"] is False, "its tokens are gone"
        assert provider.subscribed("facebook", page) == []
        assert provider.consent("facebook", person) == GONE


def _workers(run: Run) -> list[int]:
    """Those that run now."""
    return [pid for pid in started_by(run.process.pid) if b"worker" in _command(pid)]


def _command(pid: int) -> list[bytes]:
    """Its words, none when it has ended just now."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        return []
