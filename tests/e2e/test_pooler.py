"""The whole way through a pooler in transaction mode, which keeps no session for anybody."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import psycopg
import pytest

from contracts.errors import KeyDestroyed
from contracts.settings import Settings
from gateway.cli.doctor import pooler
from gateway.cli.parts import Parts as CommandParts
from storage import migrate
from tests import services
from tests.chaos.deployment import EDGE, Deployment, post, pull, pull_all, texts_of, visible_after_s
from tests.processes import eventually
from tests.rig import ENVIRON, text
from tests.servers import PrivatePgbouncer
from token_vault import Purpose
from workers.composition import Parts

pytestmark = [pytest.mark.pgbouncer, pytest.mark.timeout(120)]

PAGES: Final = tuple(("acme", str(page)) for page in range(10, 18))
EACH: Final = 40
WOKEN_S: Final = 1.0
"""Well below the 1.5 s after which a reader that nobody wakes looks again by itself."""


@pytest.fixture
def deployment(
    tmp_path: Path, postgres_url: str, pgbouncer: PrivatePgbouncer
) -> Iterator[Deployment]:
    """An edge and two workers behind the pooler."""
    pooled = pgbouncer.through(postgres_url)
    running = Deployment(tmp_path, postgres_url, pooler_url=pooled, pages=PAGES, workers=2)
    try:
        running.start()
        yield running
    finally:
        running.close()


def _deliver(deployment: Deployment, page: str, refused: list[int | None]) -> None:
    with deployment.client() as client:
        for number in range(EACH):
            status = post(client, text(page, "7", f"{page}-{number}"))
            if status != 200:
                refused.append(status)


def test_messages_travel_whole_and_in_order(
    deployment: Deployment, pgbouncer: PrivatePgbouncer
) -> None:
    refused: list[int | None] = []
    senders = [
        threading.Thread(target=_deliver, args=(deployment, page, refused)) for _, page in PAGES
    ]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    assert refused == []
    with deployment.client() as client:
        eventually(lambda: len(texts_of(pull_all(client))) >= EACH * len(PAGES), within_s=30)
        found = texts_of(pull_all(client))
    for _, page in PAGES:
        ours = [one for one in found if one.startswith(f"{page}-")]
        assert ours == [f"{page}-{number}" for number in range(EACH)]
    for name in (EDGE, *deployment.workers):
        assert '"level":"error"' not in deployment.output(name).replace(": ", ":")
    assert "prepared statement" not in pgbouncer.output()


def test_a_long_poll_is_woken_past_the_pooler(deployment: Deployment) -> None:
    with deployment.client() as client:
        _, after = visible_after_s(client, text("10", "7", "first"), "")
        waits = []
        for number in range(5):
            took, after = visible_after_s(client, text("10", "7", f"{number}"), after)
            waits.append(took)
        assert sorted(waits)[2] < WOKEN_S
        assert not pull(client, after).messages


def test_the_command_line_works_through_it(deployment: Deployment) -> None:
    deployment.command("db", "upgrade")
    found = deployment.command("check")
    assert "fault" not in found, found
    assert "statement_timeout and idle_in_transaction_session_timeout not set" in found


def test_a_direct_address_that_is_wrong_is_found(parts: Parts, postgres_url: str) -> None:
    pooled = parts.settings.database_url
    for url, wrong in (
        (services.postgres_server_url(), "leads to another database"),
        ("postgresql://nobody@127.0.0.1:1/none", "nothing can be stored"),
    ):
        environ = {"GATEWAY_DATABASE_URL": str(pooled), "GATEWAY_DATABASE_LISTEN_URL": url}
        built = CommandParts(environ)
        [finding] = pooler.passed(built)
        built.close()
        assert finding.level == "fault"
        assert wrong in f"{finding.detail} {finding.advice}"


def test_with_time_outs_of_the_role_all_is_well(parts: Parts, postgres_url: str) -> None:
    environ = {
        "GATEWAY_DATABASE_URL": str(parts.settings.database_url),
        "GATEWAY_DATABASE_LISTEN_URL": postgres_url,
    }
    name = urlsplit(postgres_url).path.lstrip("/")
    with psycopg.connect(postgres_url, autocommit=True) as direct:
        for setting in ("statement_timeout", "idle_in_transaction_session_timeout"):
            direct.execute(f"ALTER DATABASE {name} SET {setting} = '60s'".encode())
        direct.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = "
            "current_database() AND pid <> pg_backend_pid()"
        )
    built = CommandParts(environ)
    [finding] = pooler.passed(built)
    built.close()
    assert finding.level == "ok"


@pytest.fixture
def parts(tmp_path: Path, postgres_url: str, pgbouncer: PrivatePgbouncer) -> Iterator[Parts]:
    """A worker's parts; its main database and its key store are behind the pooler."""
    with services.fresh_database() as keys_url:
        settings = Settings(
            data_dir=tmp_path,
            database_url=pgbouncer.through(postgres_url),
            database_listen_url=postgres_url,
            keystore_url=pgbouncer.through(keys_url),
        )
        worker = Parts(settings, ENVIRON)
        try:
            migrate.upgrade(worker.database)
            worker.vault.upgrade()
            yield worker
        finally:
            worker.close()


def test_old_days_are_dropped_past_the_pooler(parts: Parts, postgres_url: str) -> None:
    """Detaching concurrently sets a time-out and takes a lock for its session."""
    with psycopg.connect(postgres_url, autocommit=True) as direct:
        direct.execute("CREATE TABLE inbox_d1 (LIKE inbox INCLUDING ALL EXCLUDING IDENTITY)")
        direct.execute("ALTER TABLE inbox ATTACH PARTITION inbox_d1 FOR VALUES FROM (1) TO (2)")
        parts.upkeep.run()
        assert direct.execute("SELECT to_regclass('inbox_d1')").fetchone() == (None,)
        kept = """
            SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database
            WHERE locktype = 'advisory' AND datname = current_database() AND objid = ANY(%s)
        """
        ours = list(range(7_215_001, 7_215_010))
        assert direct.execute(kept, (ours,)).fetchone() == (0,)


def test_keys_are_kept_behind_it(parts: Parts) -> None:
    for tenant in ("one", "two", "three"):
        parts.vault.create_tenant(tenant)
        sealed = parts.vault.tenant(tenant).seal(Purpose.MESSAGE, b"name", b"words")
        assert parts.vault.tenant(tenant).open(Purpose.MESSAGE, b"name", sealed) == b"words"
    parts.vault.destroy_tenant("two")
    with pytest.raises(KeyDestroyed):
        parts.vault.tenant("two")
