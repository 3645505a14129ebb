"""What a deployment stands on, with passwords in its URLs: to be taken away and to be searched."""

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit

import psycopg

from tests.leaks import places
from tests.leaks.places import Blobs
from tests.leaks.planted import Planted
from tests.servers import PrivatePostgres, PrivateRedis


class Backend(Protocol):
    """Database, key store and broker."""

    environ: Mapping[str, str]

    def without_database(self) -> contextlib.AbstractContextManager[None]:
        """Nothing can be written while this lasts."""

    def without_broker(self) -> contextlib.AbstractContextManager[None]:
        """No nudge goes out while this lasts."""

    def wrong_broker(self, password: str) -> str:
        """URL of a broker that cannot be used, with a password."""

    def places(self) -> Blobs:
        """What it holds, beyond the data directory."""


class Embedded:
    """SQLite and a broker in files: all under the data directory."""

    def __init__(self, folder: Path) -> None:
        self._var = folder / "var"
        self.environ: Mapping[str, str] = {}

    @contextlib.contextmanager
    def without_database(self) -> Iterator[None]:
        path = self._var / "gateway.db"
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield
            other.execute("ROLLBACK")

    @contextlib.contextmanager
    def without_broker(self) -> Iterator[None]:
        queues = self._var / "broker" / "queues"
        aside = queues.rename(queues.with_name("aside"))
        queues.write_bytes(b"")
        yield
        queues.unlink()
        aside.rename(queues)

    def wrong_broker(self, password: str) -> str:
        return f"redis://:{password}@127.0.0.1:1/0"

    def places(self) -> Blobs:
        yield from ()


class Servers:
    """PostgreSQL with two databases, and Redis."""

    def __init__(self, planted: Planted, postgres: PrivatePostgres, broker: PrivateRedis) -> None:
        self._postgres, self._broker = postgres, broker
        with psycopg.connect(postgres.url, autocommit=True) as connection:
            for name in ("gateway", "keys"):
                connection.execute(f"CREATE DATABASE {name}".encode())
        self.environ: Mapping[str, str] = {
            "GATEWAY_DATABASE_URL": self._url("gateway", planted.secret("database password")),
            "GATEWAY_KEYSTORE_URL": self._url("keys", planted.secret("key store password")),
            "GATEWAY_BROKER_URL": broker.url,
        }

    def _url(self, name: str, password: str = "") -> str:
        parts = urlsplit(self._postgres.url)
        at = parts.netloc.replace("@", f":{password}@") if password else parts.netloc
        return urlunsplit(parts._replace(netloc=at, path=f"/{name}"))

    @contextlib.contextmanager
    def without_database(self) -> Iterator[None]:
        self._postgres.kill()
        yield
        self._postgres.start()

    @contextlib.contextmanager
    def without_broker(self) -> Iterator[None]:
        self._broker.kill()
        yield
        self._broker.start()

    def wrong_broker(self, password: str) -> str:
        return urlunsplit(
            urlsplit(self._broker.url)._replace(netloc=f":{password}@127.0.0.1:{self._broker.port}")
        )

    def places(self) -> Blobs:
        yield from places.postgresql(self._url("gateway"))
        yield from places.postgresql(self._url("keys"))
        yield from places.redis_keys(self._broker.url)
        yield "PostgreSQL's log", self._postgres.log.read_bytes()
