"""The key store's tables and connections, on SQLite and PostgreSQL."""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from sqlalchemy import (
    URL,
    BigInteger,
    Column,
    Connection,
    Engine,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    create_engine,
    event,
    insert,
    make_url,
    select,
    text,
    update,
)
from sqlalchemy.exc import ArgumentError, OperationalError
from sqlalchemy.pool import ConnectionPoolEntry

from contracts.errors import KeyUnavailable, Misconfigured

METADATA = MetaData()

KEYS = Table(
    "keys",
    METADATA,
    Column("kind", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("wrapped", LargeBinary),
    Column("public", LargeBinary),
    Column("created_ms", BigInteger, nullable=False),
    Column("destroyed_ms", BigInteger),
    Column("kek", Text),
)

ERASURES = Table(
    "erasures",
    METADATA,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("tenant", Text),
    Column("detail", Text, nullable=False),
    sqlite_autoincrement=True,
)

SCHEMA = Table("keystore_schema", METADATA, Column("version", Integer, primary_key=True))

VERSION = 2
STEPS = {2: "ALTER TABLE keys ADD COLUMN kek TEXT"}
"""What brings the tables from the version before to this one."""
UPGRADE_LOCK = 0x6B657973  # "keys", as a PostgreSQL advisory lock

WRITE_ANEW = (
    "SET LOCAL lock_timeout = '5s'",
    "LOCK TABLE keys IN ACCESS EXCLUSIVE MODE",
    "CREATE TEMPORARY TABLE kept_keys ON COMMIT DROP AS SELECT * FROM keys",
    "TRUNCATE keys",
    "INSERT INTO keys SELECT * FROM kept_keys",
)
"""Old row versions stay behind with the old file, which PostgreSQL empties at commit.

VACUUM FULL does not do: it copies a dead row while any transaction of the whole server, be it of
another database, is older than the row's death.
"""


def engine(url: str, timeout_s: float) -> Engine:
    """An engine for `sqlite:///path` or `postgresql://…`; connects to nothing yet.

    Raises `Misconfigured` for any other URL.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise Misconfigured("GATEWAY_KEYSTORE_URL is not a database URL") from None
    backend = parsed.get_backend_name()
    if backend == "sqlite" and parsed.database not in {None, "", ":memory:"}:
        return _sqlite(Path(str(parsed.database)), timeout_s)
    if backend == "postgresql":
        wait = {"connect_timeout": max(2, round(timeout_s)), "prepare_threshold": None}
        return create_engine(
            parsed.set(drivername="postgresql+psycopg"),
            connect_args=wait,
            pool_pre_ping=True,
            pool_size=2,
            hide_parameters=True,
        )
    raise Misconfigured("GATEWAY_KEYSTORE_URL must be sqlite:///path or postgresql://…")


def _sqlite(path: Path, timeout_s: float) -> Engine:
    """The file must be there: a wrong path is an error, never a new and empty key store."""

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(
            f"file:{quote(str(path.absolute()))}?mode=rw",
            uri=True,
            timeout=timeout_s,
            isolation_level=None,
            check_same_thread=False,
        )

    url = URL.create("sqlite", database=str(path))
    made = create_engine(url, creator=connect, pool_size=2, hide_parameters=True)
    event.listen(made, "connect", _on_connect)
    event.listen(made, "begin", _on_begin)
    return made


def _on_connect(connection: sqlite3.Connection, _entry: ConnectionPoolEntry) -> None:
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA secure_delete=ON")


def _on_begin(connection: Connection) -> None:
    mode = connection.get_execution_options().get("begin")
    if mode == "write":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    elif mode == "read":
        connection.exec_driver_sql("BEGIN")


@contextmanager
def begin(engine: Engine, mode: Literal["read", "write"]) -> Iterator[Connection]:
    """One transaction; a writing one waits for its turn at the start, not in the middle."""
    with engine.connect() as connection:
        connection.execution_options(begin=mode)
        with connection.begin():
            yield connection


def upgrade(engine: Engine) -> None:
    """Make the tables. Whoever comes second waits, and finds them made.

    A change to the tables raises VERSION and brings a step from the version before. Steps only add,
    so that processes of the version before go on beside it.
    """
    if engine.dialect.name == "sqlite":
        _make_file(Path(str(engine.url.database)))
        _use_wal(engine)
    with begin(engine, "write") as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": UPGRADE_LOCK})
        METADATA.create_all(connection)
        found = connection.scalar(select(SCHEMA.c.version))
        if found is None:
            connection.execute(insert(SCHEMA).values(version=VERSION))
        elif found < VERSION:
            for version in range(found + 1, VERSION + 1):
                connection.execute(text(STEPS[version]))
            connection.execute(update(SCHEMA).values(version=VERSION))


def _make_file(path: Path) -> None:
    """0600 from the start; SQLite gives its log and shared memory the file's mode."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise KeyUnavailable(f"key store {path}: {error.strerror}") from None


def _use_wal(engine: Engine) -> None:
    """SQLite does not wait its time-out when two connections switch at once, so wait here."""
    deadline = time.monotonic() + 10
    while True:
        try:
            with engine.connect() as connection:
                connection.exec_driver_sql("PRAGMA journal_mode=WAL")
                return
        except OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def scrub(engine: Engine) -> None:
    """Make bytes that were overwritten leave the database's files as well.

    SQLite: they are zeroed in the file (secure_delete); the log is written back and emptied.
    PostgreSQL: the table, which is small, is written anew (WRITE_ANEW). Raises `KeyUnavailable`
    when others keep the log of SQLite busy.
    """
    if engine.dialect.name == "postgresql":
        with begin(engine, "write") as connection:
            for statement in WRITE_ANEW:
                connection.execute(text(statement))
        return
    with engine.connect() as connection:
        busy: Any = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").scalar()
    if busy:
        raise KeyUnavailable("key store: destroyed, but its log is still in use; destroy again")
