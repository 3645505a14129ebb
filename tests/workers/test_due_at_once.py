"""From a due row that the edge puts in to its job in a worker: at a nudge, not at the next look."""

import sys
from pathlib import Path

import pytest

from storage.database import now_ms
from storage.due import DueRows
from tests import services
from tests.conftest import Spawn
from tests.rig import Rig
from workers.queue import Queue

KIND = "work"
ROOT = Path(__file__).parents[2]
SELDOM_S = "600"


@pytest.fixture(params=["filesystem", pytest.param("redis", marks=pytest.mark.redis_server)])
def broker_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "filesystem":
        return f"filesystem://{tmp_path / 'broker'}"
    server: services.PrivateRedis = request.getfixturevalue("private_redis")
    return server.url


def test_a_row_that_was_just_put_in_is_begun_at_a_nudge(
    rig: Rig, broker_url: str, spawn: Spawn
) -> None:
    where = (rig.settings.database, str(rig.settings.data_dir), broker_url)
    program = [sys.executable, "-m", "tests.workers.due_worker", *where, KIND, SELDOM_S]
    worker = spawn(program, cwd=ROOT, name="worker")
    worker.wait_for("ready", within_s=60)
    rows, queue = DueRows(rig.database), Queue(broker_url)
    for number in range(5):
        rows.schedule(KIND, str(number), now_ms())
        queue.due()
        output = worker.wait_for(f"began {number} ")
    assert output.count("began") == 5, "each once"
