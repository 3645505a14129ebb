"""The key store on both databases: made once, first key wins, destroyed bytes are gone."""

import secrets
import stat
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from contracts.errors import KeyUnavailable, Misconfigured
from tests.conftest import Spawn
from tests.servers import PrivatePostgres
from tests.services import fresh_database
from token_vault import KeyStore
from token_vault.keystore import KeyRow


def key(name: str = "acme", kind: str = "tenant-data", wrapped: bytes = b"wrapped") -> KeyRow:
    return KeyRow(kind, name, 1, wrapped, None)


def test_creating_again_changes_nothing(keystore: KeyStore) -> None:
    keystore.add([key()])
    keystore.create()
    assert keystore.read("acme", ["tenant-data"]) == {"tenant-data": key()}


def test_the_first_key_wins_and_the_rest_of_the_batch_is_stored(keystore: KeyStore) -> None:
    keystore.add([key()])
    keystore.add([key(wrapped=b"second"), key(kind="tenant-prf")])
    assert keystore.read("acme", ["tenant-data", "tenant-prf"]) == {
        "tenant-data": key(),
        "tenant-prf": key(kind="tenant-prf"),
    }


def test_reads_only_what_was_asked_for(keystore: KeyStore) -> None:
    keystore.add([key("b", "day"), key("a", "day"), key()])
    assert [row.name for row in keystore.of_kind("day")] == ["a", "b"]
    assert keystore.read("a", ["tenant-data"]) == {}
    assert keystore.read("nobody", ["day"]) == {}


def test_destroying_blanks_and_journals_once(keystore: KeyStore) -> None:
    keystore.add([key(), key(kind="tenant-prf"), key("other")])
    for _ in range(2):
        keystore.destroy(
            "acme", ["tenant-data", "tenant-prf"], erasure="tenant", tenant="acme", detail=""
        )
    assert keystore.read("acme", ["tenant-data"]) == {"tenant-data": key()._replace(wrapped=None)}
    assert keystore.live(1) == [key("other")]
    assert [(row.kind, row.tenant, row.detail) for row in keystore.journal()] == [
        ("tenant", "acme", "")
    ]


def test_a_destroyed_key_is_never_replaced(keystore: KeyStore) -> None:
    keystore.add([key()])
    keystore.destroy("acme", ["tenant-data"], erasure="tenant", tenant="acme", detail="")
    keystore.add([key(wrapped=b"second life")])
    assert keystore.live(1) == []


def test_the_journal_keeps_order_and_aware_times(keystore: KeyStore) -> None:
    keystore.record("contact", "acme", "hash-1")
    keystore.record("connection", None, "con_2")
    first, second = keystore.journal()
    assert (first.kind, first.tenant, first.detail) == ("contact", "acme", "hash-1")
    assert (second.kind, second.tenant, second.detail) == ("connection", None, "con_2")
    assert first.id < second.id
    assert first.at <= second.at
    assert first.at.utcoffset() is not None


def test_a_store_without_tables_is_unavailable(database_url: str) -> None:
    store = KeyStore(database_url)
    with pytest.raises(KeyUnavailable):
        store.live(1)
    store.close()


def test_a_wrong_path_never_becomes_an_empty_store(tmp_path: Path) -> None:
    store = KeyStore(f"sqlite:///{tmp_path / 'wrong.db'}")
    with pytest.raises(KeyUnavailable, match="unable to open"):
        store.live(1)
    assert not (tmp_path / "wrong.db").exists()
    nowhere = KeyStore(f"sqlite:///{tmp_path / 'none' / 'keys.db'}")
    with pytest.raises(KeyUnavailable, match="No such file"):
        nowhere.create()


@pytest.mark.parametrize("url", ["mysql://x/y", "sqlite://", "sqlite:///:memory:", "keys.db", ""])
def test_other_databases_are_misconfigured(url: str) -> None:
    with pytest.raises(Misconfigured, match="GATEWAY_KEYSTORE_URL"):
        KeyStore(url)


def test_errors_do_not_quote_keys(keystore: KeyStore) -> None:
    secret = b"very-secret-bytes"
    with pytest.raises(KeyUnavailable) as caught:
        keystore.add([KeyRow("day", "x", None, secret, None)])  # type: ignore[arg-type]
    assert secret.decode() not in str(caught.value)
    assert secret.hex() not in str(caught.value)
    assert caught.value.__cause__ is None


def test_sqlite_files_are_for_the_owner_alone(sqlite_url: str, tmp_path: Path) -> None:
    store = KeyStore(sqlite_url)
    store.create()
    store.add([key()])
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    store.close()
    assert modes == {"gateway.db": 0o600, "gateway.db-wal": 0o600, "gateway.db-shm": 0o600}


def test_destroyed_bytes_leave_the_files_of_sqlite(sqlite_url: str, tmp_path: Path) -> None:
    wrapped, kept = secrets.token_bytes(300), secrets.token_bytes(300)
    store = KeyStore(sqlite_url)
    store.create()
    store.add([key(wrapped=wrapped), key("other", wrapped=kept)])
    assert any(_remains(wrapped, path.read_bytes()) for path in tmp_path.iterdir())
    store.destroy("acme", ["tenant-data"], erasure="tenant", tenant="acme", detail="")
    files = [path.read_bytes() for path in tmp_path.iterdir()]
    store.close()
    assert not any(_remains(wrapped, content) for content in files)
    assert any(kept in content for content in files)


def test_destroyed_in_sqlite_while_others_read_is_said(sqlite_url: str, tmp_path: Path) -> None:
    wrapped = secrets.token_bytes(300)
    store, reader = KeyStore(sqlite_url, timeout_s=0.1), KeyStore(sqlite_url)
    store.create()
    store.add([key(wrapped=wrapped)])
    with reader._transaction("read") as connection:
        connection.exec_driver_sql("SELECT * FROM keys").all()
        with pytest.raises(KeyUnavailable, match="destroy again"):
            store.destroy("acme", ["tenant-data"], erasure="tenant", tenant="acme", detail="")
        assert store.live(1) == []
    store.destroy("acme", ["tenant-data"], erasure="tenant", tenant="acme", detail="")
    assert not any(_remains(wrapped, path.read_bytes()) for path in tmp_path.iterdir())
    assert len(store.journal()) == 1
    store.close()
    reader.close()


@pytest.mark.postgres
def test_destroyed_bytes_leave_the_table_of_postgresql(postgres_url: str) -> None:
    """Also while another database of the same server has an older transaction open."""
    wrapped, kept = secrets.token_bytes(300), secrets.token_bytes(300)
    store = KeyStore(postgres_url)
    with fresh_database() as elsewhere, psycopg.connect(elsewhere) as older:
        older.execute("SELECT pg_current_xact_id()")
        store.create()
        store.add([key(wrapped=wrapped), key("other", wrapped=kept)])
        before = _table_file(postgres_url)
        store.destroy("acme", ["tenant-data"], erasure="tenant", tenant="acme", detail="")
        after = _table_file(postgres_url)
    found = store.read("other", ["tenant-data"]), store.live(1)
    store.close()
    assert (_remains(wrapped, before), _remains(wrapped, after)) == (True, False)
    assert found == ({"tenant-data": key("other", wrapped=kept)}, [key("other", wrapped=kept)])


@pytest.mark.postgres
def test_readers_in_postgresql_never_miss_a_key_while_another_is_destroyed(
    postgres_url: str,
) -> None:
    store = KeyStore(postgres_url)
    store.create()
    store.add([key(str(n)) for n in range(60)] + [key("kept")])

    def destroy(numbers: range) -> None:
        for n in numbers:
            store.destroy(str(n), ["tenant-data"], erasure="tenant", tenant=str(n), detail="")

    with ThreadPoolExecutor(2) as pool:
        running = [pool.submit(destroy, range(half, 60, 2)) for half in (0, 1)]
        reads = 0
        while not all(job.done() for job in running):
            assert store.read("kept", ["tenant-data"]) == {"tenant-data": key("kept")}
            reads += 1
    for job in running:
        job.result()
    assert reads > 60
    assert len(store.journal()) == 60
    store.close()


def _remains(wrapped: bytes, content: bytes) -> bool:
    """Whether any part of a destroyed key is left, be it only eight bytes."""
    return any(wrapped[at : at + 8] in content for at in range(len(wrapped) - 7))


def _table_file(url: str) -> bytes:
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute("CHECKPOINT")
        row = admin.execute("SELECT pg_read_binary_file(pg_relation_filepath('keys'))").fetchone()
    assert row is not None
    content: bytes = row[0]
    return content


@pytest.mark.postgres_server
def test_a_database_that_was_away_is_used_again(private_postgres: PrivatePostgres) -> None:
    store = KeyStore(private_postgres.url)
    store.create()
    store.add([key()])
    private_postgres.stop()
    with pytest.raises(KeyUnavailable):
        store.live(1)
    private_postgres.start()
    assert store.live(1) == [key()]
    private_postgres.stop()
    private_postgres.start()
    assert store.live(1) == [key()], "a restart that nobody saw"
    store.close()


PROCESS = """
import sys
from pathlib import Path
from token_vault import KeyStore
store = KeyStore(sys.argv[1])
print("ready", flush=True)
while not Path(sys.argv[2]).exists():
    pass
store.create()
print("live", store.live(1), flush=True)
"""


def test_processes_that_create_at_once_all_find_it_made(
    database_url: str, tmp_path: Path, spawn: Spawn
) -> None:
    go = tmp_path / "go"
    here = {"PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", PROCESS, database_url, go]
    children = [spawn(command, env=here) for _ in range(6)]
    for child in children:
        child.wait_for("ready")
    go.touch()
    assert [child.wait() for child in children] == [0] * 6, [c.output() for c in children]


def test_a_store_of_the_first_version_is_brought_to_this_one(database_url: str) -> None:
    """And a process of the version before goes on beside it."""
    old = BEFORE.format("blob" if database_url.startswith("sqlite") else "bytea")
    store = KeyStore(database_url)
    store.create()
    with store._transaction("write") as connection:
        connection.exec_driver_sql("ALTER TABLE keys DROP COLUMN kek")
        connection.exec_driver_sql("UPDATE keystore_schema SET version = 1")
        connection.exec_driver_sql(old)
    for _ in range(2):
        store.create()
    assert store.live(1) == [key("old")]
    with store._transaction("write") as connection:
        connection.exec_driver_sql(old.replace("'old'", "'beside'"))
        versions = [*connection.exec_driver_sql("SELECT version FROM keystore_schema")]
    assert versions == [(2,)]
    assert store.count_by_kek() == {None: 2}
    store.destroy("beside", ["tenant-data"], erasure="tenant", tenant="beside", detail="")
    assert store.live(10) == [key("old")]
    store.close()


BEFORE = """
INSERT INTO keys (kind, name, version, wrapped, created_ms)
VALUES ('tenant-data', 'old', 1, CAST('wrapped' AS {}), 0)
"""
