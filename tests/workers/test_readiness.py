"""A worker begins with keys that open the key store: it waits for them, or ends."""

import sys
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from contracts.errors import KeyUnavailable, Misconfigured, Tampered, UnknownKey, VaultError
from tests.conftest import Spawn
from tests.processes import Process, free_port
from tests.rig import ENVIRON, Rig
from workers.readiness import FIRST_PAUSE_S, LONGEST_PAUSE_S, wait_for_keys

ROOT = Path(__file__).parents[2]


def test_keys_that_are_away_are_waited_for_and_it_is_said() -> None:
    looks, pauses = [0], list[float]()

    def check() -> None:
        looks[0] += 1
        if looks[0] <= 6:
            raise KeyUnavailable("the KMS does not answer")

    with capture_logs() as lines:
        wait_for_keys(check, pauses.append)
    assert [line["event"] for line in lines] == ["worker.waits_for_keys"] * 6
    assert lines[0]["detail"] == "the KMS does not answer"
    assert (pauses[0], max(pauses), looks[0]) == (FIRST_PAUSE_S, LONGEST_PAUSE_S, 7)


@pytest.mark.parametrize("kind", [UnknownKey, Tampered])
def test_keys_that_open_nothing_end_it(kind: type[VaultError]) -> None:
    def check() -> None:
        raise kind("it does not open")

    with pytest.raises(kind, match=r"GATEWAY_KEK_URI.*GATEWAY_KEYSTORE_URL.*does not open"):
        wait_for_keys(check)


def _worker(rig: Rig, spawn: Spawn, kek: str) -> Process:
    env = {
        **ENVIRON,
        "GATEWAY_DATA_DIR": str(rig.settings.data_dir),
        "GATEWAY_DATABASE_URL": rig.settings.database,
        "GATEWAY_KEK_URI": kek,
        "VAULT_TOKEN": "hvs.made-up",
        "PYTHONPATH": str(ROOT),
    }
    folder = rig.settings.data_dir
    return spawn([sys.executable, "-m", "workers", "worker"], env=env, cwd=folder)


def test_a_worker_with_another_key_ends_with_1_and_says_why(
    rig: Rig, spawn: Spawn, tmp_path: Path
) -> None:
    worker = _worker(rig, spawn, f"local:{tmp_path / 'another.json'}")
    assert worker.wait() == 1
    assert "unknown-key: the key of GATEWAY_KEK_URI does not open" in worker.output()
    assert "Traceback" not in worker.output()


def test_a_worker_whose_kms_is_away_waits_and_stops_when_told(rig: Rig, spawn: Spawn) -> None:
    worker = _worker(rig, spawn, f"hcvault://127.0.0.1:{free_port()}/transit/keys/kek")
    worker.wait_for("worker.waits_for_keys")
    worker.wait_for("does not answer")
    assert worker.returncode is None
    assert worker.terminate() == 0
    assert "Traceback" not in worker.output()


def test_a_worker_whose_settings_are_wrong_ends_with_1(rig: Rig, spawn: Spawn) -> None:
    worker = _worker(rig, spawn, "aws-kms://alias/kek")
    assert worker.wait() == 1
    assert f"{Misconfigured.reason}: GATEWAY_KEK_URI" in worker.output()
