"""Raw items: sealed without the KMS, opened with the day's key, gone with it."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta

import pytest
from sqlalchemy import update

from contracts.errors import KeyDestroyed, KeyUnavailable, Tampered, UnknownKey
from tests.token_vault.fakes import Clock, FakeKms
from token_vault import Keks, KeyStore, RunOpener, RunSealer, Vault
from token_vault.keystore_schema import KEYS
from token_vault.runs import OPEN_RUNS

DAY = date(2026, 11, 22)
TOMORROW = DAY + timedelta(days=1)


def opener(vault: Vault, run: RunSealer) -> RunOpener:
    return vault.run_opener(run.day, run.id, run.wrapped)


def test_what_a_run_seals_opens_in_another_process(
    vault: Vault, keystore: KeyStore, kek: Keks
) -> None:
    run = vault.run_sealer(DAY)
    sealed = [run.seal(b"item"), run.seal(b"")]
    assert [n for n, _ in sealed] == [1, 2]
    assert (run.day, len(run.id)) == (DAY, 16)
    there = opener(Vault(keystore, kek), run)
    assert [there.open(n, item) for n, item in sealed] == [b"item", b""]


def test_days_are_made_ahead_once(vault: Vault, keystore: KeyStore) -> None:
    vault.ensure_days(DAY, 2)
    before = keystore.of_kind("day")
    vault.ensure_days(DAY, 3)
    assert keystore.of_kind("day")[:2] == before
    assert vault.days() == [(DAY + timedelta(days=n), False) for n in range(3)]


def test_sealing_needs_only_the_public_key(keystore: KeyStore, kms: FakeKms) -> None:
    Vault(keystore, kms.keks()).ensure_days(DAY, 1)
    kms.away = True
    edge = Vault(keystore, kms.keks())
    calls = kms.calls
    run = edge.run_sealer(DAY)
    n, sealed = run.seal(b"item")
    assert kms.calls == calls
    with pytest.raises(KeyUnavailable):
        opener(edge, run)
    with pytest.raises(KeyUnavailable):
        edge.run_sealer(TOMORROW)
    kms.away = False
    assert opener(edge, run).open(n, sealed) == b"item"
    edge.run_sealer(TOMORROW)
    assert [day for day, _ in edge.days()] == [DAY, TOMORROW]


def test_a_destroyed_day_opens_nothing_and_seals_nothing(vault: Vault) -> None:
    vault.ensure_days(DAY, 2)
    run, later = vault.run_sealer(DAY), vault.run_sealer(TOMORROW)
    n, sealed = later.seal(b"item")
    opener(vault, run)
    vault.destroy_day(DAY)
    with pytest.raises(KeyDestroyed):
        opener(vault, run)
    with pytest.raises(KeyDestroyed):
        vault.run_sealer(DAY)
    vault.ensure_days(DAY, 1)
    assert vault.days() == [(DAY, True), (TOMORROW, False)]
    assert opener(vault, later).open(n, sealed) == b"item"


def test_a_day_is_destroyed_once_and_journaled(vault: Vault) -> None:
    vault.ensure_days(DAY, 1)
    vault.destroy_day(DAY)
    vault.destroy_day(DAY)
    assert [(row.kind, row.tenant, row.detail) for row in vault.erasures()] == [
        ("day", None, "2026-11-22")
    ]


def test_a_day_that_never_was_is_unknown(vault: Vault) -> None:
    with pytest.raises(UnknownKey):
        vault.run_opener(DAY, b"0" * 16, b"wrapped")
    with pytest.raises(UnknownKey):
        vault.destroy_day(DAY)


def test_an_item_opens_only_in_its_place(vault: Vault) -> None:
    run, other = vault.run_sealer(DAY), vault.run_sealer(DAY)
    n, sealed = run.seal(b"item")
    there = opener(vault, run)
    with pytest.raises(Tampered):
        there.open(n + 1, sealed)
    with pytest.raises(Tampered):
        there.open(n, sealed[:-1] + bytes([sealed[-1] ^ 1]))
    with pytest.raises(UnknownKey):
        opener(vault, other).open(n, sealed)
    assert there.open(n, sealed) == b"item"


def test_a_run_key_opens_only_for_its_run_and_day(vault: Vault) -> None:
    vault.ensure_days(DAY, 2)
    run, other = vault.run_sealer(DAY), vault.run_sealer(DAY)
    opener(vault, run)
    with pytest.raises(Tampered):
        vault.run_opener(DAY, other.id, run.wrapped)
    with pytest.raises(Tampered):
        vault.run_opener(DAY, run.id, run.wrapped[:-1] + bytes([run.wrapped[-1] ^ 1]))
    with pytest.raises(UnknownKey):
        vault.run_opener(TOMORROW, run.id, run.wrapped)
    with pytest.raises(UnknownKey):
        vault.run_opener(DAY, run.id, b"")


def test_run_keys_opened_earlier_vanish_with_their_day(
    keystore: KeyStore, kms: FakeKms, clock: Clock
) -> None:
    vault = Vault(keystore, kms.keks(), clock=clock)
    first, second = vault.run_sealer(DAY), vault.run_sealer(DAY)
    opener(vault, first)
    kms.away = True
    clock.pass_s(299)
    opener(vault, second)
    clock.pass_s(1)
    for run in (first, second):
        with pytest.raises(KeyUnavailable):
            opener(vault, run)


def test_the_run_keys_used_last_stay_open(vault: Vault) -> None:
    first, second, *others = [vault.run_sealer(DAY) for _ in range(OPEN_RUNS + 1)]
    a, b = opener(vault, first), opener(vault, second)
    assert opener(vault, first) is a
    for run in others:
        opener(vault, run)
    assert opener(vault, first) is a
    assert opener(vault, second) is not b


def test_threads_never_share_a_number(vault: Vault) -> None:
    run = vault.run_sealer(DAY)
    with ThreadPoolExecutor(8) as pool:
        sealed = list(pool.map(run.seal, (str(n).encode() for n in range(2000))))
    assert sorted(n for n, _ in sealed) == list(range(1, 2001))
    there = opener(vault, run)
    assert {there.open(n, item) for n, item in sealed} == {str(n).encode() for n in range(2000)}


def test_a_broken_public_key_is_tampering(vault: Vault, keystore: KeyStore) -> None:
    vault.ensure_days(DAY, 1)
    with keystore._transaction("write") as connection:
        connection.execute(update(KEYS).values(public=b"not a key"))
    with pytest.raises(Tampered):
        vault.run_sealer(DAY)


def test_keys_in_use_are_not_pickled(vault: Vault) -> None:
    vault.create_tenant("acme")
    run = vault.run_sealer(DAY)
    for keys in (vault.tenant("acme"), vault.deployment(), run, opener(vault, run)):
        with pytest.raises(TypeError):
            pickle.dumps(keys)
