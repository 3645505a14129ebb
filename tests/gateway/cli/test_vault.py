"""`gateway vault`: what is under which key, and new keys ordered."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from storage import schema
from storage.rotations import Rotations
from tests.gateway.cli.conftest import Gateway
from tests.kms.transit import TOKEN, VaultServer, certificate
from tests.processes import free_port
from tests.rig import Rig, text
from token_vault import Kek, Keks, load_kek


@pytest.fixture
def moved(rig: Rig, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The key-encryption key is to be another one from now on; its URI."""
    new = f"local:{folder / 'new.json'}"
    rig.connect("acme", "42")
    monkeypatch.setenv("GATEWAY_KEK_URI", new)
    monkeypatch.setenv("GATEWAY_KEK_URI_PREVIOUS", rig.settings.kek)
    return new


def test_the_key_encryption_key_is_rotated(
    rig: Rig, moved: str, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    [before] = gateway("vault", "status", "--json").json["kek"]["keys"]
    assert (before["wrapped_by"], before["which_is"]) == (rig.settings.kek, "previous")
    assert "vault rotate --kek" in gateway("vault", "status").err
    ran = gateway("vault", "rotate", "--kek")
    assert ran.code == 0
    assert f"{before['keys']} keys re-wrapped under {moved}" in ran.err
    kek = gateway("vault", "status", "--json").json["kek"]
    assert kek == {
        "keys": [{"keys": before["keys"], "wrapped_by": moved, "which_is": "current"}],
        "previous_needed": False,
    }
    assert "leave GATEWAY_KEK_URI_PREVIOUS out" in gateway("vault", "status").err
    assert "0 keys" in gateway("vault", "rotate", "--kek").err
    monkeypatch.delenv("GATEWAY_KEK_URI_PREVIOUS")
    assert gateway("connections", "list", "--json").json[0]["account"] == "42"


def test_without_the_old_key_nothing_is_rewrapped(
    rig: Rig, moved: str, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.connect("beta", "43")
    monkeypatch.delenv("GATEWAY_KEK_URI_PREVIOUS")
    ran = gateway("vault", "rotate", "--kek")
    assert (ran.code, ran.err.count("opens: ")) == (1, 20)
    assert "0 keys re-wrapped" in ran.err
    assert "and 1 further key" in ran.err
    [left] = gateway("vault", "status", "--json").json["kek"]["keys"]
    assert left["which_is"] == "not in the settings"


def test_a_key_that_nothing_opens_is_named(rig: Rig, moved: str, gateway: Gateway) -> None:
    store = rig.vault.rotation._store
    with store._transaction("write") as connection:
        connection.exec_driver_sql("UPDATE keys SET version = 7 WHERE kind = 'tenant-prf'")
    ran = gateway("vault", "rotate", "--kek")
    assert (ran.code, "opens: tenant-prf acme" in ran.err) == (1, True)
    assert gateway("vault", "status", "--json").json["kek"]["previous_needed"]


def test_data_keys_are_rotated_by_workers(rig: Rig, gateway: Gateway) -> None:
    assert gateway("vault", "status", "--json").json["tenants"] == {}
    for tenant, page in (("acme", "42"), ("beta", "43")):
        rig.connect(tenant, page)
        rig.drain(rig.put(text(page, "7", "hello")))
    assert "1 tenant;" in gateway("vault", "rotate", "--tenant", "acme").err
    assert "1 tenant;" in gateway("vault", "rotate", "--all-tenants").err
    assert gateway("vault", "status", "--json").json["tenants"] == {"ordered": 2}
    rig.parts.resealer.run()
    found = gateway("vault", "status", "--json").json
    assert (found["tenants"], found["round"]["resealed"]) == ({"settling": 2}, 6)
    assert "may still seal with the old key" in gateway("vault", "status").out
    assert gateway("vault", "rotate", "--tenant", "acme", "--retire").code == 1
    with rig.database.write() as connection:
        connection.execute(sa.update(schema.rotations).values(settled_ms=0))
    rig.parts.resealer.run()
    assert "2 tenants" in gateway("vault", "rotate", "--all-tenants", "--retire").err
    rig.parts.resealer.run()
    assert Rotations(rig.database).states() == {"retired": 2}
    assert gateway("connections", "list", "--json").json[0]["account"] == "42"
    assert rig.texts() == ["hello", "hello"]


def test_retiring_says_what_is_not_ready_and_ends_with_1(rig: Rig, gateway: Gateway) -> None:
    def retire(*whose: str) -> tuple[int, str]:
        ran = gateway("vault", "rotate", "--retire", *(whose or ["--all-tenants"]))
        return ran.code, ran.err

    for tenant, page in (("acme", "42"), ("beta", "43")):
        rig.connect(tenant, page)
    for whose in ((), ("--tenant", "acme")):
        code, said = retire(*whose)
        assert (code, "Nothing could be retired" in said) == (1, True)
    gateway("vault", "rotate", "--tenant", "acme")
    rig.parts.resealer.run()
    code, said = retire()
    assert (code, "1 tenant not everything" in said, "(1 settling)" in said) == (1, True, True)
    assert "Ordered" not in said
    with rig.database.write() as connection:
        connection.execute(sa.update(schema.rotations).values(settled_ms=0))
    rig.parts.resealer.run()
    gateway("vault", "rotate", "--tenant", "beta")
    code, said = retire()
    assert (code, "Ordered for 1 tenant;" in said, "(1 ordered)" in said) == (1, True, True)
    code, said = retire("--tenant", "acme")
    assert (code, "ordered before" in said) == (0, True)
    code, said = retire("--tenant", "beta")
    assert (code, "(1 ordered)" in said) == (1, True)
    rig.parts.resealer.run()
    assert Rotations(rig.database).states() == {"retired": 1, "settling": 1}


def test_ordering_says_what_is_under_way_already(rig: Rig, gateway: Gateway) -> None:
    assert "no tenant that has keys" in gateway("vault", "rotate", "--all-tenants").err
    for tenant, page in (("acme", "42"), ("beta", "43")):
        rig.connect(tenant, page)
    gateway("vault", "rotate", "--tenant", "acme")
    ran = gateway("vault", "rotate", "--all-tenants")
    assert (ran.code, "Ordered for 1 tenant;" in ran.err) == (0, True)
    assert "Under way already for 1 tenant." in ran.err


def test_status_says_why_tenants_are_held_or_ended(rig: Rig, gateway: Gateway) -> None:
    for tenant, page in (("acme", "42"), ("beta", "43"), ("gone", "44")):
        rig.connect(tenant, page)
    gateway("vault", "rotate", "--all-tenants")
    rig.vault.destroy_tenant("gone")
    store = rig.vault.rotation._store
    with store._transaction("write") as connection:
        connection.exec_driver_sql(
            "UPDATE keys SET version = 7 WHERE kind = 'tenant-data' AND name = 'acme'"
        )
    rig.parts.resealer.run()
    found = gateway("vault", "status", "--json").json
    assert found["tenants"] == {"held": 1, "settling": 1, "ended": 1}
    told = [(one["tenant"], one["state"], one["why"]) for one in found["reasons"]]
    assert told == [("acme", "held", "tampered"), ("gone", "ended", "key-destroyed")]
    assert found["reasons"][0]["held_when"] == "ordered"
    shown = gateway("vault", "status").out
    for words in ("wait for keys that do not open", "tampered", "key-destroyed", "acme"):
        assert words in shown
    code = gateway("vault", "rotate", "--retire", "--all-tenants").code
    assert code == 1


def test_a_key_that_does_not_open_now_is_named_with_what_its_kms_says(
    rig: Rig, tmp_path: Path, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.connect("acme", "42")
    monkeypatch.setenv("VAULT_CACERT", str(certificate(tmp_path)))
    monkeypatch.setenv("VAULT_TOKEN", TOKEN)
    server = VaultServer(tmp_path, free_port())
    server.transit.create("kek")
    server.start()
    uri, store = server.uri("kek"), rig.vault.rotation._store
    row = store.read("acme", ["tenant-data"])["tenant-data"]
    theirs = Keks(Kek(uri, lambda: load_kek(uri)))
    store.replace([theirs.wrap(row._replace(version=2), rig.vault._keks.unwrap(row))])
    server.stop()
    monkeypatch.setenv("GATEWAY_KEK_URI_PREVIOUS", uri)
    ran = gateway("vault", "rotate", "--kek")
    assert (ran.code, "0 keys re-wrapped" in ran.err) == (1, True)
    assert f"Not now: tenant-data acme: GATEWAY_KEK_URI_PREVIOUS={uri}: the KMS does" in ran.err
    server.start()
    assert gateway("vault", "rotate", "--kek").code == 0
    server.stop()


def test_unknown_and_destroyed_tenants_are_refused(rig: Rig, gateway: Gateway) -> None:
    rig.connect("acme", "42")
    rig.vault.destroy_tenant("acme")
    for tenant, reason in (("acme", "key-destroyed"), ("nobody", "unknown-key")):
        ran = gateway("vault", "rotate", "--tenant", tenant)
        assert (ran.code, reason in ran.err) == (1, True)
    assert gateway("vault", "rotate", "--all-tenants").code == 0
    assert Rotations(rig.database).states() == {}


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--retire"],
        ["--kek", "--retire"],
        ["--kek", "--all-tenants"],
        ["--tenant", "acme", "--all-tenants"],
    ],
)
def test_one_thing_at_a_time(rig: Rig, gateway: Gateway, options: list[str]) -> None:
    ran = gateway("vault", "rotate", *options)
    assert (ran.code != 0, "one of --kek" in ran.err) == (True, True)
