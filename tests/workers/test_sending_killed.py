"""A worker that is killed in the middle of a send: a real process, on each database."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import Process
from tests.workers.granted import come_due
from tests.workers.letterbox import Stage


@pytest.fixture
def stage(database_url: str, tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(database_url, tmp_path / "var")
    yield stage
    stage.close()


def test_what_it_was_at_is_unknown_never_sent_again_and_settled_by_the_echo(
    stage: Stage, tmp_path: Path
) -> None:
    first, second = stage.post("one"), stage.post("two")
    database, folder = stage.rig.settings.database, str(stage.rig.settings.data_dir)
    worker = Process(
        [sys.executable, "-m", "tests.workers.sending_worker", database, folder],
        log=tmp_path / "worker.log",
        cwd=Path(__file__).parents[2],
    )
    try:
        worker.wait_for("taken one", 30)
        assert stage.state(first) == ("sending", "")
    finally:
        worker.close()
    stage.work()
    assert stage.box.taken == []  # the dead one's lease has not run out

    come_due(stage.rig)
    stage.work()
    assert stage.state(first) == ("unknown", "outcome-unknown")
    assert stage.state(second) == ("sent", "")
    assert stage.box.texts == ["two"]

    stage.echo(first)
    stage.work()
    assert stage.state(first) == ("sent", "")
    assert stage.box.texts == ["two"]
    assert {message.data.send_id for message in stage.said()} == {first.id, second.id}
