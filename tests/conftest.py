"""Fixtures that every test may use: databases, brokers, private servers, processes."""

import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import HealthCheck, settings

from tests import in_memory, services

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

settings.register_profile("local", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("local"), derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")

Spawn = Callable[..., services.Process]


def pytest_configure(config: pytest.Config) -> None:
    """Run in the background of a shell, we would ignore Ctrl-C, and so would all that we start.
    Asked to end, a run ends what it has started.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if not hasattr(config, "workerinput"):  # the workers of a parallel run share what it has
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        config.add_cleanup(in_memory.begin())


LONG: Final = ("slow", "chaos", "chromium")
"""Markers of tests that take long."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with long tests come first: whoever got one at the end would be waited for."""
    long = {item.path for item in items if any(map(item.get_closest_marker, LONG))}
    items.sort(key=lambda item: item.path not in long)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A marker named as a service means that the test needs it."""
    for marker in item.iter_markers():
        if marker.name in services.SERVICES:
            services.require(marker.name)


@pytest.fixture
def anyio_backend() -> str:
    """Asynchronous tests run on asyncio, as the edge does."""
    return "asyncio"


@pytest.fixture
def postgres_url() -> Iterator[str]:
    """URL of an empty PostgreSQL database of the test's own."""
    services.require("postgres")
    with services.fresh_database() as url:
        yield url


@pytest.fixture(scope="session")
def migrated_template() -> Iterator[str]:
    """Name of a PostgreSQL database at today's schema: copying it takes half the time of its
    migrations, with their partitions.
    """
    from storage import migrate
    from storage.database import Database

    services.require("postgres")
    with services.fresh_database() as url:
        database = Database(url)
        migrate.upgrade(database)
        database.close()
        yield url.rpartition("/")[2]


@pytest.fixture
def migrated_postgres_url(migrated_template: str) -> Iterator[str]:
    """URL of a PostgreSQL database of the test's own at today's schema, without rows."""
    with services.fresh_database(template=migrated_template) as url:
        yield url


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """URL of an SQLite database of the test's own; the file is not there yet."""
    return f"sqlite:///{tmp_path / 'gateway.db'}"


BOTH = ("sqlite", pytest.param("postgresql", marks=pytest.mark.postgres))


@pytest.fixture(params=BOTH)
def empty_url(request: pytest.FixtureRequest) -> str:
    """An empty database of the test's own: once on SQLite, once on PostgreSQL."""
    return _url_of(request, "postgres_url")


@pytest.fixture(params=BOTH)
def migrated_url(request: pytest.FixtureRequest) -> str:
    """As `empty_url`, for what brings it to today's schema anyhow: on PostgreSQL it is there."""
    return _url_of(request, "migrated_postgres_url")


@pytest.fixture
def database_url(empty_url: str) -> str:
    """The database of tests that take one; folders whose tests all migrate it take
    `migrated_url`.
    """
    return empty_url


def _url_of(request: pytest.FixtureRequest, postgresql: str) -> str:
    fixture = {"sqlite": "sqlite_url", "postgresql": postgresql}[request.param]
    url: str = request.getfixturevalue(fixture)
    return url


@pytest.fixture
def private_postgres() -> Iterator[services.PrivatePostgres]:
    """A running PostgreSQL server of the test's own, to stop, start and kill."""
    services.require("postgres_server")
    with services.server_directory() as directory:
        server = services.PrivatePostgres(directory)
        server.start()
        try:
            yield server
        finally:
            server.kill()


@pytest.fixture
def pgbouncer() -> Iterator[services.PrivatePgbouncer]:
    """A running PgBouncer of the test's own, in transaction mode before the shared server."""
    services.require("pgbouncer")
    with services.server_directory() as directory:
        pooler = services.PrivatePgbouncer(directory, services.postgres_server_url())
        pooler.start()
        try:
            yield pooler
        finally:
            pooler.kill()


@pytest.fixture
def private_redis(tmp_path: Path) -> Iterator[services.PrivateRedis]:
    """A running Redis server of the test's own, to stop, start and kill."""
    services.require("redis_server")
    server = services.PrivateRedis(tmp_path)
    server.start()
    try:
        yield server
    finally:
        server.kill()


@pytest.fixture
def rabbitmq_url() -> Iterator[str]:
    """URL of an empty RabbitMQ virtual host of the test's own."""
    services.require("rabbitmq")
    with services.fresh_vhost() as url:
        yield url


@pytest.fixture
def chromium(tmp_path: Path) -> Iterator["Chrome"]:
    """A fresh headless Chromium."""
    services.require("chromium")
    from tests.browser import chrome

    with chrome(tmp_path / "profile") as browser:
        yield browser


@pytest.fixture
def free_port() -> int:
    """A TCP port on loopback that nobody listens on now."""
    return services.free_port()


@pytest.fixture
def spawn(tmp_path: Path) -> Iterator[Spawn]:
    """Start a child: `spawn([program, …], env={…}, name="edge")`; killed when the test ends."""
    children: list[services.Process] = []

    def start(
        command: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        name: str = "child",
    ) -> services.Process:
        log = tmp_path / f"{name}-{len(children)}.log"
        children.append(services.Process(command, log=log, env=env, cwd=cwd))
        return children[-1]

    yield start
    for child in reversed(children):
        child.close()
