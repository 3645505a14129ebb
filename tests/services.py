"""What tests need: which services are there, and room of their own on shared ones."""

import contextlib
import functools
import os
import subprocess
import uuid
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit, urlunsplit
from urllib.request import urlopen

import psycopg
import pytest
import redis

from scripts.dockerfile_in_chroot import debian_mirror
from tests import in_memory
from tests.processes import Process, eventually, free_port, program
from tests.servers import (
    PrivatePgbouncer,
    PrivatePostgres,
    PrivateRedis,
    no_listener,
    postgres_program,
    postgres_user,
    server_directory,
)

__all__ = [
    "RABBITMQ_URL",
    "REDIS_URL",
    "PrivatePgbouncer",
    "PrivatePostgres",
    "PrivateRedis",
    "Process",
    "eventually",
    "free_port",
    "fresh_database",
    "fresh_vhost",
    "postgres_server_url",
    "require",
    "server_directory",
]

REDIS_URL = os.environ.get("GATEWAY_TEST_REDIS_URL", "redis://127.0.0.1:6379/0")
RABBITMQ_URL = os.environ.get("GATEWAY_TEST_RABBITMQ_URL")
REQUIRED = os.environ.get("GATEWAY_TEST_REQUIRE_SERVICES") == "1"


def postgres_server_url() -> str:
    """Of the server in which tests have databases of their own."""
    return os.environ.get(in_memory.URL, "postgresql://postgres@127.0.0.1:5432/postgres")


def require(service: str) -> None:
    """Skip the test, with the reason, when `service` is missing; fail if services are required."""
    missing = _missing(service)
    if missing is None:
        return
    reason = f"{service}: {missing}"
    if REQUIRED:
        pytest.fail(f"GATEWAY_TEST_REQUIRE_SERVICES=1, but {reason}", pytrace=False)
    pytest.skip(reason)


@functools.cache
def _missing(service: str) -> str | None:
    return SERVICES[service]()


def _no_postgres() -> str | None:
    try:
        psycopg.connect(postgres_server_url(), connect_timeout=3).close()
    except psycopg.OperationalError as error:
        return str(error).strip().splitlines()[0]
    return None


def _no_redis() -> str | None:
    client = redis.Redis.from_url(REDIS_URL, socket_connect_timeout=3)
    try:
        client.ping()
    except redis.RedisError as error:
        return str(error)
    finally:
        client.close()
    return None


def _no_rabbitmq() -> str | None:
    if RABBITMQ_URL:
        address = urlsplit(RABBITMQ_URL)
        return no_listener(address.hostname or "127.0.0.1", address.port or 5672)
    if rabbitmqctl := program("rabbitmqctl"):
        alive = subprocess.run([rabbitmqctl, "-q", "ping"], capture_output=True, check=False)
        if alive.returncode == 0:
            return no_listener("127.0.0.1", 5672)
        return "no node that rabbitmqctl may reach (set GATEWAY_TEST_RABBITMQ_URL for another)"
    return "rabbitmqctl is not installed (set GATEWAY_TEST_RABBITMQ_URL to use a broker without it)"


def _no_postgres_server() -> str | None:
    if postgres_program("initdb") is None:
        return "no initdb on the path or under /usr/lib/postgresql"
    if os.geteuid() == 0 and postgres_user() is None:
        return "initdb refuses to run as root, and there is no user postgres"
    return None


def _no_pgbouncer() -> str | None:
    if program("pgbouncer") is None:
        return "pgbouncer not installed"
    if os.geteuid() == 0 and postgres_user() is None:
        return "pgbouncer refuses to run as root, and there is no user postgres"
    return _no_postgres()


def _no_bare_tree() -> str | None:
    if os.geteuid() != 0:
        return "only root may make a bare Debian tree and enter it"
    absent = [name for name in ("debootstrap", "unshare", "nsenter") if program(name) is None]
    if absent:
        return f"{', '.join(absent)} not installed"
    try:
        urlopen(f"{debian_mirror()}/dists/bookworm/Release", timeout=10).close()  # noqa: S310 (apt's own address)
    except (LookupError, OSError) as error:
        return f"no Debian archive: {error}"
    return None


def _no_program(*names: str) -> Callable[[], str | None]:
    def missing() -> str | None:
        absent = [name for name in names if program(name) is None]
        return f"{' and '.join(absent)} not installed" if absent else None

    return missing


SERVICES: dict[str, Callable[[], str | None]] = {
    "postgres": _no_postgres,
    "postgres_server": _no_postgres_server,
    "pgbouncer": _no_pgbouncer,
    "redis": _no_redis,
    "redis_server": _no_program("redis-server"),
    "rabbitmq": _no_rabbitmq,
    "chromium": _no_program("chromium", "chromedriver"),
    "debootstrap": _no_bare_tree,
}


# Room of one's own on a shared server


@contextlib.contextmanager
def fresh_database(server_url: str = "", template: str = "template1") -> Iterator[str]:
    """A new PostgreSQL database, dropped afterwards even when sessions are open; empty, unless it
    is a copy of `template`, to which nobody may be connected.
    """
    server_url = server_url or postgres_server_url()
    name = f"gateway_test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server_url, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
    try:
        yield urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))
    finally:
        with psycopg.connect(server_url, autocommit=True) as admin:
            admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())


@contextlib.contextmanager
def fresh_vhost() -> Iterator[str]:
    """URL of a new RabbitMQ virtual host, or GATEWAY_TEST_RABBITMQ_URL as it is."""
    if RABBITMQ_URL:
        yield RABBITMQ_URL
        return
    name = f"gateway-test-{uuid.uuid4().hex[:12]}"
    _rabbitmqctl("add_vhost", name)
    try:
        _rabbitmqctl("set_permissions", "-p", name, "guest", ".*", ".*", ".*")
        yield f"amqp://guest:guest@127.0.0.1:5672/{name}"
    finally:
        _rabbitmqctl("delete_vhost", name)


def _rabbitmqctl(*command: str) -> None:
    found = program("rabbitmqctl") or "rabbitmqctl"
    subprocess.run([found, "-q", *command], check=True, capture_output=True, timeout=60)
