"""The KMS away for longer than opened keys are kept: accepting goes on, reading follows."""

import logging
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx
import pytest

from storage.database import Database
from storage.deliveries import Deliveries
from tests.chaos.deployment import EDGE, Deployment, post, pull_all, texts_of
from tests.chaos.load import Follower, Sender, shortcomings
from tests.kms.transit import TOKEN, VaultProcess, certificate
from tests.processes import eventually
from tests.rig import text

log = logging.getLogger(__name__)

AWAY_S: Final = float(os.environ.get("GATEWAY_TEST_KMS_AWAY_SECONDS", "6"))
CACHE_S: Final = float(os.environ.get("GATEWAY_TEST_KMS_CACHE_SECONDS", "2"))
RESUMED_S: Final = 60
"""Lanes and sweeps pause for up to 30 s after long outages."""
SETTLED_S: Final = 60 + AWAY_S / 4
SLICES: Final = 5
PAUSE_S: Final = max(0.06, AWAY_S / 1000)
"""The longer it takes the slower it goes: thousands of texts are enough."""
PAGES: Final = {"10": ("acme",), "20": ("acme", "other")}

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(240 + 2 * AWAY_S)]


@pytest.fixture
def vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[VaultProcess]:
    """A KMS of the test's own, which runs."""
    monkeypatch.setenv("VAULT_CACERT", str(certificate(tmp_path)))
    monkeypatch.setenv("VAULT_TOKEN", TOKEN)
    found = VaultProcess(tmp_path)
    found.start()
    yield found
    found.kill()


@pytest.fixture
def deployment(database_url: str, tmp_path: Path, vault: VaultProcess) -> Iterator[Deployment]:
    """An edge and two workers on each database."""
    found = _deployed(database_url, tmp_path, vault)
    try:
        found.start()
        yield found
    finally:
        found.close()


def _deployed(database_url: str, folder: Path, vault: VaultProcess) -> Deployment:
    """A deployment whose keys are wrapped by that KMS."""
    pages = [(tenant, page) for page, tenants in PAGES.items() for tenant in tenants]
    settings = {"GATEWAY_KEK_URI": vault.uri, "GATEWAY_KEY_CACHE_SECONDS": str(CACHE_S)}
    return Deployment(folder, database_url, pages=pages, workers=2, settings=settings)


class Load:
    """Two senders and a reader, at work until `finish`."""

    def __init__(self, deployment: Deployment) -> None:
        conversations = [[(page, f"{seed}{page}") for page in PAGES] for seed in (1, 2)]
        self.senders = [Sender(deployment, x, n, PAUSE_S) for n, x in enumerate(conversations)]
        self.follower = Follower(deployment)
        for thread in (self.follower, *self.senders):
            thread.start()

    def acknowledged(self) -> int:
        return sum(len(sender.acknowledged) for sender in self.senders)

    def refused(self) -> int:
        """How many deliveries were answered, and not with 200."""
        return sum(n for x in self.senders for status, n in x.unanswered.items() if status)

    def wrong(self) -> list[str]:
        acknowledged = [text for sender in self.senders for text in sender.acknowledged]
        return shortcomings(self.follower.messages, acknowledged, PAGES)

    def finish_sending(self) -> None:
        for sender in self.senders:
            sender.finish()
        for sender in self.senders:
            sender.join(30)


def test_nothing_is_lost_or_parked_and_all_goes_on_by_itself(
    deployment: Deployment, vault: VaultProcess
) -> None:
    load = Load(deployment)
    try:
        eventually(lambda: len(load.follower.messages) >= 20, within_s=30)
        vault.kill()
        began = time.monotonic()
        before = load.acknowledged()
        eventually(
            lambda: _pulled(deployment) == "key-unavailable", within_s=CACHE_S + 30, every_s=0.5
        )
        waited = time.monotonic() - began
        assert load.refused() == 0
        _restart_all_but_one_worker(deployment)
        _accepts_all_the_while(load, began + AWAY_S)
        accepted = load.acknowledged() - before
        _says_what_is(deployment)
        read = len(load.follower.messages)
        away = time.monotonic() - began
        vault.start()
        back = time.monotonic()
        eventually(lambda: len(load.follower.messages) > read, within_s=RESUMED_S)
        resumed = time.monotonic() - back
    finally:
        load.finish_sending()
    eventually(lambda: not load.wrong(), within_s=SETTLED_S, every_s=1)
    caught_up = time.monotonic() - back
    load.follower.finish()
    counts = _left_over(deployment)
    log.warning(
        "KMS away for %.0f s, keys kept for %.0f s: reading stopped after %.0f s; %d texts "
        "accepted meanwhile, %d refused; after it was back reading went on within %.1f s and had "
        "caught up within %.1f s; %s; %d texts in all, none lost, doubled or out of order",
        *(away, CACHE_S, waited, accepted, load.refused(), resumed, caught_up, counts),
        load.acknowledged(),
    )
    assert counts == {"parked": 0, "unrouted": 0}
    assert load.follower.refusals == []
    with deployment.client() as client:
        acknowledged = [text for sender in load.senders for text in sender.acknowledged]
        assert shortcomings(pull_all(client), acknowledged, PAGES) == []


def test_a_kms_that_hangs_holds_nothing_up(
    sqlite_url: str, tmp_path: Path, vault: VaultProcess
) -> None:
    """More pulls wait for it than the edge has threads; it stays ready, and it accepts."""
    deployment = _deployed(sqlite_url, tmp_path, vault)
    stopping = threading.Event()
    pulls = [threading.Thread(target=_pull_on, args=(deployment, stopping)) for _ in range(20)]
    try:
        deployment.start()
        with deployment.client() as client:
            assert post(client, text("10", "7", "hello")) == 200
            eventually(lambda: texts_of(pull_all(client)), within_s=20)
            vault.freeze()
            time.sleep(CACHE_S)
            for pull in pulls:
                pull.start()
            for number in range(20):
                began = time.monotonic()
                assert post(client, text("10", "7", f"{number}")) == 200
                ready = client.get("/readyz")
                assert (ready.status_code, time.monotonic() - began < 2) == (200, True)
                time.sleep(0.2)
            vault.thaw()
            eventually(lambda: _pulled(deployment) is None, within_s=20)
            eventually(lambda: len(texts_of(pull_all(client))) == 21, within_s=RESUMED_S)
    finally:
        stopping.set()
        for pull in pulls:
            pull.join(20)
        deployment.close()


def _pull_on(deployment: Deployment, stopping: threading.Event) -> None:
    while not stopping.wait(0.1):
        _pulled(deployment)


def _pulled(deployment: Deployment) -> str | None:
    """The problem with which a pull ends; None without one."""
    with deployment.client() as client:
        try:
            answer = client.get("/v1/messages")
        except httpx.TransportError:
            return None
    if answer.status_code == 200:
        return None
    return str(answer.json()["type"]).rpartition(":")[2]


def _restart_all_but_one_worker(deployment: Deployment) -> None:
    """What starts with the KMS away: the edge is ready, the worker waits."""
    for name in (EDGE, "worker-1"):
        deployment.kill(name)
        deployment.start_one(name)
    eventually(deployment.is_ready, within_s=30)
    deployment.wait_for("worker-1", "worker.waits_for_keys", within_s=30)


def _accepts_all_the_while(load: Load, until: float) -> None:
    pause = max(1.0, (until - time.monotonic()) / SLICES)
    while time.monotonic() < until:
        refused, accepted = load.refused(), load.acknowledged()
        time.sleep(pause)
        assert load.acknowledged() > accepted
        assert load.refused() == refused


def _says_what_is(deployment: Deployment) -> None:
    eventually(lambda: _key_told(deployment) == "key-unavailable", within_s=30)
    assert _pulled(deployment) == "key-unavailable"
    assert "kek.away" in deployment.output(EDGE)
    assert "drain.unavailable" in deployment.output("worker-2")
    assert TOKEN not in "".join(map(deployment.output, (EDGE, *deployment.workers)))


def _key_told(deployment: Deployment) -> str:
    """What an edge, which is ready, says of the key-encryption key; `too-slow` on a busy one."""
    ready = httpx.get(f"{deployment.url}/readyz", timeout=5)
    assert ready.status_code == 200
    return str(ready.json()["parts"]["key_encryption_key"])


def _left_over(deployment: Deployment) -> dict[str, int]:
    database = Database(deployment.settings.database)
    try:
        found = Deliveries(database)
        return {status: len(found.list(status)) for status in ("parked", "unrouted")}
    finally:
        database.close()
