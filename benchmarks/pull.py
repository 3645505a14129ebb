"""Pulling with content opened, in process and over HTTP, against a bare fetch and a bare answer."""

import contextlib
import gc
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import psycopg

from benchmarks.deployment import Deployment, Server, deployment
from benchmarks.drain import fill_inbox
from benchmarks.figures import Figure, Row, Target, alternate, at_least
from benchmarks.noop import noop_server
from benchmarks.plan import Plan, broker
from gateway.fit import Fit
from gateway.metrics import Metrics
from gateway.reading import Reader
from gateway.serve import COLLECT
from gateway.threads import Threads
from gateway.wake import Wake
from storage.connections import Connections
from storage.cursors import Cursor
from storage.drain import DrainStore
from storage.log import EVERYTHING, MessageLog

MESSAGES: Final = 50_000
LIMIT: Final = 1_000
READERS: Final = 2
TENANTS: Final = (100, 1_000)
"""Messages of so many tenants lie in the log in turn: each page opens with as many keys."""


def run(plan: Plan) -> Row:
    """For each database, with few and with many tenants."""
    figures: list[Figure] = []
    for kind in plan.databases:
        for tenants in TENANTS:
            with contextlib.ExitStack() as stack:
                url = stack.enter_context(broker(kind))
                gateway = stack.enter_context(deployment(kind, broker_url=url))
                gateway.connect(tenants)
                stock_log(gateway, plan.amount(MESSAGES))
                found = _measure(gateway, plan, stack)
            figures += _figures(f"{kind}, {tenants:,} tenants", found)
    return Row(figures=figures, notes=[f"limit={LIMIT}; over HTTP {READERS} readers at once"])


def _measure(
    gateway: Deployment, plan: Plan, stack: contextlib.ExitStack
) -> dict[str, list[float]]:
    over_http = HttpPull(gateway, stack.enter_context(gateway.edge()))
    size = over_http.page_bytes()
    noop = stack.enter_context(noop_server(gateway.settings.data_dir, size))
    pages = plan.amount(MESSAGES) // LIMIT
    measures: dict[str, Callable[[], float]] = {
        "fetch": lambda: bare_fetch(gateway),
        "in process": lambda: pull_in_process(gateway),
        "no-op": lambda: at_once(lambda: same_page(noop.url, pages)),
        "http": over_http.measure,
    }
    return alternate(
        measures, plan.rounds, plan.on(f"{gateway.name}, {len(gateway.pages)} tenants")
    )


def _figures(where: str, found: dict[str, list[float]]) -> Iterator[Figure]:
    def figure(what: str, name: str, yardstick: str, text: str, target: Target) -> Figure:
        return Figure(
            what=f"{what}, {where}",
            unit="messages/s",
            values=found[name],
            yardstick=text,
            yardstick_values=found[yardstick],
            target=target,
        )

    yield figure("pull in process", "in process", "fetch", "bare fetch", at_least(150_000))
    yield figure("pull over HTTP", "http", "no-op", "no-op endpoint", at_least(100_000))


def stock_log(gateway: Deployment, count: int) -> None:
    """Drain `count` messages into the log."""
    fill_inbox(gateway, count)
    store = DrainStore(gateway.database)
    while lanes := store.overdue_lanes():
        gateway.parts.drainer.drain(lanes)


def pull_in_process(gateway: Deployment, count: int | None = None) -> float:
    """Messages/s read, opened and assembled as the edge does, of the newest `count`."""
    log = MessageLog(gateway.database)
    fit = Fit(gateway.vault, Connections(gateway.database).tenants)
    reader = Reader(log, gateway.vault, fit, Wake(), Threads(1), Metrics())
    after, read = start(log, count), 0
    reader.read(after, 1, EVERYTHING)  # what is done once is not counted
    gc.collect()
    gc.freeze()  # as the edge's process is
    gc.set_threshold(*COLLECT)
    began = time.perf_counter()
    while True:
        answer = reader.read(after, LIMIT, EVERYTHING)
        assert answer.body
        after, read = answer.next, read + len(answer.messages)
        if not answer.has_more:
            return read / (time.perf_counter() - began)


def start(log: MessageLog, count: int | None) -> Cursor:
    """Where the newest `count` messages begin; the beginning without one."""
    return Cursor(0, 0) if count is None else log.back(count)


_FETCH: Final = (
    "SELECT position, tag, tenant, day, hash, sealed FROM messages"
    " WHERE position > {0} ORDER BY position LIMIT 1000"
)


def bare_fetch(gateway: Deployment) -> float:
    """Rows/s of the same columns by the driver alone."""
    with contextlib.closing(_driver(gateway)) as connection:
        cursor, mark = connection.cursor(), "?"
        if gateway.is_postgresql:
            cursor, mark = connection.cursor(binary=True), "%s"
        after, read, began = 0, 0, time.perf_counter()
        while rows := cursor.execute(_FETCH.format(mark), (after,)).fetchall():
            after, read = rows[-1][0], read + len(rows)
        return read / (time.perf_counter() - began)


def _driver(gateway: Deployment) -> Any:
    if gateway.is_postgresql:
        return psycopg.connect(gateway.settings.database, autocommit=True)
    return sqlite3.connect(gateway.settings.data_dir / "gateway.db")


class HttpPull:
    """Readers that follow the cursor over HTTP/1.1, one connection each."""

    def __init__(self, gateway: Deployment, edge: Server, count: int | None = None) -> None:
        self._key, self._url = gateway.api_key(), edge.url
        self._from = start(MessageLog(gateway.database), count)

    def measure(self) -> float:
        """Messages/s of all readers together, each reading everything."""
        return at_once(self._read_all)

    def page_bytes(self) -> int:
        """How large an answer is."""
        with Client(self._url) as client:
            return len(self._page(client, str(self._from)))

    def _read_all(self) -> int:
        after, read = str(self._from), 0
        with Client(self._url) as client:
            while True:
                body = self._page(client, after)
                read += body.count(b'{"sequence":"')
                tail = body[body.rindex(b'"next":"') + 8 :]
                after = tail[: tail.index(b'"')].decode()
                if b'"has_more":false' in tail:
                    return read

    def _page(self, client: "Client", after: str) -> bytes:
        return client.get(f"/v1/messages?limit={LIMIT}&after={after}", self._key)


def same_page(url: str, pages: int) -> int:
    """Fetch the no-op's page again and again; counts as many messages as a page may have."""
    with Client(url) as client:
        for _ in range(pages):
            client.get("/v1/messages", "")
    return pages * LIMIT


def at_once(read: Callable[[], int]) -> float:
    """Messages/s of several readers, a thread each."""
    counts: list[int] = []
    threads = [threading.Thread(target=lambda: counts.append(read())) for _ in range(READERS)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(counts) == READERS, "a reader failed"
    return sum(counts) / (time.perf_counter() - began)


class Client:
    """The least HTTP client there can be, so that the server is what is measured."""

    def __init__(self, url: str) -> None:
        host, _, port = url.removeprefix("http://").partition(":")
        self._socket = socket.create_connection((host, int(port)), timeout=30)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def get(self, path: str, key: str) -> bytes:
        """The body of a 200. Raises `AssertionError` for any other answer."""
        lines = f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {key}\r\n\r\n"
        self._socket.sendall(lines.encode())
        received = bytearray()
        while (end := received.find(b"\r\n\r\n")) < 0:
            received += self._socket.recv(1 << 16)
        head = bytes(received[:end]).lower()
        assert head.startswith(b"http/1.1 200"), head
        size = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
        body = bytearray(size)
        view, at = memoryview(body), len(received) - end - 4
        view[:at] = received[end + 4 :]
        while at < size:
            at += self._socket.recv_into(view[at:])
        return bytes(body)
