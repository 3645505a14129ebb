"""Jobs reach a worker over each broker; the embedded one never shows half a message."""

import contextlib
import json
import os
import threading
from pathlib import Path
from queue import Empty
from typing import Any

import pytest
from kombu.connection import Connection
from kombu.transport import TRANSPORT_ALIASES

from contracts.errors import Misconfigured, Unavailable
from tests import services
from workers.queue import FILESYSTEM, NUDGE, QUEUE, Queue, celery_app


@pytest.fixture(
    params=[
        "filesystem",
        pytest.param("redis", marks=pytest.mark.redis_server),
        pytest.param("rabbitmq", marks=pytest.mark.rabbitmq),
    ]
)
def broker_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "filesystem":
        return f"filesystem://{tmp_path / 'broker'}"
    if request.param == "redis":
        server: services.PrivateRedis = request.getfixturevalue("private_redis")
        return server.url
    url: str = request.getfixturevalue("rabbitmq_url")
    return url


def test_a_nudge_arrives_with_its_lanes(broker_url: str) -> None:
    queue = Queue(broker_url)
    queue.check()
    app = celery_app(broker_url)
    with app.connection_for_read() as connection:
        received: list[Any] = []
        with app.amqp.TaskConsumer(connection) as consumer:
            consumer.register_callback(lambda body, message: received.append((body, message)))
            queue.nudge([3, 1, 1023])
            connection.drain_events(timeout=10)
        (body, message) = received[0]
    assert message.headers["task"] == NUDGE
    assert body[0] == [[3, 1, 1023]]


def test_a_broker_that_is_away_is_said(private_redis: services.PrivateRedis) -> None:
    queue = Queue(private_redis.url)
    private_redis.kill()
    with pytest.raises(Unavailable):
        queue.nudge([1])
    with pytest.raises(Unavailable):
        queue.check()


def test_another_scheme_is_refused() -> None:
    queue = Queue("kafka://localhost")
    for use in (queue.check, queue.route_unrouted):
        with pytest.raises(Misconfigured, match="GATEWAY_BROKER_URL"):
            use()


def test_what_crashes_left_behind_is_removed(tmp_path: Path) -> None:
    url = f"filesystem://{tmp_path / 'broker'}"
    queue = Queue(url)
    queue.nudge([1])
    folder = tmp_path / "broker" / "queues"
    (folder / "dead.aside").write_text("{")
    (folder / "dead.claimed").write_text("{}")
    for name in ("dead.aside", "dead.claimed"):
        os.utime(folder / name, (0, 0))
    options = celery_app(url).conf.broker_transport_options
    with Connection(f"{FILESYSTEM}://localhost//", transport_options=options) as connection:
        assert connection.channel()._get(QUEUE)["headers"]["task"] == NUDGE
    assert list(folder.iterdir()) == []


def test_readers_never_see_half_a_message(tmp_path: Path) -> None:
    """Writers and readers at once over one folder: every message arrives whole, and once."""
    url = f"filesystem://{tmp_path / 'broker'}"
    queue, count = Queue(url), 200

    def write() -> None:
        for _ in range(count):
            queue.nudge(list(range(500)))

    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    options = celery_app(url).conf.broker_transport_options
    found: list[dict[str, Any]] = []
    assert FILESYSTEM in TRANSPORT_ALIASES

    def read() -> None:
        with Connection(f"{FILESYSTEM}://localhost//", transport_options=options) as connection:
            channel = connection.channel()
            while any(writer.is_alive() for writer in writers) or channel._size(QUEUE):
                with contextlib.suppress(Empty):
                    found.append(channel._get(QUEUE))

    readers = [threading.Thread(target=read) for _ in range(2)]
    for thread in [*readers]:
        thread.start()
    for thread in [*readers, *writers]:
        thread.join(60)
    assert len(found) == 2 * count
    assert len({json.dumps(message["headers"]["id"]) for message in found}) == 2 * count
