"""Tenants, the gateway's own key, destruction, the KMS away: on both databases."""

import sys
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import update

from contracts.errors import InvalidInput, KeyDestroyed, KeyUnavailable, Tampered, UnknownKey
from contracts.settings import Settings
from tests.conftest import Spawn
from tests.token_vault.fakes import Clock, FakeKms, local
from token_vault import Keks, KeyStore, Purpose, Vault, open_vault
from token_vault.keystore import _KEY, KeyRow
from token_vault.keystore_schema import KEYS

ID = b"0123456789abcdef"


def kms_vault(keystore: KeyStore, kms: FakeKms, clock: Clock | None = None) -> Vault:
    return Vault(keystore, kms.keks(), clock=clock or Clock())


# -- tenants


def test_what_is_sealed_opens_in_another_process_too(
    vault: Vault, keystore: KeyStore, kek: Keks
) -> None:
    vault.create_tenant("acme")
    sealed = vault.tenant("acme").seal(Purpose.MESSAGE, ID, b"Hello")
    digest = vault.tenant("acme").hash("contact", "9988")
    other = Vault(keystore, kek)
    assert other.tenant("acme").open(Purpose.MESSAGE, ID, sealed) == b"Hello"
    assert other.tenant("acme").hash("contact", "9988") == digest
    assert b"Hello" not in sealed


def test_creating_a_tenant_again_keeps_its_keys(vault: Vault) -> None:
    vault.create_tenant("acme")
    sealed = vault.tenant("acme").seal(Purpose.TOKEN, ID, b"token")
    vault.create_tenant("acme")
    assert vault.tenant("acme").open(Purpose.TOKEN, ID, sealed) == b"token"


def test_a_tenant_without_keys_is_unknown(vault: Vault) -> None:
    with pytest.raises(UnknownKey):
        vault.tenant("nobody")
    with pytest.raises(UnknownKey):
        vault.destroy_tenant("nobody")
    assert vault.erasures() == []


@pytest.mark.parametrize("name", ["", "a\0b", "a\nb", "\ud800"])
def test_names_that_a_database_cannot_hold_are_refused(vault: Vault, name: str) -> None:
    with pytest.raises(InvalidInput):
        vault.create_tenant(name)


def test_another_tenants_bytes_do_not_open(vault: Vault) -> None:
    vault.create_tenant("acme")
    vault.create_tenant("beta")
    sealed = vault.tenant("acme").seal(Purpose.MESSAGE, ID, b"Hello")
    with pytest.raises(UnknownKey):
        vault.tenant("beta").open(Purpose.MESSAGE, ID, sealed)


@pytest.mark.parametrize("used", [purpose for purpose in Purpose if purpose != Purpose.MESSAGE])
def test_another_purpose_does_not_open(vault: Vault, used: Purpose) -> None:
    vault.create_tenant("acme")
    keys = vault.tenant("acme")
    with pytest.raises(Tampered):
        keys.open(used, ID, keys.seal(Purpose.MESSAGE, ID, b"Hello"))


@pytest.mark.parametrize("other", [b"", b"0123456789abcdeX", ID + b"\0", ID[1:]])
def test_another_id_does_not_open(vault: Vault, other: bytes) -> None:
    vault.create_tenant("acme")
    keys = vault.tenant("acme")
    with pytest.raises(Tampered):
        keys.open(Purpose.MESSAGE, other, keys.seal(Purpose.MESSAGE, ID, b"Hello"))


def test_every_changed_byte_is_noticed(vault: Vault) -> None:
    vault.create_tenant("acme")
    keys = vault.tenant("acme")
    sealed = keys.seal(Purpose.MESSAGE, ID, b"Hello")
    for at in range(len(sealed)):
        changed = sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]
        with pytest.raises(UnknownKey if at < 5 else Tampered):
            keys.open(Purpose.MESSAGE, ID, changed)
    for cut in range(len(sealed)):
        with pytest.raises((UnknownKey, Tampered)):
            keys.open(Purpose.MESSAGE, ID, sealed[:cut])


def test_errors_carry_no_content_and_no_cause(vault: Vault) -> None:
    vault.create_tenant("acme")
    keys = vault.tenant("acme")
    sealed = keys.seal(Purpose.MESSAGE, ID, b"Hello")
    with pytest.raises(Tampered) as caught:
        keys.open(Purpose.TOKEN, ID, sealed)
    assert "Hello" not in str(caught.value)
    assert sealed.hex() not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_sealing_twice_gives_different_bytes(vault: Vault) -> None:
    vault.create_tenant("acme")
    keys = vault.tenant("acme")
    assert keys.seal(Purpose.TOKEN, ID, b"t") != keys.seal(Purpose.TOKEN, ID, b"t")


def test_hashes_differ_by_tenant_kind_and_parts(vault: Vault) -> None:
    vault.create_tenant("acme")
    vault.create_tenant("beta")
    acme, beta, own = vault.tenant("acme"), vault.tenant("beta"), vault.deployment()
    digests = [
        acme.hash("contact", "a", "bc"),
        acme.hash("contact", "ab", "c"),
        acme.hash("contact", "abc"),
        acme.hash("account", "a", "bc"),
        beta.hash("contact", "a", "bc"),
        own.hash("contact", "a", "bc"),
    ]
    assert len(set(digests)) == len(digests)
    assert {len(digest) for digest in digests} == {16}
    assert acme.hash("contact", "a", "bc") == digests[0]


# -- rows in the key store


def test_swapped_rows_do_not_unwrap(vault: Vault, keystore: KeyStore) -> None:
    vault.create_tenant("acme")
    vault.create_tenant("beta")
    acme = keystore.read("acme", ["tenant-data"])["tenant-data"]
    _overwrite(keystore, "beta", wrapped=acme.wrapped)
    with pytest.raises(Tampered):
        vault.tenant("beta")
    vault.tenant("acme")


def test_an_old_revision_put_back_does_not_unwrap(vault: Vault, keystore: KeyStore) -> None:
    vault.create_tenant("acme")
    _overwrite(keystore, "acme", version=2)
    with pytest.raises(Tampered):
        vault.tenant("acme")


@pytest.mark.parametrize("wrapped", [b"", b"x", b"not a keyset at all"])
def test_garbage_in_a_row_is_tampering(vault: Vault, keystore: KeyStore, wrapped: bytes) -> None:
    vault.create_tenant("acme")
    _overwrite(keystore, "acme", wrapped=wrapped)
    with pytest.raises(Tampered):
        vault.tenant("acme")


def _overwrite(keystore: KeyStore, name: str, **values: object) -> None:
    row = KEYS.c.name == name, KEYS.c.kind == "tenant-data"
    with keystore._transaction("write") as connection:
        connection.execute(update(KEYS).where(*row).values(values))


def test_no_key_is_stored_in_clear(vault: Vault, keystore: KeyStore) -> None:
    vault.create_tenant("acme")
    vault.deployment()
    vault.ensure_days(date(2026, 11, 22), 1)
    with keystore._transaction("read") as connection:
        rows = [KeyRow._make(row) for row in connection.execute(_KEY)]
    assert len(rows) == 5, "a pair for raw items, one for escrow"
    for row in rows:
        secret = vault._keks.unwrap(row)._keyset.key[0].key_data.value[-32:]
        assert not any(secret in (other.wrapped or b"") for other in rows)
        assert secret not in (row.public or b"")


# -- destroying


def test_a_destroyed_tenant_is_gone_and_its_neighbour_is_not(vault: Vault) -> None:
    vault.create_tenant("acme")
    vault.create_tenant("beta")
    sealed = vault.tenant("beta").seal(Purpose.MESSAGE, ID, b"Hello")
    vault.tenant("acme")
    vault.destroy_tenant("acme")
    with pytest.raises(KeyDestroyed):
        vault.tenant("acme")
    assert vault.tenant("beta").open(Purpose.MESSAGE, ID, sealed) == b"Hello"
    assert [(row.kind, row.tenant, row.detail) for row in vault.erasures()] == [
        ("tenant", "acme", "")
    ]


def test_destroying_again_journals_nothing(vault: Vault) -> None:
    vault.create_tenant("acme")
    vault.destroy_tenant("acme")
    vault.destroy_tenant("acme")
    assert len(vault.erasures()) == 1


def test_a_destroyed_name_never_comes_back_to_life(vault: Vault) -> None:
    vault.create_tenant("acme")
    vault.destroy_tenant("acme")
    with pytest.raises(KeyDestroyed):
        vault.create_tenant("acme")


def test_another_process_stops_opening_when_its_cache_runs_out(
    keystore: KeyStore, kms: FakeKms
) -> None:
    clock = Clock()
    here, elsewhere = kms_vault(keystore, kms), kms_vault(keystore, kms, clock)
    here.create_tenant("acme")
    elsewhere.tenant("acme")
    here.destroy_tenant("acme")
    clock.pass_s(299)
    elsewhere.tenant("acme")
    clock.pass_s(1)
    with pytest.raises(KeyDestroyed):
        elsewhere.tenant("acme")


def test_a_destroyed_key_is_forgotten_though_its_bytes_could_not_be_scrubbed(
    vault: Vault, keystore: KeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy() -> None:
        raise KeyUnavailable("key store: busy")

    vault.create_tenant("acme")
    vault.tenant("acme")
    monkeypatch.setattr(keystore, "scrub", busy)
    with pytest.raises(KeyUnavailable):
        vault.destroy_tenant("acme")
    with pytest.raises(KeyDestroyed):
        vault.tenant("acme")


def test_a_tenant_destroyed_while_its_keys_are_opened_is_not_kept(
    keystore: KeyStore, kms: FakeKms
) -> None:
    vault = kms_vault(keystore, kms)
    vault.create_tenant("acme")
    kms.meanwhile = lambda: vault.destroy_tenant("acme")
    vault.tenant("acme")
    with pytest.raises(KeyDestroyed):
        vault.tenant("acme")


def test_a_day_destroyed_while_its_key_is_opened_is_not_kept(
    keystore: KeyStore, kms: FakeKms
) -> None:
    vault, day = kms_vault(keystore, kms), date(2026, 11, 22)
    sealer = vault.run_sealer(day)
    kms.meanwhile = lambda: vault.destroy_day(day)
    vault.run_opener(day, sealer.id, sealer.wrapped)
    with pytest.raises(KeyDestroyed):
        vault.run_opener(day, sealer.id, sealer.wrapped)


def test_other_erasures_stand_in_the_same_journal(vault: Vault) -> None:
    vault.record_erasure("contact", "acme", "0f" * 16)
    vault.create_tenant("acme")
    vault.destroy_tenant("acme")
    assert [row.kind for row in vault.erasures()] == ["contact", "tenant"]


# -- the KMS or the key store away


def test_cached_keys_go_on_for_their_time(keystore: KeyStore, kms: FakeKms, clock: Clock) -> None:
    vault = kms_vault(keystore, kms, clock)
    vault.create_tenant("acme")
    sealed = vault.tenant("acme").seal(Purpose.MESSAGE, ID, b"Hello")
    kms.away = True
    clock.pass_s(299)
    assert vault.tenant("acme").open(Purpose.MESSAGE, ID, sealed) == b"Hello"
    clock.pass_s(1)
    with pytest.raises(KeyUnavailable):
        vault.tenant("acme")
    kms.away = False
    assert vault.tenant("acme").open(Purpose.MESSAGE, ID, sealed) == b"Hello"


def test_a_vault_starts_with_the_kms_away(keystore: KeyStore, kms: FakeKms) -> None:
    kms_vault(keystore, kms).create_tenant("acme")
    kms.away = True
    vault = kms_vault(keystore, kms)
    vault.create_tenant("acme")
    for needs_kms in (
        lambda: vault.tenant("acme"),
        lambda: vault.create_tenant("new"),
        vault.deployment,
        vault.check,
    ):
        with pytest.raises(KeyUnavailable):
            needs_kms()
    kms.away = False
    vault.tenant("acme")


def test_a_tenant_can_be_destroyed_with_the_kms_away(keystore: KeyStore, kms: FakeKms) -> None:
    vault = kms_vault(keystore, kms)
    vault.create_tenant("acme")
    kms.away = True
    vault.destroy_tenant("acme")
    with pytest.raises(KeyDestroyed):
        vault.tenant("acme")


def test_a_key_store_away_is_unavailable(tmp_path: Path, kms: FakeKms) -> None:
    vault = kms_vault(KeyStore(f"sqlite:///{tmp_path / 'none.db'}"), kms)
    for needs_store in (
        lambda: vault.tenant("acme"),
        lambda: vault.create_tenant("acme"),
        lambda: vault.destroy_tenant("acme"),
        vault.deployment,
        vault.days,
        vault.erasures,
        vault.check,
    ):
        with pytest.raises(KeyUnavailable):
            needs_store()


# -- the gateway's own key


def test_the_gateways_key_is_made_once(vault: Vault, keystore: KeyStore, kek: Keks) -> None:
    digest = vault.deployment().hash("route", "facebook", "123")
    assert Vault(keystore, kek).deployment().hash("route", "facebook", "123") == digest


def test_the_gateways_key_outlives_the_cache(
    keystore: KeyStore, kms: FakeKms, clock: Clock
) -> None:
    vault = kms_vault(keystore, kms, clock)
    digest = vault.deployment().hash("route", "1")
    kms.away = True
    clock.pass_s(100_000)
    assert vault.deployment().hash("route", "1") == digest


# -- doctor


def test_check_passes_fresh_and_used(vault: Vault) -> None:
    vault.check()
    vault.create_tenant("acme")
    vault.check()
    vault.destroy_tenant("acme")
    vault.check()


def test_a_lost_keyring_is_noticed_before_another_wraps_keys(
    keystore: KeyStore, tmp_path: Path
) -> None:
    ring = tmp_path / "ring.json"
    Vault(keystore, local(ring)).create_tenant("acme")
    ring.unlink()
    vault = Vault(keystore, local(ring))
    for notices in (vault.check, lambda: vault.create_tenant("beta"), vault.deployment):
        with pytest.raises(UnknownKey):
            notices()
    assert keystore.read("beta", ["tenant-data", "tenant-prf"]) == {}


# -- composition


def test_open_vault_makes_a_private_data_directory(tmp_path: Path) -> None:
    home = tmp_path / "var"
    vault = open_vault(Settings(data_dir=home))
    assert home.stat().st_mode & 0o777 == 0o700
    assert list(home.iterdir()) == []
    vault.upgrade()
    vault.create_tenant("acme")
    vault.close()
    assert sorted(path.name for path in home.iterdir()) == ["keyring.json", "keys.db"]


def test_close_forgets_opened_keys(keystore: KeyStore, kms: FakeKms) -> None:
    vault = kms_vault(keystore, kms)
    vault.create_tenant("acme")
    vault.tenant("acme")
    vault.close()
    kms.away = True
    with pytest.raises(KeyUnavailable):
        vault.tenant("acme")


PROCESS = """
import sys
from pathlib import Path
from contracts.settings import Settings
from token_vault import Purpose, open_vault
vault = open_vault(Settings(keystore_url=sys.argv[1], data_dir=Path(sys.argv[2])))
vault.upgrade()
print("ready", flush=True)
while not Path(sys.argv[3]).exists():
    pass
vault.create_tenant("acme")
keys = vault.tenant("acme")
print("done", keys.hash("x").hex() + vault.deployment().hash("x").hex(), flush=True)
print("sealed", keys.seal(Purpose.TOKEN, b"id", b"token").hex(), flush=True)
"""


def test_processes_that_create_a_tenant_at_once_agree(
    database_url: str, tmp_path: Path, spawn: Spawn
) -> None:
    go, home = tmp_path / "go", tmp_path / "var"
    here = {"PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", PROCESS, database_url, home, go]
    children = [spawn(command, env=here) for _ in range(4)]
    for child in children:
        child.wait_for("ready")
    go.touch()
    outputs = [child.wait_for("sealed").split() for child in children if child.wait() == 0]
    vault = open_vault(Settings(keystore_url=database_url, data_dir=home))
    assert len({words[2] for words in outputs}) == 1
    keys = vault.tenant("acme")
    opened = [keys.open(Purpose.TOKEN, b"id", bytes.fromhex(words[4])) for words in outputs]
    vault.close()
    assert opened == [b"token"] * 4
