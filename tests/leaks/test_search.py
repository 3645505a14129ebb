"""The leak test can fail: its search finds each form of a marker in each kind of place."""

import base64
import contextlib
import gzip
import json
import os
import sqlite3
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
import redis

from tests.leaks import places
from tests.leaks.search import Finder, mark, number
from tests.services import PrivateRedis

TEXT = mark()
FINDER = Finder({"text": TEXT, "number": number()})
WRITTEN = f'{{"said": "ä/{TEXT}?\n"}}'

FORMS: dict[str, Callable[[bytes], bytes]] = {
    "raw": bytes,
    "upper case": bytes.upper,
    "JSON": lambda raw: json.dumps(raw.decode()).encode(),
    "URL": lambda raw: quote(raw).encode(),
    "hex": lambda raw: raw.hex().encode(),
    "HEX": lambda raw: raw.hex().upper().encode(),
    "base64": base64.b64encode,
    "base64 + 1": lambda raw: base64.b64encode(b"x" + raw),
    "base64 + 2": lambda raw: base64.b64encode(b"xx" + raw),
    "base64url": base64.urlsafe_b64encode,
    "gzip": lambda raw: b"some header" + gzip.compress(raw),
    "zlib": lambda raw: b"some header" + zlib.compress(raw) + b"and more",
    "repr": lambda raw: repr(raw).encode(),
}


@pytest.mark.parametrize("form", FORMS)
def test_each_form_is_found(form: str) -> None:
    blob = os.urandom(1000) + FORMS[form](WRITTEN.encode()) + os.urandom(1000)
    (leak,) = FINDER.leaks([("somewhere", blob)])
    assert (leak.marker, leak.place) == ("text", "somewhere")


def test_what_is_not_there_is_not_found() -> None:
    assert not list(FINDER.leaks([("noise", os.urandom(1 << 20))]))
    assert not list(FINDER.leaks([("allowed", WRITTEN.encode())], ["text"]))


@pytest.mark.parametrize("name", ["a.log", ".hidden", "broker/queues/1.msg", "x.db-wal"])
def test_files_are_searched(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(WRITTEN)
    (leak,) = FINDER.leaks(places.files(tmp_path))
    assert leak.place == f"file {name}"


def test_rows_of_sqlite_are_found_after_they_were_deleted(tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "x.db")) as database:
        database.execute("PRAGMA secure_delete = OFF")
        database.execute("CREATE TABLE t (a BLOB)")
        database.execute("INSERT INTO t VALUES (?)", (WRITTEN.encode(),))
        database.commit()
        database.execute("DELETE FROM t")
        database.commit()
    (leak,) = FINDER.leaks(places.files(tmp_path))
    assert leak.place == "file x.db"


@pytest.mark.parametrize("kind", ["text", "bytea", "json", "text[]"])
def test_rows_of_postgresql_are_searched(postgres_url: str, kind: str) -> None:
    value: object = {"bytea": WRITTEN.encode(), "text[]": [WRITTEN]}.get(kind, json.dumps(WRITTEN))
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE TABLE t (a {kind})".encode())
        connection.execute("INSERT INTO t VALUES (%s)", (value,))
        (leak,) = FINDER.leaks(places.postgresql(postgres_url))
    assert leak.place == "table t"


def test_statements_of_postgresql_are_searched(postgres_url: str) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"SELECT '{TEXT}'".encode())
        (leak,) = FINDER.leaks(places.postgresql(postgres_url))
    assert leak.place == "pg_stat_activity"


def test_messages_in_redis_are_searched(private_redis: PrivateRedis) -> None:
    with redis.Redis.from_url(private_redis.url) as client:
        client.lpush("list", WRITTEN)
        client.hset("hash", "field", WRITTEN)
        client.sadd("set", WRITTEN)
        client.zadd("zset", {WRITTEN: 1})
        client.set("string", WRITTEN)
        client.set(TEXT, "in a key")
    found = {leak.place for leak in FINDER.leaks(places.redis_keys(private_redis.url))}
    assert found == {f"redis {key}" for key in ("list", "hash", "set", "zset", "string", TEXT)}


def test_messages_in_rabbitmq_are_searched(rabbitmq_url: str) -> None:
    from kombu.connection import Connection

    with Connection(rabbitmq_url) as connection:
        queue = connection.SimpleQueue("q")
        queue.put({"in": "the body", "text": WRITTEN})
        queue.put({"in": "a header"}, headers={"x": WRITTEN})
        queue.close()
    assert len(list(FINDER.leaks(places.rabbitmq_messages(rabbitmq_url, "q")))) == 2


def test_command_lines_and_environments_are_searched() -> None:
    own = f"GIVEN={TEXT}"
    program = "import sys; print('runs', flush=True); sys.stdin.read()"
    for arguments, more, found in (
        ([TEXT], {}, ["cmdline"]),
        ([], {"PASSED_ON": TEXT}, ["environ"]),
        ([], {"GIVEN": TEXT}, []),
    ):
        with subprocess.Popen(
            [sys.executable, "-c", program, *arguments],
            env={**os.environ, **more},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as child:
            assert child.stdout is not None
            child.stdout.readline()  # until then its command line may be another one's
            leaks = list(FINDER.leaks(places.processes([child.pid], {own.encode()})))
            assert [leak.place.rpartition("/")[2] for leak in leaks] == found


def test_a_process_that_has_ended_has_nothing_to_search() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait()
        assert list(places.processes([child.pid], set())) == []
