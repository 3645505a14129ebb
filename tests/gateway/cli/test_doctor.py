"""`gateway check`: what is wrong is found, said, and told from what only needs attention."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from contracts.connector import Item
from gateway.cli.doctor import examine
from gateway.cli.doctor.finding import Finding
from gateway.cli.parts import Parts
from storage.database import Database
from tests.gateway.cli.conftest import Gateway
from tests.kms.transit import TOKEN, VaultServer, certificate
from tests.processes import free_port
from tests.rig import ENVIRON, Rig, hours_ago, text


class Robots(BaseHTTPRequestHandler):
    """Serves one robots.txt."""

    rules = "User-agent: *\nAllow: /\n"

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.rules.encode())

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class Closed(Robots):
    """Lets nobody in."""

    rules = "User-agent: *\nDisallow: /\n"


@pytest.fixture(params=[Robots, Closed])
def site(request: pytest.FixtureRequest) -> Iterator[tuple[str, bool]]:
    """The address of a site, and whether its robots.txt lets providers deliver."""
    server = HTTPServer(("127.0.0.1", 0), request.param)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", request.param is Robots
    server.shutdown()
    thread.join()
    server.server_close()


def _found(ran_json: list[dict[str, str]], check: str) -> list[str]:
    return [one["level"] for one in ran_json if one["check"] == check]


def _levels(environ: dict[str, str]) -> dict[str, list[Finding]]:
    built = Parts(environ)
    try:
        found: dict[str, list[Finding]] = {}
        for finding in examine(built):
            found.setdefault(finding.check, []).append(finding)
        return found
    finally:
        built.close()


def _environ(rig: Rig, **more: str) -> dict[str, str]:
    return {
        "GATEWAY_DATA_DIR": str(rig.settings.data_dir),
        "GATEWAY_DATABASE_URL": rig.settings.database,
        "GATEWAY_PUBLIC_URL": "http://127.0.0.1:9",
        **ENVIRON,
        **more,
    }


def test_a_sound_gateway_has_no_fault(rig: Rig, gateway: Gateway) -> None:
    gateway("db", "upgrade")
    ran = gateway("check", "--json")
    assert ran.code == 0, ran.json
    levels = {one["check"]: one["level"] for one in ran.json}
    for check in ("keyring", "key store", "database", "clock", "durability", "migrations"):
        assert levels[check] == "ok"
    for check in ("partitions", "broker", "lag", "unrouted", "parked"):
        assert levels[check] == "ok"
    table = gateway("check")
    assert (table.code, len(table.out.splitlines())) == (0, len(ran.json))


def test_nothing_set_up_is_a_fault_with_advice(gateway: Gateway) -> None:
    ran = gateway("check", "--json")
    assert ran.code == 1
    advice = {one["check"]: one["advice"] for one in ran.json if one["level"] == "fault"}
    assert advice["migrations"] == "gateway db upgrade"
    assert "gateway db upgrade" in advice["keyring"]


def test_the_database_being_away_is_a_fault_and_no_end(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    ran = gateway("check", "--json")
    assert ran.code == 1
    assert _found(ran.json, "database") == ["fault"]
    assert _found(ran.json, "disk") == ["ok"]


def test_a_key_that_does_not_open_is_a_fault_that_names_it(rig: Rig, gateway: Gateway) -> None:
    rig.connect("acme", "42")
    with rig.vault.rotation._store._transaction("write") as connection:
        connection.exec_driver_sql(
            "UPDATE keys SET version = 7, kek = 'local:gone' WHERE kind = 'tenant-data'"
        )
    gateway("db", "upgrade")
    found = _levels(_environ(rig))["key store"]
    assert [(one.level, "tenant-data acme" in one.detail) for one in found] == [
        ("fault", True),
        ("ok", False),
    ]


def test_providers_say_what_is_missing_or_over(rig: Rig) -> None:
    off = _levels({**_environ(rig), "META_APP_SECRET": ""})["facebook"]
    assert [(one.level, "META_APP_SECRET" in one.advice) for one in off] == [("warn", True)]


def test_a_login_that_is_off_says_what_it_lacks(rig: Rig) -> None:
    (finding,) = _levels(_environ(rig))["login google"]
    assert (finding.level, "GOOGLE_CLIENT_ID" in finding.advice) == ("warn", True)


def test_a_login_without_its_dialog_says_for_what_it_is_on(rig: Rig) -> None:
    (finding,) = _levels(_environ(rig))["login whatsapp"]
    assert (finding.level, "META_SIGNUP_CONFIG_ID" in finding.advice) == ("warn", True)
    (finding,) = _levels(_environ(rig, META_SIGNUP_CONFIG_ID="7"))["login whatsapp"]
    assert "the domain to allow for the provider's script" in finding.detail


def test_a_login_that_is_on_says_what_to_register(rig: Rig) -> None:
    on = {"INSTAGRAM_APP_ID": "1", "INSTAGRAM_APP_SECRET": "s"}
    (finding,) = _levels(_environ(rig, **on))["login instagram"]
    assert finding.level == "ok"
    assert "/oauth/instagram/callback" in finding.detail


def test_a_version_that_is_over_is_said(rig: Rig) -> None:
    assert [one.level for one in _levels(_environ(rig))["facebook"]] == ["ok"]
    over = _levels(_environ(rig, META_GRAPH_VERSION="v18.0"))["facebook"]
    assert [(one.level, "v18.0 ended" in one.detail) for one in over] == [("warn", True)]
    wrong = _levels(_environ(rig, META_GRAPH_VERSION="24"))["providers"]
    assert [one.level for one in wrong] == ["fault"]


def test_an_address_must_be_https_for_providers(rig: Rig) -> None:
    plain = _levels(_environ(rig, GATEWAY_PUBLIC_URL="http://gateway.invalid"))
    assert plain["public address"][0].level == "fault"
    secure = _levels(_environ(rig, GATEWAY_PUBLIC_URL="https://gateway.invalid"))
    assert secure["public address"][0].level == "ok"
    assert secure["robots.txt"][0].level == "warn"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"GATEWAY_PUBLIC_URL": "https://gateway.example"}, ("warn", "GATEWAY_RETURN_URLS")),
        ({}, ("warn", "no privacy policy")),
        (
            {"GATEWAY_POLICY_URL": "https://crm.example/privacy", "GATEWAY_POLICY_VERSION": "7"},
            ("ok", "version 7"),
        ),
    ],
)
def test_connect_pages_need_a_way_back_and_a_policy(
    rig: Rig, more: dict[str, str], said: tuple[str, str]
) -> None:
    (found,) = _levels({**_environ(rig), **more})["connect pages"]
    assert (found.level, said[1] in found.detail) == (said[0], True)


def test_robots_must_let_providers_deliver(rig: Rig, site: tuple[str, bool]) -> None:
    url, allowed = site
    [finding] = _levels(_environ(rig, GATEWAY_PUBLIC_URL=url))["robots.txt"]
    assert finding.level == ("ok" if allowed else "fault")


def test_a_misspelt_setting_is_a_fault(rig: Rig) -> None:
    wrong = _levels(_environ(rig, GATEWAY_RAW_DAY="3", GATEWAY_TEST_X="1", GATEWAY_KEK_URI_FILE=""))
    [finding] = wrong["settings"]
    assert (finding.level, "GATEWAY_RAW_DAY " in finding.detail) == ("fault", True)
    assert [one.level for one in _levels(_environ(rig))["settings"]] == ["ok"]


def test_a_keyring_that_others_may_read_is_a_fault(rig: Rig) -> None:
    (rig.settings.data_dir / "keyring.json").chmod(0o644)
    found = _levels(_environ(rig))
    assert [one.level for one in found["keyring"]] == ["fault"]
    assert "chmod 600" in found["keyring"][0].advice
    assert "fault" in [one.level for one in found["key store"]]


def test_another_keyring_does_not_open_the_key_store(rig: Rig, tmp_path: Path) -> None:
    found = _levels(_environ(rig, GATEWAY_KEK_URI=f"local:{tmp_path / 'other.json'}"))
    assert "fault" in [one.level for one in found["key store"]]


@pytest.fixture
def vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[VaultServer]:
    """A KMS on loopback, with a key."""
    monkeypatch.setenv("VAULT_CACERT", str(certificate(tmp_path)))
    monkeypatch.setenv("VAULT_TOKEN", TOKEN)
    server = VaultServer(tmp_path, free_port())
    server.transit.create("kek")
    server.start()
    yield server
    server.stop()


def test_a_kms_that_answers_is_told_with_how_its_key_is_kept(
    vault: VaultServer, database_url: str, tmp_path: Path
) -> None:
    rig = Rig(database_url, tmp_path / "in-vault", kek_uri=vault.uri("kek"))
    try:
        found = _levels(_environ(rig, GATEWAY_KEK_URI=vault.uri("kek")))
    finally:
        rig.close()
    assert "keyring" not in found
    assert [(one.level, "back up Vault" in one.advice) for one in found["kms"]] == [("ok", True)]
    assert [one.level for one in found["key store"]] == ["ok"]


def test_a_kms_that_refuses_is_a_fault_that_says_what_to_do(rig: Rig, vault: VaultServer) -> None:
    environ = _environ(rig, GATEWAY_KEK_URI=vault.uri("kek"))
    found = _levels(environ)
    assert [one.level for one in found["kms"]] == ["ok"]
    assert [one.level for one in found["key store"]] == ["fault"], "another key wrapped it"
    vault.transit.tokens = set()
    [finding] = _levels(environ)["kms"]
    assert (finding.level, "permission denied" in finding.detail) == ("fault", True)
    vault.stop()
    [finding] = _levels(environ)["kms"]
    assert (finding.level, "does not answer" in finding.detail) == ("fault", True)


def test_the_key_store_must_be_apart(rig: Rig) -> None:
    found = _levels(_environ(rig, GATEWAY_KEYSTORE_URL=rig.settings.database))
    assert found["key store"][0].level == "fault"


def test_a_broker_that_is_away_is_a_fault(rig: Rig) -> None:
    found = _levels(_environ(rig, GATEWAY_BROKER_URL="redis://127.0.0.1:1/0"))
    assert [one.level for one in found["broker"]] == ["fault"]


def test_messages_that_do_not_open_are_a_fault(rig: Rig) -> None:
    rig.connect("acme", "42")
    rig.drain(rig.put(text("42", "7", "one"), text("42", "7", "two")))
    assert [one.level for one in _levels(_environ(rig))["messages"]] == ["ok"]
    with rig.database.write() as connection:
        connection.execute(sa.text("UPDATE messages SET sealed = 'x' WHERE position = 1"))
    [finding] = _levels(_environ(rig))["messages"]
    assert finding.level == "fault"
    assert finding.detail.startswith("1 of the newest 2 do not open")


def test_what_waits_is_told_by_its_age(rig: Rig) -> None:
    rig.put_items([Item("facebook", "42", b"{}")], received_at_ms=hours_ago(1))
    assert [one.level for one in _levels(_environ(rig))["lag"]] == ["fault"]


def test_unrouted_and_parked_are_counted(rig: Rig) -> None:
    rig.connect("acme", "43")
    rig.drain(rig.put(text("42", "7", "hello")))
    rig.drain(rig.put_items([Item("facebook", "43", b'{"id":"43","messaging":[{"message":3}]}')]))
    found = _levels(_environ(rig))
    for check in ("unrouted", "parked"):
        assert found[check][0].level == "warn"
        assert found[check][0].detail.startswith("1, the oldest")


@pytest.mark.postgres
def test_a_server_that_forgets_is_a_fault(postgres_url: str, tmp_path: Path) -> None:
    database = Database(postgres_url)
    with database.write() as connection:
        name = connection.scalar(sa.text("SELECT current_database()"))
        connection.execute(sa.text(f"ALTER DATABASE {name} SET synchronous_commit = off"))
    database.close()
    environ = {"GATEWAY_DATABASE_URL": postgres_url, "GATEWAY_DATA_DIR": str(tmp_path / "var")}
    [finding] = _levels(environ)["durability"]
    assert (finding.level, finding.detail) == ("fault", "synchronous_commit is off")


@pytest.mark.postgres
def test_partitions_that_run_out_are_told(postgres_url: str, tmp_path: Path) -> None:
    rig = Rig(postgres_url, tmp_path / "var")
    try:
        with rig.database.write() as connection:
            children = connection.scalars(
                sa.text(
                    "SELECT relname FROM pg_class JOIN pg_inherits ON inhrelid = oid "
                    "WHERE inhparent = CAST('inbox' AS regclass) ORDER BY relname"
                )
            ).all()
            for name in children[3:]:
                connection.execute(sa.text(f"DROP TABLE {name}"))
        assert _levels(_environ(rig))["partitions"][0].level == "warn"
        with rig.database.write() as connection:
            for name in children[1:3]:
                connection.execute(sa.text(f"DROP TABLE {name}"))
        assert _levels(_environ(rig))["partitions"][0].level == "fault"
    finally:
        rig.close()


def test_an_object_store_that_cannot_be_written_is_a_fault(rig: Rig, tmp_path: Path) -> None:
    assert [one.level for one in _levels(_environ(rig))["objects"]] == ["ok"]
    (tmp_path / "a file").write_text("")
    (found,) = _levels(_environ(rig, GATEWAY_OBJECTS_URL=f"file:{tmp_path}/a file/x"))["objects"]
    assert (found.level, found.detail) == ("fault", "objects: Not a directory")
