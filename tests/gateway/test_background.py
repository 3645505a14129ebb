"""What runs without end goes on, and what everybody may ask costs nothing when they all do."""

import asyncio
import json
import threading
import time
from typing import Any

import pytest

from contracts.errors import KeyUnavailable, Unauthenticated, Unavailable
from gateway import reading, wake
from gateway.auth import Auth
from gateway.forever import forever
from gateway.health import Health, Remembered
from gateway.metrics import Metrics
from gateway.operations import NOBODY, Call, Nothing
from gateway.threads import Threads
from gateway.wake import PostgresqlSource, Wake
from storage.api_keys import ApiKey
from tests.gateway.edges import World

pytestmark = pytest.mark.anyio


async def test_work_goes_on_after_an_unexpected_error() -> None:
    steps: list[int] = []
    enough = asyncio.Event()

    async def step() -> None:
        steps.append(len(steps))
        if len(steps) == 1:
            raise ZeroDivisionError
        enough.set()
        await asyncio.sleep(60)

    work = asyncio.create_task(forever("work", step, pause_s=0.01))
    async with asyncio.timeout(2):
        await enough.wait()
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    assert steps == [0, 1]


async def test_calls_beyond_the_bound_are_refused_and_room_comes_back() -> None:
    threads, held = Threads(1, most=2), threading.Event()
    calls = [asyncio.create_task(threads.run(held.wait, 5)) for _ in range(2)]
    await asyncio.sleep(0.05)
    with pytest.raises(Unavailable):
        await threads.run(held.wait, 5)
    calls[1].cancel()
    held.set()
    assert await calls[0]
    assert await threads.run(held.is_set)
    threads.close()


def _asked() -> Call[Nothing, Nothing, Nothing]:
    nobody: Any = None
    return Call(nobody, NOBODY, Nothing(), Nothing(), Nothing())


async def test_readiness_is_looked_at_once_for_all_who_ask() -> None:
    looks: list[int] = []

    def look() -> bool:
        looks.append(1)
        return True

    threads = Threads(2)
    health = Health({"part": look}, {}, threads, Metrics())

    async def ask() -> int:
        return (await health.ready(_asked())).status_code

    assert set(await asyncio.gather(*(ask() for _ in range(50)))) == {200}
    assert looks == [1]
    threads.close()


async def test_what_is_only_told_neither_counts_nor_holds_the_answer_up() -> None:
    threads, held = Threads(3), threading.Event()

    def away() -> bool:
        raise KeyUnavailable("away")

    told = {"away": away, "slow": lambda: held.wait(10)}
    health = Health({"part": lambda: True}, told, threads, Metrics())
    began = time.monotonic()
    answer = await health.ready(_asked())
    assert time.monotonic() - began < 2
    held.set()
    assert answer.status_code == 200
    parts = {"part": "ok", "away": "key-unavailable", "slow": "too-slow"}
    assert json.loads(bytes(answer.body)) == {"ready": True, "parts": parts}
    threads.close()


def test_a_look_that_costs_is_repeated_seldom_while_all_is_well() -> None:
    now, looks, away = [0.0], [0], [False]

    def check() -> None:
        looks[0] += 1
        if away[0]:
            raise KeyUnavailable("away")

    seldom = Remembered(check, 30.0, lambda: now[0])
    assert [seldom(), seldom(), looks[0]] == [True, True, 1]
    now[0], away[0] = 30.0, True
    for _ in range(2):
        with pytest.raises(KeyUnavailable):
            seldom()
    assert looks[0] == 3
    away[0] = False
    assert seldom()


class NoStore:
    """A key store that must not be asked."""

    def authenticate(self, clear: str) -> ApiKey:
        raise AssertionError(clear)


@pytest.mark.parametrize("clear", ["cbg_x", f"cbg_{'x' * 44}", f"cbg_{'ü' * 43}", "x" * 47])
async def test_what_is_no_key_is_refused_without_the_database(clear: str) -> None:
    threads = Threads(1)
    with pytest.raises(Unauthenticated):
        await Auth(NoStore(), threads, Metrics()).key(f"Bearer {clear}", frozenset({"crm"}))
    threads.close()


async def test_waiting_calls_of_a_key_are_bounded(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MOST_WAITING", 1)
    key, another = world.headers(), world.headers()
    first = asyncio.create_task(world.client.get("/v1/messages?wait=2", headers=key))
    await asyncio.sleep(0.3)
    assert (await world.client.get("/v1/messages?wait=2", headers=key)).status_code == 503
    assert (await world.client.get("/v1/messages", headers=key)).status_code == 200
    assert (await world.client.get("/v1/messages?wait=0.1", headers=another)).status_code == 200
    assert (await first).status_code == 200
    assert (await world.client.get("/v1/messages?wait=0.1", headers=key)).status_code == 200


@pytest.mark.postgres
async def test_a_listening_connection_is_probed(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wake, "PROBE_S", 0.05)
    woken = Wake()
    listening = asyncio.create_task(PostgresqlSource(postgres_url, woken).run())
    ticket = woken.ticket()
    await woken.wait(ticket, 1.5)
    ticket = woken.ticket()
    await asyncio.sleep(0.5)
    assert not ticket.is_set()  # it probed, and never had to connect again
    assert not listening.done()
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
