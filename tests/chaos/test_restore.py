"""Yesterday's database under today's key store: what was shredded stays so, and no reader skips."""

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import httpx
import pytest

from contracts.errors import KeyDestroyed
from storage.cursors import BEGINNING
from tests.backups import Backup, backup_of
from tests.chaos.deployment import Deployment, gaps, post, pull, pull_all, texts_of
from tests.processes import eventually
from tests.rig import text
from token_vault import open_vault

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(180)]

PAGES: Final = (("acme", "10"), ("gone", "20"))


@pytest.fixture
def backup(database_url: str, tmp_path: Path) -> Backup:
    """Backups of the test's own database."""
    return backup_of(database_url, tmp_path)


@contextlib.contextmanager
def _running(deployment: Deployment) -> Iterator[httpx.Client]:
    """Started, and killed at the end: a restore finds nothing running."""
    deployment.start()
    try:
        with deployment.client() as client:
            yield client
    finally:
        deployment.close()


def test_a_restored_deployment(database_url: str, backup: Backup, tmp_path: Path) -> None:
    deployment = Deployment(tmp_path, database_url, pages=PAGES)
    with _running(deployment) as client:
        _write(client, "10", "kept 1", "kept 2")
        _write(client, "20", "shredded")
        backup.make()
        ids = {m["data"]["text"]: m["id"] for m in pull_all(client)}
        _write(client, "10", *(f"lost {n}" for n in range(5)))
        ahead = pull(client, "").next
    _shred(deployment, "gone")

    backup.restore()
    with _running(deployment) as client:
        assert client.get(f"/v1/messages/{ids['shredded']}").status_code == 410
        assert client.get(f"/v1/messages/{ids['kept 1']}").status_code == 200
        assert texts_of(pull_all(client)) == ["kept 1", "kept 2"], "left out, and gone on"
        assert _resume(client, ahead) == str(BEGINNING), "nobody has said where the logs parted"
        _write(client, "10", *(f"new {n}" for n in range(9)))
        assert _resume(client, ahead) == str(BEGINNING), (
            "the place is taken again, by another message"
        )
        assert texts_of(pull_all(client))[2:] == [f"new {n}" for n in range(9)]

    backup.restore()
    before = datetime.now(UTC).isoformat(timespec="milliseconds")
    deployment.command("db", "restored")
    with _running(deployment) as client:
        _write(client, "10", *(f"new {n}" for n in range(9)))
        page = pull(client, _resume(client, ahead))
        assert texts_of(page.messages) == [f"new {n}" for n in range(9)], "no more, no less"
        eventually(lambda: gaps(client), within_s=10)
        (gap,) = gaps(client)
        assert (gap["tenant"], gap["data"]["reason"]) == ("acme", "restored")
        assert gap["data"]["until"] >= before


def _write(client: httpx.Client, page: str, *texts: str) -> None:
    """Deliver, and wait until all is in the feed."""
    for words in texts:
        assert post(client, text(page, "7", words)) == 200
    eventually(lambda: set(texts) <= set(texts_of(pull_all(client))))


def _shred(deployment: Deployment, tenant: str) -> None:
    vault = open_vault(deployment.settings)
    vault.destroy_tenant(tenant)
    with pytest.raises(KeyDestroyed):
        vault.tenant(tenant)
    vault.close()


def _resume(client: httpx.Client, after: str) -> str:
    """Where a reader at `after` is told to go on."""
    answer = client.get("/v1/messages", params={"after": after})
    assert answer.status_code == 409
    problem = answer.json()
    assert problem["type"].endswith("log-restored")
    return str(problem["resume"])
