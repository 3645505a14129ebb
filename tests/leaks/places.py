"""Everything that a deployment writes somewhere, as named bytes: to be searched."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import redis
from psycopg import sql

Blobs = Iterator[tuple[str, bytes]]


def files(folder: Path) -> Blobs:
    """Every file under `folder`, hidden ones and pages that a database no longer uses included."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            yield f"file {path.relative_to(folder)}", path.read_bytes()


def postgresql(url: str) -> Blobs:
    """Every row of every table, and what the server says of its sessions' statements."""
    with psycopg.connect(url) as connection:
        listed = connection.execute(
            "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n"
            " ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND n.nspname NOT IN"
            " ('pg_catalog', 'information_schema') ORDER BY 1, 2"
        ).fetchall()
        for schema, table in listed:
            whole = sql.SQL("SELECT * FROM {}").format(sql.Identifier(schema, table))
            rows = connection.execute(whole).fetchall()
            yield f"table {table}", b"\n".join(map(_row, rows))
        sessions = connection.execute("SELECT * FROM pg_stat_activity").fetchall()
        yield "pg_stat_activity", b"\n".join(map(_row, sessions))


def _row(values: tuple[Any, ...]) -> bytes:
    return b"\t".join(v if isinstance(v, bytes) else str(v).encode() for v in values)


def redis_keys(url: str) -> Blobs:
    """Every key of a Redis with what it holds, messages that wait among it."""
    with redis.Redis.from_url(url) as client:
        for key in client.scan_iter():
            yield f"redis {key.decode()}", b"\n".join((key, *_held(client, key)))


def _held(client: "redis.Redis", key: bytes) -> list[bytes]:
    kind: Any = client.type(key)
    found: Any
    match kind:
        case b"list":
            found = client.lrange(key.decode(), 0, -1)
        case b"set":
            found = client.smembers(key.decode())
        case b"zset":
            found = client.zrange(key.decode(), 0, -1)
        case b"hash":
            found = [part for pair in client.hgetall(key.decode()).items() for part in pair]
        case _:
            found = [client.get(key)]
    return list(found)


def rabbitmq_messages(url: str, queue: str) -> Blobs:
    """The messages that wait in a queue of RabbitMQ, which keeps them."""
    from kombu.connection import Connection

    with Connection(url) as connection:
        channel = connection.channel()
        number = 0
        while (message := channel.basic_get(queue)) is not None:
            number += 1
            told = (message.body, message.headers, message.properties)
            yield f"rabbitmq message {number}", repr(told).encode()


def processes(pids: list[int], own: set[bytes]) -> Blobs:
    """Command lines of processes; their environments but for the lines in `own`, which the test
    gave them itself. One that has ended meanwhile has neither.
    """
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            yield f"/proc/{pid}/cmdline", Path(f"/proc/{pid}/cmdline").read_bytes()
            lines = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            yield f"/proc/{pid}/environ", b"\0".join(line for line in lines if line not in own)


def database_files(url: str) -> Path | None:
    """The folder of an SQLite database; None for another."""
    parts = urlsplit(url)
    return Path(parts.path).parent if parts.scheme == "sqlite" else None
