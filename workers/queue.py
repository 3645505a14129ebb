"""Enqueues jobs by name. Celery carries nudges, never the only copy of anything."""

import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from contracts.errors import Misconfigured, Unavailable

if TYPE_CHECKING:
    from celery import Celery

QUEUE: Final = "gateway"
FILESYSTEM: Final = "gatewayfiles"
"""kombu's name for the transport in `workers.filesystem`; it takes no module path from a URL."""
NUDGE: Final = "gateway.nudge"
ROUTE: Final = "gateway.route_unrouted"
REPLAY: Final = "gateway.replay"
DUE: Final = "gateway.due"
UPKEEP: Final = "gateway.upkeep"
NUDGE_EXPIRES_S: Final = 30
"""A nudge older than this says nothing: the worker has found the lane by itself."""


class Queue:
    """Sends jobs to the workers of one broker. Safe to share between threads."""

    def __init__(self, broker_url: str) -> None:
        self._url = broker_url
        self._lock = threading.Lock()

    def nudge(self, lanes: Sequence[int]) -> None:
        """Say that `lanes` have something to drain. Raises `Unavailable`."""
        self._send(NUDGE, list(lanes), expires=NUDGE_EXPIRES_S)

    def route_unrouted(self) -> None:
        """Say that a connection appeared for which items may be waiting. Raises `Unavailable`."""
        self._send(ROUTE)

    def replay(self, replay: str) -> None:
        """Say that a replay was ordered. Raises `Unavailable`."""
        self._send(REPLAY, replay)

    def due(self) -> None:
        """Say that a row just came due (`storage.due.schedule`). Raises `Unavailable`."""
        self._send(DUE, expires=NUDGE_EXPIRES_S)

    def upkeep(self) -> None:
        """Ask for upkeep. Raises `Unavailable`."""
        self._send(UPKEEP)

    def check(self) -> None:
        """Reach the broker once. Raises `Unavailable`."""
        try:
            with self._app.connection_for_write(connect_timeout=2) as connection:
                connection.ensure_connection(max_retries=1, timeout=2)
        except Misconfigured:
            raise
        except Exception as error:
            raise Unavailable(f"broker: {type(error).__name__}") from error

    def _send(self, task: str, *args: Any, expires: int | None = None) -> None:
        try:
            with self._lock:
                app = self._app
            app.send_task(
                task,
                args,
                queue=QUEUE,
                expires=expires,
                retry=False,
                ignore_result=True,
                argsrepr="",  # for monitors that we have none of: half of what sending costs
                kwargsrepr="",
            )
        except Misconfigured:
            raise
        except Exception as error:  # kombu's transports each raise their own
            raise Unavailable(f"broker: {type(error).__name__}") from error

    @cached_property
    def _app(self) -> "Celery":
        return celery_app(self._url)


def celery_app(broker_url: str) -> "Celery":
    """The Celery app for a broker: `amqp://…`, `redis://…` or `filesystem:///folder`.

    Raises `Misconfigured` for another. Tasks go through the default exchange, straight to the
    queue.
    """
    from celery import Celery
    from kombu.entity import Exchange
    from kombu.entity import Queue as Declared
    from kombu.transport import TRANSPORT_ALIASES

    url, options = _broker(broker_url)
    TRANSPORT_ALIASES.setdefault(FILESYSTEM, "workers.filesystem:Transport")
    app = Celery("gateway", broker=url, set_as_current=False)
    app.conf.update(
        broker_transport_options=options,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_connection_timeout=3,
        broker_pool_limit=2,
        task_queues=[Declared(QUEUE, Exchange(""), routing_key=QUEUE, durable=True)],
        task_default_queue=QUEUE,
        task_default_exchange="",
        task_default_routing_key=QUEUE,
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        worker_prefetch_multiplier=4,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        enable_utc=True,
    )
    return app


def _broker(url: str) -> tuple[str, dict[str, Any]]:
    scheme = urlsplit(url).scheme
    if scheme == "filesystem":
        folder = Path(urlsplit(url).path)
        queues, control = folder / "queues", folder / "control"
        for path in (queues, control):
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
        options = {"data_folder_in": str(queues), "data_folder_out": str(queues)}
        timing = {"control_folder": str(control), "polling_interval": 0.01}
        return f"{FILESYSTEM}://localhost//", options | timing
    if scheme in ("redis", "rediss"):
        return url, {"socket_timeout": 5, "socket_connect_timeout": 3, "health_check_interval": 10}
    if scheme in ("amqp", "amqps", "pyamqp"):
        return url, {"confirm_publish": False}
    raise Misconfigured("GATEWAY_BROKER_URL must be amqp://…, redis://… or filesystem:///folder")
