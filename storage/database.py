"""Engines and transactions for both databases, with their errors mapped to ours."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import psycopg
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from contracts.errors import Misconfigured, StoreUnavailable
from storage.sqlite import prepare_sqlite
from storage.turn import Turn

STATEMENT_TIMEOUT_MS: Final = 30_000
_OPTIONS: Final = (
    f"-c statement_timeout={STATEMENT_TIMEOUT_MS} -c idle_in_transaction_session_timeout=60000"
)

_AWAY: Final = (OperationalError, sqlite3.OperationalError, psycopg.OperationalError)
"""What says that the database is away or too slow, from SQLAlchemy and from the drivers
themselves."""
_OLD_SCHEMA: Final = "the schema is older than this build: gateway db upgrade"
_NOT_THERE: Final = ("42P01", "42703")
"""SQLSTATE of PostgreSQL for a table and for a column that is not there."""


def now_ms() -> int:
    """Unix time in milliseconds, by this process's clock; leases use the database's
    (`clock_ms`).
    """
    return time.time_ns() // 1_000_000


class Database:
    """One database and its pool. `url` is `sqlite:///path` or `postgresql://…`.

    Raises `Misconfigured` for another URL; every use raises `StoreUnavailable` when it is away.
    """

    def __init__(self, url: str, *, pool_size: int = 8) -> None:
        self.url = url
        scheme = urlsplit(url).scheme
        self._turn: Turn | None = None
        if scheme == "sqlite":
            self.engine, self._turn = _sqlite(url, pool_size)
        elif scheme in ("postgresql", "postgres"):
            self.engine = _postgresql(url, pool_size)
        else:
            raise Misconfigured("GATEWAY_DATABASE_URL must be sqlite:///path or postgresql://…")
        self.is_postgresql = self._turn is None
        self._reads = self.engine.execution_options(isolation_level="AUTOCOMMIT")

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A connection for statements that each stand alone."""
        with self._translated(), self._reads.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """One write transaction, committed at the end; nothing is computed or called inside it."""
        with self._translated():
            if self._turn is None:
                with self.engine.begin() as connection:
                    yield connection
            else:
                with self._turn, self.engine.begin() as connection:
                    yield connection

    def clock_ms(self) -> sa.ColumnElement[int]:
        """The database's own clock as an expression, in Unix milliseconds."""
        if self.is_postgresql:
            return sa.literal_column("(extract(epoch FROM clock_timestamp()) * 1000)::bigint")
        return sa.literal_column("CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)")

    def close(self) -> None:
        self.engine.dispose()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (*_AWAY, PoolTimeout) as error:
            if _is_lost(error):
                self.engine.dispose()
            raise StoreUnavailable(_first_line(error)) from error
        except (DBAPIError, psycopg.ProgrammingError) as error:
            if _is_old_schema(error):
                raise StoreUnavailable(_OLD_SCHEMA) from error
            if not isinstance(error, DBAPIError) or not error.connection_invalidated:
                raise
            raise StoreUnavailable(_first_line(error)) from error


def driver_cursor(connection: sa.Connection, *, binary: bool = False) -> Any:
    """The driver's own cursor on `connection`'s transaction, for statements where SQLAlchemy's work
    per row would show (binary: psycopg's binary results).
    """
    driver: Any = connection.connection.driver_connection
    return driver.cursor(binary=True) if binary else driver.cursor()


def _is_lost(error: Exception) -> bool:
    """Whether the driver itself says that its connection is gone: then the others in the pool are
    too. What SQLAlchemy sees it drops from the pool by itself; a deadlock or a time-out is no loss,
    and other threads' connections stay theirs.
    """
    if not isinstance(error, psycopg.OperationalError):
        return False
    return error.sqlstate is None or error.sqlstate.startswith(("08", "57P"))


def _is_old_schema(error: Exception) -> bool:
    """Whether PostgreSQL lacks what a newer schema has; SQLite says so as an `OperationalError`."""
    cause = getattr(error, "orig", None) or error
    return isinstance(cause, psycopg.Error) and cause.sqlstate in _NOT_THERE


def one_trip(connection: sa.Connection) -> AbstractContextManager[Any]:
    """PostgreSQL: what the driver's cursors execute inside it goes out together, and its results
    are there at the end. SQLite has no trips to save.
    """
    driver: Any = connection.connection.driver_connection
    return driver.pipeline() if connection.dialect.name == "postgresql" else nullcontext()


def _first_line(error: Exception) -> str:
    cause = getattr(error, "orig", None) or error
    return str(cause).partition("\n")[0]


def _sqlite(url: str, pool_size: int) -> tuple[sa.Engine, Turn]:
    path = Path(sa.make_url(url).database or "")
    if not path.name:
        raise Misconfigured(
            "GATEWAY_DATABASE_URL: an in-memory database cannot be shared by processes"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        names = "GATEWAY_DATA_DIR or GATEWAY_DATABASE_URL"
        raise Misconfigured(f"{names}: {error.strerror}: {path.parent}") from None
    engine = sa.create_engine(
        f"sqlite:///{path}",
        hide_parameters=True,
        poolclass=sa.QueuePool,
        pool_size=pool_size,
        max_overflow=pool_size,
        connect_args={"timeout": 10, "check_same_thread": False, "cached_statements": 256},
    )

    @sa.event.listens_for(engine, "connect")
    def _prepare(raw: Any, _record: object) -> None:
        prepare_sqlite(raw)

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine, Turn(path.with_name(path.name + "-turn"))


def _postgresql(url: str, pool_size: int) -> sa.Engine:
    try:
        address = sa.make_url(url).set(drivername="postgresql+psycopg")
    except (sa.exc.ArgumentError, ValueError):
        raise Misconfigured("GATEWAY_DATABASE_URL cannot be read") from None
    return sa.create_engine(
        address,
        hide_parameters=True,
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_pre_ping=False,
        pool_timeout=5,
        connect_args={
            "connect_timeout": 3,
            "application_name": "cleverbox-gateway",
            "options": _OPTIONS,
            "prepare_threshold": 3,
        },
    )
