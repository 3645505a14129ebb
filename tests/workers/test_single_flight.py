"""Fifty processes and one call; processes that die between the provider's answer and the commit."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import sqlalchemy as sa

from contracts.errors import Reauthorize
from storage.connections import Grant
from storage.grants import Grants
from storage.schema import due
from tests.conftest import Spawn
from tests.processes import Process, eventually
from tests.rig import Rig
from tests.workers.granted import consent, refresh, said, status, tokens
from tests.workers.logins import Provider, logins, served

CROWD = 50
ROOT = Path(__file__).parents[2]


@pytest.fixture
def provider() -> Iterator[Provider]:
    with served(Provider()) as provider:
        yield provider


@pytest.fixture
def rig(database_url: str, tmp_path: Path, provider: Provider) -> Iterator[Rig]:
    with ExitStack() as stack:
        rig = Rig(database_url, tmp_path / "var", logins(provider.url))
        stack.callback(rig.close)
        stack.callback(rig.parts.transport.close)
        stack.callback(rig.parts.scheduler.stop)
        yield rig


def _asker(
    spawn: Spawn, rig: Rig, provider: Provider, action: str, grant: Grant, *rest: str
) -> Process:
    where = (rig.settings.database, str(rig.settings.data_dir), provider.url)
    program = [sys.executable, "-m", "tests.workers.askers", action, *where, grant.id, *rest]
    return spawn(program, cwd=ROOT, name=action)


def _expire(rig: Rig) -> None:
    """Let the dead process's lease run out, by the database's clock."""
    with rig.database.write() as connection:
        held = sa.update(due).where(due.c.ticket.is_not(None))
        connection.execute(held.values(due_at_ms=rig.database.clock_ms() - 1))


def test_of_fifty_processes_one_asks_the_provider(
    rig: Rig, provider: Provider, spawn: Spawn
) -> None:
    provider.delay_s = 1.0
    grant = consent(rig, tokens(60), [])
    crowd = _asker(spawn, rig, provider, "crowd", grant, str(CROWD))
    output = crowd.wait_for("done", within_s=100)
    assert output.count("got access-1\n") == CROWD
    assert provider.calls == 1
    assert Grants(rig.database).get(grant.id).version == 2


def _killed_between_answer_and_commit(
    rig: Rig, provider: Provider, spawn: Spawn, grant: Grant
) -> None:
    loser = _asker(spawn, rig, provider, "lost", grant)
    loser.wait_for("answered", within_s=60)
    loser.kill()
    assert (provider.calls, Grants(rig.database).get(grant.id).version) == (1, 1)
    _expire(rig)


def test_an_answer_that_died_with_its_process_is_asked_for_again(
    rig: Rig, provider: Provider, spawn: Spawn
) -> None:
    page = rig.connect("acme", "10")
    grant = consent(rig, tokens(60), [page])
    _killed_between_answer_and_commit(rig, provider, spawn, grant)
    refresh(rig)
    assert (provider.calls, Grants(rig.database).get(grant.id).version) == (2, 2)
    assert rig.parts.refresher.fresh(grant.id, job="send").access_token.reveal() == "access-2"
    assert (status(rig, page)[0], said(rig)) == ("active", [])


def test_where_the_answer_spent_the_refresh_token_the_owner_is_needed_and_told_why(
    rig: Rig, provider: Provider, spawn: Spawn
) -> None:
    provider.rotates = True
    page = rig.connect("acme", "10")
    grant = consent(rig, tokens(60), [page], login="rotating")
    _killed_between_answer_and_commit(rig, provider, spawn, grant)
    assert Grants(rig.database).get(grant.id).asked_at_ms is not None
    refresh(rig)
    state, reason = status(rig, page)
    assert state == "needs_reauth"
    assert reason.startswith("an earlier refresh got no answer, and may have spent its token")
    assert said(rig) == [("needs_reauth", reason)]
    with pytest.raises(Reauthorize):
        rig.parts.refresher.fresh(grant.id, job="send")
    assert provider.calls == 2


def test_a_living_worker_takes_over_when_the_lease_ends(
    rig: Rig, provider: Provider, spawn: Spawn
) -> None:
    """Without anybody's help: the scheduler by itself, and no broker anywhere."""
    grant = consent(rig, tokens(60), [])
    _killed_between_answer_and_commit(rig, provider, spawn, grant)
    rig.parts.scheduler.start()
    eventually(lambda: Grants(rig.database).get(grant.id).version == 2, within_s=15)
