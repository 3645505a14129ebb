"""Tokens in escrow, from the vault to their rows and to their end."""

from datetime import date, timedelta

import pytest

from contracts.errors import KeyDestroyed
from storage.database import now_ms
from storage.erasing import Erasing
from storage.escrow import EscrowStore, InEscrow
from storage.partitions import DAY_MS, today
from tests.rig import Rig
from token_vault.escrow import over

EPOCH = date(1970, 1, 1)


def put(rig: Rig, name: str, day: int) -> InEscrow:
    """A token that went into escrow on a day."""
    that = EPOCH + timedelta(days=day)
    rig.vault.ensure_days(that, 1)
    sealed = rig.vault.escrow.seal(that, "acme", "grt_1", name.encode())
    until_ms = (over(that) - EPOCH).days * DAY_MS
    new = InEscrow(name, "acme", "grt_1", "meta", day, sealed, day * DAY_MS, until_ms, "rev_1")
    EscrowStore(rig.database).add(new)
    return new


def opened(rig: Rig, one: InEscrow) -> bytes:
    day = EPOCH + timedelta(days=one.day)
    return rig.vault.escrow.open(day, one.tenant, one.grant, one.sealed, job="test")


def test_it_outlives_its_tenant(rig: Rig) -> None:
    rig.connect("acme", "42")
    one, two = put(rig, "one", today()), put(rig, "two", today())
    rig.vault.destroy_tenant("acme")
    Erasing(rig.database).tenant("acme")
    store = EscrowStore(rig.database)
    assert store.of_revocation("rev_1", now_ms()) == [one, two]
    assert (opened(rig, one), opened(rig, two)) == (b"one", b"two")
    assert store.of_revocation("rev_1", two.until_ms) == [], "not a moment longer"
    assert store.of_revocation("rev_2", now_ms()) == []
    for _ in range(2):
        store.drop("rev_1")
    assert store.of_revocation("rev_1", now_ms()) == []


def test_upkeep_ends_what_is_over(rig: Rig) -> None:
    ended, kept = put(rig, "ended", today() - 7), put(rig, "kept", today() - 6)
    assert ended.until_ms <= now_ms() < kept.until_ms <= ended.until_ms + DAY_MS
    for _ in range(2):
        rig.parts.upkeep.run()
    assert EscrowStore(rig.database).of_revocation("rev_1", 0) == [kept]
    with pytest.raises(KeyDestroyed):
        opened(rig, ended)
    assert opened(rig, kept) == b"kept"
