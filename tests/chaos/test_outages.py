"""Parts that are away for a while: nothing is lost or very late, and what was refused is said."""

import contextlib
import resource
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Final

import httpx
import pytest

from tests.chaos.deployment import EDGE, Deployment, gaps, post, pull_all, texts_of, visible_after_s
from tests.processes import eventually, started_by
from tests.rig import text
from tests.servers import PrivatePostgres, PrivateRedis

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(180)]

VISIBLE_S: Final = 2.0
GAP_S: Final = 20
NOTED_S: Final = 2.5
"""Longer than the edge takes to note on disk what it refused."""
PAGES: Final = (("acme", "10"), ("acme", "20"))


@contextlib.contextmanager
def _running(deployment: Deployment) -> Iterator[httpx.Client]:
    try:
        deployment.start()
        with deployment.client() as client:
            yield client
    finally:
        deployment.close()


# The broker


def _delays(client: httpx.Client, count: int) -> list[float]:
    """Seconds from 200 to visible, at uneven moments."""
    found = []
    after = _end(client)
    for number in range(count):
        time.sleep(0.13 * (number % 5))
        delay, after = visible_after_s(client, text("10", "7", f"{number}"), after)
        found.append(delay)
    return found


def _end(client: httpx.Client) -> str:
    page = client.get("/v1/messages", params={"limit": 1000}).raise_for_status().json()
    assert not page["has_more"]
    return str(page["next"])


@pytest.mark.redis_server
def test_without_a_broker_a_message_is_visible_within_two_seconds_and_nudges_come_back(
    private_redis: PrivateRedis, sqlite_url: str, tmp_path: Path
) -> None:
    deployment = Deployment(tmp_path, sqlite_url, broker_url=private_redis.url)
    with _running(deployment) as client:
        nudged = _delays(client, 5)
        private_redis.kill()
        alone = _delays(client, 10)
        assert max(alone) < VISIBLE_S, f"nudged {nudged}, without a broker {alone}"
        private_redis.start()
        sent = deployment.sent_nudges()
        eventually(lambda: _is_nudged(client, deployment, sent), within_s=30, every_s=0.5)


def _is_nudged(client: httpx.Client, deployment: Deployment, before: float) -> bool:
    """Whether the edge's nudges reach the worker: quicker than any sweep, five times in a row."""
    return median(_delays(client, 5)) < 0.15 and deployment.sent_nudges() > before


# The database


def _statuses_until(
    client: httpx.Client, wanted: int, *, within_s: float = 20.0, words: str = "while away"
) -> list[int | None]:
    """Deliver again and again until it is answered `wanted`; all answers."""
    deadline = time.monotonic() + within_s
    answers: list[int | None] = []
    while wanted not in answers:
        assert time.monotonic() < deadline, f"never {wanted}: {answers}"
        answers.append(post(client, text("10", "7", words, mid=f"m_{words}_{len(answers)}")))
    return answers


def _answers(question: Callable[[], bool]) -> bool:
    """The answer; no while it is 503, as it may be once for connections that were lost."""
    try:
        return question()
    except httpx.HTTPStatusError as error:
        if error.response.status_code != 503:
            raise
        return False


def _prove_refused_and_said(
    deployment: Deployment, break_it: Callable[[], object], mend_it: Callable[[], object]
) -> None:
    """Break the store, see what is refused, mend it, see that all works on and the gap is said: of
    Page 10, since nothing was refused for the other one.
    """
    with _running(deployment) as client:
        assert post(client, text("10", "7", "before")) == 200
        eventually(lambda: texts_of(pull_all(client)) == ["before"])
        break_it()
        began = time.monotonic()
        answers = [post(client, text("10", "7", f"away {n}", mid=f"m_away_{n}")) for n in range(8)]
        assert set(answers) == {503}
        assert time.monotonic() - began < 8 * 3.5, "a refusal takes at most the inbox's patience"
        mend_it()
        _statuses_until(client, 200, words="after")
        eventually(lambda: _answers(lambda: "after" in texts_of(pull_all(client))), within_s=GAP_S)
        eventually(lambda: gaps(client), within_s=GAP_S, every_s=0.5)
        assert texts_of(pull_all(client)) == ["before", "after"], "what was refused is not there"
        (gap,) = gaps(client)
        said = gap["data"]
        assert (said["reason"], said["stream"]) == ("refused", "webhooks")
        assert said["from"] <= said["until"]


@pytest.mark.postgres_server
@pytest.mark.parametrize("how", ["stop", "kill"])
def test_without_its_database_the_edge_refuses_and_says_the_gap(
    private_postgres: PrivatePostgres, tmp_path: Path, how: str
) -> None:
    deployment = Deployment(tmp_path, private_postgres.url, pages=PAGES)
    _prove_refused_and_said(deployment, getattr(private_postgres, how), private_postgres.start)


@pytest.mark.postgres_server
def test_an_edge_killed_in_an_outage_says_the_gap_when_it_is_back(
    private_postgres: PrivatePostgres, tmp_path: Path
) -> None:
    deployment = Deployment(tmp_path, private_postgres.url, pages=PAGES)
    with _running(deployment) as client:
        assert post(client, text("10", "7", "before")) == 200
        private_postgres.kill()
        _statuses_until(client, 503)
        time.sleep(NOTED_S)
        deployment.kill(EDGE)
        deployment.start_one(EDGE)
        time.sleep(1)  # it starts, and looks, while the store is still away
        private_postgres.start()
        deployment.start()
        eventually(lambda: _answers(lambda: bool(gaps(client))), within_s=GAP_S, every_s=0.5)
        (gap,) = gaps(client)
        assert (gap["source"], gap["data"]["reason"]) == ("/facebook/10", "refused")
        assert not list((deployment.data / "refused").iterdir())


def test_with_a_full_disk_the_edge_refuses_and_says_the_gap(
    sqlite_url: str, tmp_path: Path
) -> None:
    deployment = Deployment(tmp_path, sqlite_url, pages=PAGES)

    def limit(size: int) -> None:
        """No file of the edge's, nor of the process that writes for it, may grow beyond `size`
        bytes.
        """
        edge, hard = deployment.pid(EDGE), resource.RLIM_INFINITY
        writers = started_by(edge)
        assert writers
        for pid in (edge, *writers):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hard))

    _prove_refused_and_said(deployment, lambda: limit(100), lambda: limit(resource.RLIM_INFINITY))


def test_with_a_locked_database_the_edge_refuses_and_says_the_gap(
    sqlite_url: str, tmp_path: Path
) -> None:
    deployment = Deployment(tmp_path, sqlite_url, pages=PAGES)
    with contextlib.closing(
        sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
    ) as other:
        _prove_refused_and_said(
            deployment,
            lambda: other.execute("BEGIN IMMEDIATE"),
            lambda: other.execute("ROLLBACK"),
        )
