"""Keys are changed while they are in use: on both databases, with a keyring and with a KMS."""

import itertools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import update
from structlog.testing import capture_logs

from contracts.errors import KeyDestroyed, KeyUnavailable, Tampered, UnknownKey
from tests.token_vault.fakes import Clock, FakeKms, local
from token_vault import Kek, Keks, KeyStore, Purpose, Vault, rotation
from token_vault.keystore import KeyRow
from token_vault.keystore_schema import KEYS

ID = b"0123456789abcdef"
DAY = date(2026, 11, 22)


@pytest.fixture
def other() -> FakeKms:
    """The KMS that a key-encryption key moves to."""
    return FakeKms("fake-kms://other")


def rotate_to(vault: Vault) -> rotation.Rewrapping:
    """Re-wrap everything; what the last batch said."""
    return [rotation.Rewrapping(0, 0, [], {}), *vault.rotation.rewrap()][-1]


def filled(vault: Vault, tenants: int = 3) -> dict[str, bytes]:
    """Tenants, each with something sealed."""
    sealed = {}
    for number in range(tenants):
        name = f"t{number}"
        vault.create_tenant(name)
        sealed[name] = vault.tenant(name).seal(Purpose.TOKEN, ID, name.encode())
    vault.ensure_days(DAY, 1)
    vault.deployment()
    return sealed


def opens(vault: Vault, sealed: dict[str, bytes]) -> bool:
    return all(
        vault.tenant(name).open(Purpose.TOKEN, ID, value) == name.encode()
        for name, value in sealed.items()
    )


# -- the key-encryption key


def test_every_key_moves_to_another_key_encryption_key(
    vault: Vault, kek: Keks, keystore: KeyStore, other: FakeKms
) -> None:
    sealed = filled(vault)
    digest = vault.deployment().hash("x")
    both = Vault(keystore, other.keks(kek.current))
    assert opens(both, sealed), "with either, before anything is re-wrapped"
    both.create_tenant("new")
    assert both.rotation.wrapping() == (
        other.uri,
        kek.current.uri,
        {kek.current.uri: 9, other.uri: 2},
    )
    assert rotate_to(both) == (9, 9, [], {})
    assert both.rotation.wrapping().counts == {other.uri: 11}
    alone = Vault(keystore, other.keks())
    alone.check()
    assert opens(alone, sealed)
    assert alone.deployment().hash("x") == digest
    assert alone.escrow.seal(DAY, "t0", "grt", b"token")
    assert [*both.rotation.rewrap()] == [], "there is nothing left to do"


def test_the_old_one_alone_opens_nothing_any_more(
    vault: Vault, kek: Keks, keystore: KeyStore, other: FakeKms
) -> None:
    filled(vault)
    rotate_to(Vault(keystore, other.keks(kek.current)))
    old = Vault(keystore, kek)
    with pytest.raises(UnknownKey):
        old.check()
    with pytest.raises(UnknownKey):
        old.tenant("t0")


def test_only_the_key_that_wrapped_a_row_is_asked(
    keystore: KeyStore, kms: FakeKms, other: FakeKms
) -> None:
    filled(Vault(keystore, kms.keks()))
    both = Vault(keystore, other.keks(kms.kek()))
    other.away = True
    both.tenant("t0")
    assert other.calls == 0
    other.away, kms.away = False, True
    with pytest.raises(KeyUnavailable):
        both.tenant("t1")


def test_rows_from_before_names_were_kept_open_with_either(
    keystore: KeyStore, kms: FakeKms, other: FakeKms
) -> None:
    sealed = filled(Vault(keystore, kms.keks()))
    with keystore._transaction("write") as connection:
        connection.execute(update(KEYS).values(kek=None))
    both = Vault(keystore, other.keks(kms.kek()))
    both.check()
    assert opens(both, sealed)
    assert opens(Vault(keystore, kms.keks(other.kek())), sealed), "whichever way round"
    assert rotate_to(Vault(keystore, kms.keks())).done == 9, "they get a name"
    assert both.rotation.wrapping().counts == {kms.uri: 9}


def test_a_keyring_that_was_moved_opens_under_its_new_name(
    keystore: KeyStore, tmp_path: Path
) -> None:
    before, after = tmp_path / "a.json", tmp_path / "b.json"
    sealed = filled(Vault(keystore, local(before)))
    before.rename(after)
    moved = Vault(keystore, local(after))
    moved.check()
    assert opens(moved, sealed)


def test_a_new_keyring_without_the_old_one_is_refused(keystore: KeyStore, tmp_path: Path) -> None:
    filled(Vault(keystore, local(tmp_path / "a.json")))
    vault = Vault(keystore, local(tmp_path / "b.json"))
    with pytest.raises(UnknownKey):
        vault.create_tenant("new")
    assert rotate_to(vault).done == 0
    assert len(rotate_to(vault).unreadable) == 9


def test_a_changed_row_is_named_and_holds_nothing_up(
    keystore: KeyStore, kms: FakeKms, other: FakeKms
) -> None:
    filled(Vault(keystore, kms.keks()))
    with keystore._transaction("write") as connection:
        connection.execute(update(KEYS).where(KEYS.c.name == "t1").values(wrapped=b"\x01" * 80))
    both = Vault(keystore, other.keks(kms.kek()))
    last = rotate_to(both)
    assert (last.done, last.unreadable) == (7, ["tenant-data t1", "tenant-prf t1"])


def leave(keystore: KeyStore, uri: str | None, *names: str, break_: bool = True) -> None:
    """Keys of `names` are as one finds them after a rotation that could not open them."""
    changes: dict[str, object] = {"kek": uri} | ({"wrapped": b"\x01" * 80} if break_ else {})
    with keystore._transaction("write") as connection:
        connection.execute(update(KEYS).where(KEYS.c.name.in_(names)).values(changes))


@pytest.mark.parametrize("previous_is_set", [True, False])
def test_what_is_broken_by_itself_is_named_and_stops_nobody(
    keystore: KeyStore, kms: FakeKms, other: FakeKms, previous_is_set: bool
) -> None:
    """Left over from a rotation, whether or not the settings still name the key from before."""
    filled(Vault(keystore, other.keks()))
    leave(keystore, kms.uri, "t1")
    vault = Vault(keystore, other.keks(kms.kek() if previous_is_set else None))
    with capture_logs() as logged:
        vault.check()
        vault.create_tenant("new")
        vault.check()
    assert vault.broken() == ["tenant-data t1", "tenant-prf t1"]
    assert [line["keys"] for line in logged] == [["tenant-data t1", "tenant-prf t1"]], "said once"


def test_one_of_todays_that_is_broken_stops_nobody(keystore: KeyStore, kms: FakeKms) -> None:
    filled(Vault(keystore, kms.keks()))
    first = keystore.live(1)[0]
    leave(keystore, kms.uri, first.name)
    vault = Vault(keystore, kms.keks())
    vault.create_tenant("new")
    assert f"{first.kind} {first.name}" in vault.broken()


def test_what_opens_with_neither_and_is_much_is_a_wrong_setting(
    keystore: KeyStore, kms: FakeKms, other: FakeKms
) -> None:
    """The key from before was left out of the settings too early."""
    filled(Vault(keystore, kms.keks()))
    both = Vault(keystore, other.keks(kms.kek()))
    both.create_tenant("new")
    alone = Vault(keystore, other.keks())
    for refuses in (alone.check, lambda: alone.create_tenant("newer"), alone.broken):
        with pytest.raises(UnknownKey, match=rf"{kms.uri}.*GATEWAY_KEK_URI_PREVIOUS"):
            refuses()
    assert keystore.read("newer", ["tenant-data"]) == {}
    both.check()


def test_few_keys_that_nothing_opens_are_a_wrong_setting_where_no_other_opens(
    keystore: KeyStore, kms: FakeKms, other: FakeKms
) -> None:
    Vault(keystore, kms.keks()).create_tenant("t0")
    with pytest.raises(UnknownKey):
        Vault(keystore, other.keks()).check()
    leave(keystore, None, "t0", break_=False)
    with pytest.raises(UnknownKey):
        Vault(keystore, other.keks()).check()


def test_todays_key_that_opens_none_of_its_own_is_refused(
    keystore: KeyStore, kms: FakeKms, other: FakeKms
) -> None:
    """A keyring file that was lost and made anew, beside the one from before."""
    filled(Vault(keystore, kms.keks()))
    leave(keystore, other.uri, "t0", break_=False)
    with pytest.raises(UnknownKey, match="GATEWAY_KEK_URI "):
        Vault(keystore, other.keks(kms.kek())).check()


def test_looking_costs_two_keys_where_all_is_well(
    keystore: KeyStore, kms: FakeKms, other: FakeKms
) -> None:
    filled(Vault(keystore, kms.keks()), 20)
    both = Vault(keystore, other.keks(kms.kek()))
    both.create_tenant("new")
    kms.calls = other.calls = 0
    both.check()
    assert (kms.calls, other.calls) == (1, 3), "with the proof that today's answers"


def test_a_key_that_its_kms_does_not_open_now_holds_up_no_other(
    keystore: KeyStore, kms: FakeKms, other: FakeKms
) -> None:
    """As Vault, which answers and does not open a version that is shut off."""

    class Picky:
        encrypt = kms.encrypt

        def decrypt(self, ciphertext: bytes, associated_data: bytes) -> bytes:
            if b"t1" in associated_data:
                raise KeyUnavailable("kms://key: shut off")
            return kms.decrypt(ciphertext, associated_data)

    sealed = filled(Vault(keystore, kms.keks()))
    both = Vault(keystore, other.keks(Kek(kms.uri, Picky)))
    waits = {"tenant-data t1": "kms://key: shut off", "tenant-prf t1": "kms://key: shut off"}
    assert rotate_to(both) == (7, 9, [], waits)
    mended = Vault(keystore, other.keks(kms.kek()))
    assert rotate_to(mended) == (2, 2, [], {})
    assert opens(Vault(keystore, other.keks()), sealed)


def test_interrupted_it_goes_on_where_it_stopped(
    keystore: KeyStore, kms: FakeKms, other: FakeKms, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotation, "BATCH", 2)
    sealed = filled(Vault(keystore, kms.keks()))
    both = Vault(keystore, other.keks(kms.kek()))
    running = both.rotation.rewrap()
    assert next(running) == (2, 9, [], {})
    running.close()
    assert opens(Vault(keystore, other.keks(kms.kek())), sealed)
    kms.away = True
    assert len(rotate_to(both).waiting) == 7
    kms.away, other.away = False, True
    with pytest.raises(KeyUnavailable):
        rotate_to(both)
    other.away = False
    assert rotate_to(both) == (7, 7, [], {})


def test_several_at_once_do_no_harm(
    keystore: KeyStore, kms: FakeKms, other: FakeKms, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside new tenants, new data keys and a tenant that is destroyed."""
    monkeypatch.setattr(rotation, "BATCH", 3)
    first = Vault(keystore, kms.keks())
    sealed = filled(first, 20)
    vaults = [Vault(keystore, other.keks(kms.kek())) for _ in range(3)]
    with ThreadPoolExecutor(6) as pool:
        rotating = vaults[0].rotation
        jobs: list[Callable[[], object]] = [
            *(partial(rotate_to, vault) for vault in vaults),
            lambda: rotating.renew("t5", rotating.sealing("t5")),
            lambda: first.create_tenant("late"),
            lambda: vaults[1].destroy_tenant("t7"),
        ]
        for running in [pool.submit(job) for job in jobs]:
            running.result()
    rotate_to(vaults[2])
    alone = Vault(keystore, other.keks())
    assert alone.rotation.wrapping().counts == {other.uri: 20 * 2 + 2 + 3 - 2}
    with pytest.raises(KeyDestroyed):
        alone.tenant("t7")
    del sealed["t7"]
    assert opens(alone, sealed)
    alone.tenant("late")


def test_a_row_put_back_from_before_the_rotation_does_not_unwrap(
    keystore: KeyStore, kms: FakeKms
) -> None:
    vault = Vault(keystore, kms.keks())
    filled(vault)
    old = keystore.read("t0", ["tenant-data"])["tenant-data"]
    vault.rotation.renew("t0", vault.rotation.sealing("t0"))
    with keystore._transaction("write") as connection:
        connection.execute(
            update(KEYS).where(KEYS.c.name == "t0", KEYS.c.kind == old.kind).values(wrapped=old[3])
        )
    with pytest.raises(Tampered):
        Vault(keystore, kms.keks()).tenant("t0")


def test_replacing_is_refused_to_who_comes_late(keystore: KeyStore) -> None:
    keystore.add([KeyRow("day", "a", 1, b"one", None), KeyRow("day", "b", 1, b"one", None)])
    two = KeyRow("day", "a", 2, b"two", None, "x")
    assert keystore.replace([two, KeyRow("day", "b", 3, b"no", None)]) == 1
    assert keystore.replace([two]) == 0
    keystore.destroy("a", ["day"], erasure="day", tenant=None, detail="a")
    assert keystore.replace([KeyRow("day", "a", 3, b"no", None)]) == 0
    assert keystore.replace([]) == 0


def test_slow_calls_are_made_side_by_side(keystore: KeyStore, kms: FakeKms) -> None:
    filled(Vault(keystore, kms.keks()), 20)
    together = threading.Barrier(rotation.CALLS)
    slow = FakeKms("fake-kms://slow")

    class Slow:
        """Answers only when as many ask as may at a time."""

        def encrypt(self, plaintext: bytes, associated_data: bytes) -> bytes:
            if plaintext:  # not the check that the key answers
                together.wait(10)
            return slow.encrypt(plaintext, associated_data)

        decrypt = slow.decrypt

    both = Vault(keystore, Keks(Kek(slow.uri, Slow), kms.kek()))
    with keystore._transaction("write") as connection:
        keep = KEYS.c.kind == "tenant-data"
        connection.execute(update(KEYS).where(~keep).values(kek=slow.uri))
        few = [f"t{n}" for n in range(16)]
        connection.execute(update(KEYS).where(keep, KEYS.c.name.not_in(few)).values(kek=slow.uri))
    assert rotate_to(both).done == 16


# -- tenants' data keys


def test_a_new_data_key_seals_at_once_and_the_old_one_opens(vault: Vault) -> None:
    sealed = filled(vault)
    before = vault.tenant("t0").sealing
    after = vault.rotation.renew("t0", before)
    fresh = vault.tenant("t0").seal(Purpose.TOKEN, ID, b"new")
    assert (after != before, fresh[:5], sealed["t0"][:5]) == (True, after, before)
    assert opens(vault, sealed)
    assert vault.tenant("t0").open(Purpose.TOKEN, ID, fresh) == b"new"
    assert vault.tenant("t1").sealing == sealed["t1"][:5], "the others keep theirs"


def test_who_opened_the_keys_before_opens_what_the_new_one_sealed(
    vault: Vault, keystore: KeyStore, kek: Keks
) -> None:
    """No wait for the cache of another process, and none for a batch that holds keys."""
    sealed = filled(vault)
    elsewhere = Vault(keystore, kek)
    held = elsewhere.tenant("t0")
    vault.rotation.renew("t0", vault.rotation.sealing("t0"))
    fresh = vault.tenant("t0").seal(Purpose.TOKEN, ID, b"new")
    assert held.open(Purpose.TOKEN, ID, fresh) == b"new"
    assert held.open(Purpose.TOKEN, ID, sealed["t0"]) == b"t0"
    assert held.hash("x") == vault.tenant("t0").hash("x")


def test_threads_that_share_keys_find_the_new_one_together(
    vault: Vault, keystore: KeyStore, kek: Keks
) -> None:
    filled(vault)
    for _ in range(5):
        held = Vault(keystore, kek).tenant("t0")
        vault.rotation.renew("t0", vault.rotation.sealing("t0"))
        fresh = vault.tenant("t0").seal(Purpose.TOKEN, ID, b"new")
        with ThreadPoolExecutor(8) as pool:
            opened = pool.map(lambda _, k=held, s=fresh: k.open(Purpose.TOKEN, ID, s), range(16))
            assert [*opened] == [b"new"] * 16


def test_with_the_kms_away_what_the_new_key_sealed_waits(
    keystore: KeyStore, kms: FakeKms, clock: Clock
) -> None:
    vault, elsewhere = Vault(keystore, kms.keks()), Vault(keystore, kms.keks(), clock=clock)
    sealed = filled(vault)
    held = elsewhere.tenant("t0")
    vault.rotation.renew("t0", vault.rotation.sealing("t0"))
    fresh = vault.tenant("t0").seal(Purpose.TOKEN, ID, b"new")
    kms.away = True
    with pytest.raises(KeyUnavailable):
        held.open(Purpose.TOKEN, ID, fresh)
    assert held.open(Purpose.TOKEN, ID, sealed["t0"]) == b"t0"
    kms.away = False
    assert held.open(Purpose.TOKEN, ID, fresh) == b"new"


def test_what_no_key_sealed_is_unknown_and_asks_no_kms(keystore: KeyStore, kms: FakeKms) -> None:
    vault = Vault(keystore, kms.keks())
    sealed = filled(vault)
    keys, calls = vault.tenant("t0"), kms.calls
    with pytest.raises(UnknownKey):
        keys.open(Purpose.TOKEN, ID, sealed["t1"])
    assert kms.calls == calls


def test_ordering_twice_makes_one_key(vault: Vault) -> None:
    filled(vault)
    before = vault.rotation.sealing("t0")
    with ThreadPoolExecutor(4) as pool:
        made = {*pool.map(lambda _: vault.rotation.renew("t0", before), range(8))}
    assert made == {vault.rotation.sealing("t0")}
    assert made != {before}


def test_a_retired_key_opens_no_more(vault: Vault, keystore: KeyStore, kek: Keks) -> None:
    sealed = filled(vault)
    first = vault.rotation.sealing("t0")
    second = vault.rotation.renew("t0", first)
    fresh = vault.tenant("t0").seal(Purpose.TOKEN, ID, b"new")
    vault.rotation.retire("t0", first)
    assert vault.tenant("t0").open(Purpose.TOKEN, ID, sealed["t0"]) == b"t0", "not what seals"
    for _ in range(2):
        vault.rotation.retire("t0", second)
    for keys in (vault.tenant("t0"), Vault(keystore, kek).tenant("t0")):
        with pytest.raises(UnknownKey):
            keys.open(Purpose.TOKEN, ID, sealed["t0"])
        assert keys.open(Purpose.TOKEN, ID, fresh) == b"new"


def test_a_destroyed_tenant_gets_no_new_key(vault: Vault) -> None:
    filled(vault)
    before = vault.rotation.sealing("t0")
    vault.destroy_tenant("t0")
    for change in (
        lambda: vault.rotation.renew("t0", before),
        lambda: vault.rotation.retire("t0", before),
        lambda: vault.rotation.sealing("t0"),
    ):
        with pytest.raises(KeyDestroyed):
            change()
    with pytest.raises(UnknownKey):
        vault.rotation.renew("nobody", before)
    assert [*itertools.chain(vault.rotation.tenants("", 1), vault.rotation.tenants("t1", 9))] == [
        "t1",
        "t2",
    ]
