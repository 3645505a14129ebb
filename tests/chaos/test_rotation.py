"""Keys of both kinds are changed under load: no request fails, and what is killed goes on."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
import sqlalchemy as sa

from storage import schema
from storage.database import Database
from storage.rotations import Rotations
from storage.sealed import SEALED
from tests.chaos.deployment import LEASE_S, Deployment, pull
from tests.chaos.load import Sender, Text, delivery, shortcomings
from tests.processes import eventually
from tests.rig import Rig
from token_vault import Vault, keysets, open_vault

log = logging.getLogger(__name__)

TENANTS: Final = {"101": ("acme",), "102": ("other",)}
STORED: Final = 4_000
"""Texts in the log when the keys are changed."""
KEYS: Final = 4_000
"""Further keys to re-wrap."""

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(180)]


class Reader(threading.Thread):
    """Pulls as the CRM core does; every answer but 200 is kept."""

    def __init__(self, deployment: Deployment) -> None:
        super().__init__(name="reader")
        self.messages: list[dict[str, Any]] = []
        self.failures: list[str] = []
        self._client = deployment.client()
        self._stopping = threading.Event()

    def run(self) -> None:
        """Read until `finish()`, now and then from the beginning: old rows too must open."""
        after, rounds = "", 0
        with self._client:
            while not self._stopping.is_set():
                rounds += 1
                try:
                    page = pull(self._client, after, wait_s=1)
                    self.messages += page.messages
                    after = page.next
                    pull(self._client, "" if rounds % 4 == 0 else after)
                except Exception as error:  # noqa: BLE001 - asserted to be none
                    self.failures.append(repr(error))

    def finish(self) -> None:
        """Read no more."""
        self._stopping.set()
        self.join(20)


def test_keys_are_changed_under_load(database_url: str, tmp_path: Path) -> None:
    new = f"local:{tmp_path / 'new.json'}"
    old = f"local:{tmp_path / 'var' / 'keyring.json'}"
    environ = {"GATEWAY_KEK_URI": new, "GATEWAY_KEK_URI_PREVIOUS": old}
    pages = [(tenant, page) for page, tenants in TENANTS.items() for tenant in tenants]
    deployment = Deployment(tmp_path, database_url, pages=pages, workers=2, environ=environ)
    stored = _fill(database_url, deployment.data)
    vault, database = open_vault(deployment.settings), Database(database_url)
    try:
        deployment.start()
        with _load(deployment) as (senders, reader):
            _rotate_kek(deployment, vault, new)
            _rotate_data_keys(deployment, database)
        acknowledged = stored + [text for sender in senders for text in sender.acknowledged]
        statuses = {status for sender in senders for status in sender.unanswered}
        assert statuses <= {None}, "only those who hung up themselves had no answer"
        assert reader.failures == []
        assert shortcomings(reader.messages, acknowledged, TENANTS)[:20] == []
        assert _sealed_by(database) == {
            tenant: {vault.rotation.sealing(tenant)} for tenant in ("acme", "other")
        }
        log.warning("%d texts beside it", len(acknowledged) - len(stored))
    finally:
        deployment.close()
        database.close()
        vault.close()


def _fill(database_url: str, folder: Path) -> list[Text]:
    """A log, and many keys, from before."""
    rig = Rig(database_url, folder)
    at_ms = int(time.time() * 1000)
    texts = [Text(page, "9", n, at_ms) for n in range(STORED // 2) for page in TENANTS]
    for first in range(0, len(texts), 500):
        rig.drain(rig.put(delivery(texts[first : first + 500])))
    keyset = keysets.new_aead()
    rig.vault._store.add([rig.vault._wrapped("other", str(n), keyset) for n in range(KEYS)])
    rig.close()
    return texts


@contextmanager
def _load(deployment: Deployment) -> Iterator[tuple[list[Sender], Reader]]:
    """Senders and a reader at work; at the end everything is sent and read."""
    senders = [Sender(deployment, [(page, str(n)) for page in TENANTS], n) for n in (1, 2)]
    reader = Reader(deployment)
    for thread in (reader, *senders):
        thread.start()
    try:
        yield senders, reader
    finally:
        for sender in senders:
            sender.finish()
            sender.join(60)
        count = STORED + sum(len({*sender.acknowledged}) for sender in senders)
        try:
            eventually(lambda: len(reader.messages) >= count, 30)
        finally:
            reader.finish()


def _rotate_kek(deployment: Deployment, vault: Vault, new: str) -> None:
    """Killed when some keys have moved, then twice at once."""

    def moved() -> int:
        return vault.rotation.wrapping().counts.get(new, 0)

    before = moved()
    with deployment.begin("vault", "rotate", "--kek") as first:
        eventually(lambda: moved() > before or first.returncode is not None, 30, 0.001)
        first.kill()
    log.warning("killed when %d of %d keys were re-wrapped", moved() - before, KEYS)
    assert 0 < moved() - before < KEYS
    with (
        deployment.begin("vault", "rotate", "--kek") as one,
        deployment.begin("vault", "rotate", "--kek") as two,
    ):
        assert (one.wait(60), two.wait(60)) == (0, 0), one.output() + two.output()
    assert set(vault.rotation.wrapping().counts) == {new}


def _rotate_data_keys(deployment: Deployment, database: Database) -> None:
    """The workers are killed in the middle of a round; those that follow have no old key."""
    rotations = Rotations(database)
    deployment.command("vault", "rotate", "--all-tenants")
    eventually(lambda: (found := rotations.last_round()) and found.resealed, 30, 0.005)
    for name in deployment.workers:
        deployment.kill(name)
    middle = rotations.last_round()
    assert middle is not None
    log.warning("killed when %d of %d rows were re-sealed", middle.resealed, middle.total)
    assert (middle.finished_at_ms, middle.resealed < STORED) == (None, True)
    deployment.start()
    eventually(lambda: rotations.states() == {"settling": 2}, 30 + LEASE_S)
    went_on = rotations.last_round()
    assert went_on is not None
    assert went_on.id == middle.id
    with database.write() as connection:  # all caches are younger than the new keys
        connection.execute(sa.update(schema.rotations).values(settled_ms=0))
    eventually(lambda: rotations.states() == {"done": 2}, 30)
    deployment.command("vault", "rotate", "--all-tenants", "--retire")
    eventually(lambda: rotations.states() == {"retired": 2}, 30)


def _sealed_by(database: Database) -> dict[str, set[bytes]]:
    """The keys that have sealed each tenant's rows."""
    found: dict[str, set[bytes]] = {}
    with database.read() as connection:
        for column in SEALED:
            for tenant, sealed in connection.execute(
                sa.select(column.table.c.tenant, column.table.c.sealed)
            ):
                if sealed:
                    found.setdefault(tenant, set()).add(sealed[:5])
    return found
