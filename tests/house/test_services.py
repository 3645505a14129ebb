"""The shared fixtures do what they say."""

import os
import signal
import socket
import sys
from pathlib import Path

import psycopg
import pytest
import redis
from kombu.connection import Connection

from tests import services
from tests.conftest import Spawn


def test_postgres_database_is_empty_and_writable(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        rows = connection.execute("SELECT 1 FROM pg_tables WHERE schemaname = 'public'").fetchall()
        assert rows == []
        connection.execute("CREATE TABLE mine (id int)")


@pytest.mark.postgres
def test_dropped_even_when_a_session_is_open() -> None:
    with services.fresh_database() as url:
        left_open = psycopg.connect(url)
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(url)
    left_open.close()


def test_database_url_is_plain(database_url: str) -> None:
    assert database_url.startswith(("sqlite:////", "postgresql://"))


def test_private_postgres_keeps_what_is_committed(
    private_postgres: services.PrivatePostgres,
) -> None:
    with psycopg.connect(private_postgres.url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS id")
    private_postgres.kill()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(private_postgres.url, connect_timeout=1)
    private_postgres.start()
    private_postgres.stop()
    private_postgres.start()
    with psycopg.connect(private_postgres.url) as connection:
        assert connection.execute("SELECT id FROM kept").fetchall() == [(1,)]


def test_private_postgres_dies_with_its_sessions(
    private_postgres: services.PrivatePostgres,
) -> None:
    with psycopg.connect(private_postgres.url) as connection:
        session = connection.info.backend_pid
        private_postgres.kill()
        services.eventually(lambda: not Path(f"/proc/{session}").exists())


def test_private_redis_stops_and_starts(private_redis: services.PrivateRedis) -> None:
    with redis.Redis.from_url(private_redis.url) as client:
        assert client.set("a", "b")
        private_redis.stop()
        with pytest.raises(redis.ConnectionError):
            client.ping()
        private_redis.start()
        assert client.get("a") is None
        private_redis.kill()
        with pytest.raises(redis.ConnectionError):
            client.ping()


def test_rabbitmq_virtual_host_is_of_its_own(rabbitmq_url: str) -> None:
    with Connection(rabbitmq_url) as connection, connection.SimpleQueue("letters") as queue:
        queue.put({"a": 1})
        letter = queue.get(timeout=5)
        letter.ack()
        assert letter.payload == {"a": 1}


def test_process_output_and_exit_code(spawn: Spawn) -> None:
    child = spawn([sys.executable, "-uc", "print('ready'); input()"])
    child.wait_for("EOFError")
    assert child.wait() == 1
    assert "ready" in child.output()


def test_process_that_ends_early_is_said_at_once(spawn: Spawn) -> None:
    child = spawn([sys.executable, "-c", "raise SystemExit(3)"])
    with pytest.raises(AssertionError, match="ended with 3"):
        child.wait_for("ready")


def test_closing_ends_grandchildren_in_sessions_of_their_own(spawn: Spawn) -> None:
    start = "import subprocess, sys; p = subprocess.Popen(['sleep', '60'], start_new_session=True)"
    child = spawn([sys.executable, "-uc", f"{start}; print('pid', p.pid, '.'); p.wait()"])
    grandchild = int(child.wait_for(" .").split()[1])
    os.kill(grandchild, 0)
    child.close()
    services.eventually(lambda: _ended(grandchild))
    assert child.returncode == -signal.SIGKILL


def _ended(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return True
    return status.rpartition(")")[2].split()[0] == "Z"


def test_free_port_can_be_bound(free_port: int) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", free_port))


def test_eventually_gives_up() -> None:
    with pytest.raises(AssertionError, match="not within"):
        services.eventually(lambda: False, within_s=0.1)


def test_missing_service_is_skipped_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(services.SERVICES, "moon", lambda: "too far")
    monkeypatch.setattr(services, "REQUIRED", False)
    with pytest.raises(pytest.skip.Exception, match="moon: too far"):
        services.require("moon")


def test_missing_service_fails_where_services_are_required(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(services.SERVICES, "sun", lambda: "too hot")
    monkeypatch.setattr(services, "REQUIRED", True)
    with pytest.raises(pytest.fail.Exception, match="sun: too hot"):
        services.require("sun")
