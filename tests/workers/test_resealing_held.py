"""Tenants whose keys do not open, or not now, hold up their own rotation and no other's."""

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from contracts.errors import KeyDestroyed, KeyUnavailable, Tampered, UnknownKey, VaultError
from storage import resealing, schema
from storage.rotations import Rotations
from storage.sealed import SEALED
from tests.rig import Rig
from tests.workers.resealed import contents, populate, resealer, rows, sealed_by, settle, state


def wait(rig: Rig) -> None:
    """Let the time pass after which a tenant that is held is tried again."""
    with rig.database.write() as connection:
        connection.execute(sa.update(schema.rotations).values(changed_at_ms=0))


class Broken:
    """A part of the vault that fails for tenant acme until it is mended."""

    def __init__(self, works: Callable[..., Any], error: Exception) -> None:
        self._works = works
        self._error = error
        self.is_broken = True

    def __call__(self, tenant: str, *rest: Any) -> Any:
        if self.is_broken and tenant == "acme":
            raise self._error
        return self._works(tenant, *rest)


REFUSALS = [UnknownKey("x"), Tampered("x"), KeyUnavailable("x")]
by_refusal = pytest.mark.parametrize("refusal", REFUSALS, ids=lambda error: error.reason)


def rotated(rig: Rig, orders: Rotations) -> bytes:
    """Two tenants, all of theirs under new keys, but a row of acme that came back under the old
    one; the old one.
    """
    populate(rig, "acme", "10")
    populate(rig, "beta", "20")
    [old] = rows(rig, SEALED[2], "acme")
    orders.order(["acme", "beta"])
    rig.parts.resealer.run()
    settle(rig)
    rig.parts.resealer.run()
    assert dict(orders.states()) == {"done": 2}
    with rig.database.write() as connection:
        its = schema.connections.c.tenant == "acme"
        connection.execute(sa.update(schema.connections).where(its).values(sealed=old["sealed"]))
    return bytes(old["sealed"][:5])


@by_refusal
def test_no_key_is_retired_that_rows_need_which_were_not_looked_at(
    rig: Rig, orders: Rotations, monkeypatch: pytest.MonkeyPatch, refusal: VaultError
) -> None:
    """The tenant's keys do not open while its row comes by, and do when keys are retired."""
    old = rotated(rig, orders)
    orders.order_retiring(["acme", "beta"])
    broken = Broken(rig.vault.tenant, refusal)
    monkeypatch.setattr(rig.vault, "tenant", broken)
    rig.parts.resealer.run()
    assert (state(orders), state(orders, "beta")) == ("retiring", "retired")
    assert dict(orders.states()) == {"held": 1, "retired": 1}
    assert old in sealed_by(rig, "acme")
    broken.is_broken = False
    assert contents(rig, "acme")["connections"], "what it needs is there"
    assert not orders.is_due(), "it is left alone for a while"
    wait(rig)
    assert orders.is_due()
    rig.parts.resealer.run()
    assert dict(orders.states()) == {"retired": 2}
    assert sealed_by(rig, "acme") == {rig.vault.rotation.sealing("acme")}
    assert contents(rig, "acme")["connections"]


@by_refusal
@pytest.mark.parametrize("step", ["sealing", "renew"])
def test_a_tenant_whose_keys_do_not_open_gets_its_new_key_later(
    rig: Rig, orders: Rotations, monkeypatch: pytest.MonkeyPatch, refusal: VaultError, step: str
) -> None:
    populate(rig, "acme", "10")
    populate(rig, "beta", "20")
    orders.order(["acme", "beta"])
    broken = Broken(getattr(rig.vault.rotation, step), refusal)
    monkeypatch.setattr(rig.vault.rotation, step, broken)
    rig.parts.resealer.run()
    assert dict(orders.states()) == {"held": 1, "settling": 1}
    assert [(one.tenant, one.detail) for one in orders.told(9)] == [("acme", refusal.reason)]
    broken.is_broken = False
    wait(rig)
    rig.parts.resealer.run()
    assert dict(orders.states()) == {"settling": 2}
    assert sealed_by(rig, "acme") == {rig.vault.rotation.sealing("acme")}


@by_refusal
def test_a_key_that_could_not_be_retired_is_retired_later(
    rig: Rig, orders: Rotations, monkeypatch: pytest.MonkeyPatch, refusal: VaultError
) -> None:
    rotated(rig, orders)
    orders.order_retiring(["acme", "beta"])
    broken = Broken(rig.vault.rotation.retire, refusal)
    monkeypatch.setattr(rig.vault.rotation, "retire", broken)
    rig.parts.resealer.run()
    assert dict(orders.states()) == {"held": 1, "retired": 1}
    broken.is_broken = False
    wait(rig)
    rig.parts.resealer.run()
    assert dict(orders.states()) == {"retired": 2}
    row = rig.vault._store.read("acme", ["tenant-data"])["tenant-data"]
    assert len(rig.vault._keks.unwrap(row).keyset_info().key_info) == 1


def test_a_tenant_that_is_held_is_not_taken_along_by_the_round_that_has_passed_it(
    rig: Rig, orders: Rotations, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its keys open again before that round is over."""
    monkeypatch.setattr(resealing, "SPAN_ROWS", 4)
    populate(rig, "acme", "10")
    populate(rig, "beta", "20")
    orders.order(["acme", "beta"])
    broken = Broken(rig.vault.tenant, UnknownKey("x"))
    monkeypatch.setattr(rig.vault, "tenant", broken)
    one = resealer(rig)
    put = one._rows.put

    def once(*arguments: Any) -> int:
        count = put(*arguments)
        if count:
            one.stop()
        return count

    monkeypatch.setattr(one._rows, "put", once)
    one.run()
    begun = orders.last_round()
    assert begun is not None
    assert begun.finished_at_ms is None
    assert dict(orders.states()) == {"held": 1, "sealing": 1}
    broken.is_broken = False
    wait(rig)
    rig.parts.resealer.run()
    assert (state(orders), state(orders, "beta")) == ("sealing", "settling")
    assert rig.vault.rotation.sealing("acme") not in sealed_by(rig, "acme")
    rig.parts.resealer.run()
    assert state(orders) == "settling"
    assert sealed_by(rig, "acme") == {rig.vault.rotation.sealing("acme")}


def test_rows_of_a_tenant_that_is_held_count_neither_as_left_nor_as_unreadable(
    rig: Rig, orders: Rotations, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Left, they would hold up everybody."""
    populate(rig, "acme", "10")
    orders.order(["acme"])
    monkeypatch.setattr(rig.vault, "tenant", Broken(rig.vault.tenant, Tampered("x")))
    rig.parts.resealer.run()
    done = orders.last_round()
    assert done is not None
    assert (done.left, done.unreadable) == (0, 0)


def test_a_tenant_that_is_destroyed_ends_its_rotation(rig: Rig, orders: Rotations) -> None:
    populate(rig, "acme", "10")
    populate(rig, "beta", "20")
    orders.order(["acme", "beta", "nobody"])
    rig.vault.destroy_tenant("acme")
    rig.parts.resealer.run()
    assert dict(orders.states()) == {"ended": 1, "held": 1, "settling": 1}
    told = [(one.tenant, one.held, one.detail) for one in orders.told(9)]
    assert told == [("nobody", True, "unknown-key"), ("acme", False, "key-destroyed")]
    assert len(sealed_by(rig, "beta")) == 1
    with pytest.raises(KeyDestroyed):
        rig.vault.tenant("acme")


def test_keys_away_hold_it_up_and_lose_nothing(rig: Rig, orders: Rotations) -> None:
    class Away:
        """A key store that does not answer."""

        def __getattr__(self, name: str) -> Any:
            raise KeyUnavailable("the key store does not answer")

    populate(rig, "acme", "10")
    orders.order(["acme"])
    store = rig.vault.rotation._store
    rig.vault.rotation._store = Away()  # type: ignore[assignment]
    with pytest.raises(KeyUnavailable):
        rig.parts.resealer.run()
    rig.vault.rotation._store = store
    rig.parts.resealer.run()
    assert state(orders) == "settling"
