"""Rotation of tenants' data keys over real rows, on both databases."""

import contextlib
import threading
import time

import pytest
import sqlalchemy as sa

from contracts.errors import UnknownKey
from storage import resealing, schema
from storage.leases import Leases
from storage.resealing import SealedRows
from storage.rotations import LEASE, Rotations
from storage.sealed import SEALED
from tests.rig import Rig, text
from tests.workers.killing import Killed
from tests.workers.resealed import (
    contents,
    fill,
    populate,
    resealer,
    rows,
    sealed_by,
    settle,
    state,
)
from token_vault import Purpose, TenantKeys, open_vault
from workers.resealing import Resealer


def test_everything_of_a_tenant_moves_to_its_new_key(rig: Rig, orders: Rotations) -> None:
    populate(rig, "acme", "10")
    populate(rig, "beta", "20")
    fill(rig, "acme")
    fill(rig, "beta")
    before = contents(rig, "acme"), contents(rig, "beta")
    assert all(before[0].values()), "there is something in every column"
    (old,), theirs = sealed_by(rig, "acme"), sealed_by(rig, "beta")
    assert orders.order(["acme"]) == 1
    rig.parts.resealer.run()
    assert state(orders) == "settling"
    (new,) = sealed_by(rig, "acme")
    assert new == rig.vault.rotation.sealing("acme") != old
    assert (contents(rig, "acme"), contents(rig, "beta")) == before
    assert sealed_by(rig, "beta") == theirs
    done = orders.last_round()
    assert done is not None
    ours, others = (sum(map(len, tenant.values())) for tenant in before)
    assert (done.resealed, done.left, done.unreadable) == (ours, 0, 0)
    assert done.looked_at == done.total == ours + others
    settle(rig)
    rig.parts.resealer.run()
    assert state(orders) == "done"
    assert not orders.is_due()


def test_what_others_still_wrote_with_the_old_key_is_found(rig: Rig, orders: Rotations) -> None:
    populate(rig, "acme", "10")
    slow = open_vault(rig.settings)
    held = slow.tenant("acme")
    orders.order(["acme"])
    rig.parts.resealer.run()
    [connection] = rows(rig, SEALED[2], "acme")
    late = held.seal(Purpose.CONNECTION, connection["id"].encode(), b"late")
    with rig.database.write() as writing:
        writing.execute(sa.update(schema.connections).values(sealed=late))
    rig.parts.resealer.run()
    assert state(orders) == "settling", "it waits for who is late"
    settle(rig)
    rig.parts.resealer.run()
    assert state(orders) == "done"
    assert sealed_by(rig, "acme") == {rig.vault.rotation.sealing("acme")}
    assert contents(rig, "acme")["connections"] == [b"late"]
    slow.close()


def test_old_keys_are_removed_when_ordered_and_only_then(rig: Rig, orders: Rotations) -> None:
    populate(rig, "acme", "10")
    [connection] = rows(rig, SEALED[2], "acme")
    before = contents(rig, "acme")
    orders.order(["acme"])
    assert orders.order_retiring(["acme"]) == 0, "not before all is re-sealed"
    rig.parts.resealer.run()
    assert orders.order_retiring(["acme"]) == 0
    settle(rig)
    rig.parts.resealer.run()
    backup = (Purpose.CONNECTION, connection["id"].encode(), connection["sealed"])
    assert rig.vault.tenant("acme").open(*backup), "a backup from before opens"
    assert orders.order_retiring(["acme", "beta"]) == 1
    rig.parts.resealer.run()
    assert state(orders) == "retired"
    with pytest.raises(UnknownKey):
        rig.vault.tenant("acme").open(*backup)
    assert contents(rig, "acme") == before


def test_the_key_store_is_scrubbed_once_for_all_that_are_retired(
    rig: Rig, orders: Rotations, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is written anew as a whole: once a tenant would take hours for ten thousand."""
    pages = {"acme": "10", "beta": "20", "gamma": "30"}
    for tenant, page in pages.items():
        rig.connect(tenant, page)
    orders.order(pages)
    rig.parts.resealer.run()
    settle(rig)
    rig.parts.resealer.run()
    scrubbed: list[int] = []
    store = rig.vault.rotation._store
    scrub = store.scrub

    def counted() -> None:
        scrubbed.append(1)
        scrub()

    monkeypatch.setattr(store, "scrub", counted)
    assert orders.order_retiring(pages) == 3
    rig.parts.resealer.run()
    assert (dict(orders.states()), len(scrubbed)) == ({"retired": 3}, 1)


def test_the_lease_is_kept_while_the_keys_of_many_tenants_are_opened(
    rig: Rig, orders: Rotations, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A KMS that takes a third of the lease for each tenant of a batch."""
    pages = {"acme": "10", "beta": "20", "gamma": "30", "delta": "40", "zeta": "50"}
    for tenant, page in pages.items():
        rig.connect(tenant, page)
    orders.order(pages)
    leases = Leases(rig.database, seconds=1)
    one = Resealer(orders, SealedRows(rig.database), leases, rig.vault, rig.parts.openings)
    slow = rig.vault.tenant
    intruder = Leases(rig.database)

    def opened(name: str) -> TenantKeys:
        time.sleep(0.4)
        assert intruder.take_new(LEASE, "all") is None, "another worker would begin the same"
        return slow(name)

    monkeypatch.setattr(rig.vault, "tenant", opened)
    one.run()
    assert dict(orders.states()) == {"settling": 5}


def test_killed_at_any_commit_it_goes_on(
    rig: Rig, orders: Rotations, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The n-th write transaction is the last one: for every n."""
    monkeypatch.setattr(resealing, "SPAN_ROWS", 4)
    monkeypatch.setattr(resealing, "BATCH_ROWS", 2)
    populate(rig, "acme", "10")
    populate(rig, "beta", "20")
    before = contents(rig, "acme")
    orders.order(["acme"])
    runs = 0
    while state(orders) not in ("settling", "done"):
        runs += 1
        _run_until_write(rig, runs)
        assert contents(rig, "acme") == before
    assert runs > 5, "it was killed on the way"
    settle(rig)
    while state(orders) != "done":
        runs += 1
        _run_until_write(rig, runs)
    assert sealed_by(rig, "acme") == {rig.vault.rotation.sealing("acme")}
    row = rig.vault._store.read("acme", ["tenant-data"])["tenant-data"]
    assert len(rig.vault._keks.unwrap(row).keyset_info().key_info) == 2, "one new key, not more"


def _run_until_write(rig: Rig, writes: int) -> None:
    """Run a worker's resealer, killed when it has committed `writes` times."""
    count = 0

    def committed(_: sa.Connection) -> None:
        nonlocal count
        count += 1
        if count > writes:
            raise Killed

    sa.event.listen(rig.database.engine, "commit", committed)
    try:
        with contextlib.suppress(Killed):
            resealer(rig).run()
    finally:
        sa.event.remove(rig.database.engine, "commit", committed)
    with rig.database.write() as connection:  # as when the dead one's lease has run out
        connection.execute(sa.update(schema.leases).values(until_ms=0))


def test_stopped_it_skips_nothing(
    rig: Rig, orders: Rotations, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resealing, "SPAN_ROWS", 4)
    monkeypatch.setattr(resealing, "BATCH_ROWS", 1)
    populate(rig, "acme", "10")
    orders.order(["acme"])
    for times in range(200):
        if state(orders) == "settling":
            break
        one = resealer(rig)
        timer = threading.Timer(0.02 + times / 500, one.stop)  # a busy machine begins later
        timer.start()
        one.run()
        timer.join()
    assert state(orders) == "settling"
    assert sealed_by(rig, "acme") == {rig.vault.rotation.sealing("acme")}


def test_a_worker_with_old_keys_at_hand_reseals_with_the_new_one(
    rig: Rig, orders: Rotations
) -> None:
    populate(rig, "acme", "10")
    elsewhere = open_vault(rig.settings)
    elsewhere.tenant("acme")
    orders.order(["acme"])
    one = resealer(rig)
    lease = Leases(rig.database).take_new(LEASE, "all")
    assert lease is not None
    one._renew_keys(lease)
    Leases(rig.database).remove(lease)
    leases = Leases(rig.database)
    store = SealedRows(rig.database)
    Resealer(orders, store, leases, elsewhere, rig.parts.openings).run()
    assert sealed_by(rig, "acme") == {rig.vault.rotation.sealing("acme")}
    elsewhere.close()


def test_only_one_worker_is_at_it(rig: Rig, orders: Rotations) -> None:
    populate(rig, "acme", "10")
    orders.order(["acme"])
    leases = Leases(rig.database)
    lease = leases.take_new(LEASE, "all")
    rig.parts.resealer.run()
    assert state(orders) == "ordered"
    assert lease is not None
    leases.remove(lease)
    rig.parts.resealer.run()
    assert state(orders) == "settling"


def test_ordering_again_under_way_changes_nothing(rig: Rig, orders: Rotations) -> None:
    populate(rig, "acme", "10")
    assert [orders.order(["acme"]) for _ in range(2)] == [1, 0]
    rig.parts.resealer.run()
    assert orders.order(["acme"]) == 0
    settle(rig)
    rig.parts.resealer.run()
    first = rig.vault.rotation.sealing("acme")
    assert orders.order(["acme"]) == 1
    rig.parts.resealer.run()
    assert sealed_by(rig, "acme") == {rig.vault.rotation.sealing("acme")} != {first}


def test_writers_beside_it_lose_nothing(
    rig: Rig, orders: Rotations, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Drains for every tenant go on while the rows are re-sealed."""
    monkeypatch.setattr(resealing, "SPAN_ROWS", 20)
    monkeypatch.setattr(resealing, "BATCH_ROWS", 5)
    pages = {"acme": "10", "beta": "20"}
    for tenant, page in pages.items():
        populate(rig, tenant, page, 30)
    ended = threading.Event()

    def write() -> None:
        number = 0
        while not ended.is_set():
            number += 1
            rig.drain(rig.put(*(text(page, "8", f"live {number}") for page in pages.values())))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        orders.order(pages)
        rig.parts.resealer.run()
        settle(rig)
        while {state(orders, tenant) for tenant in pages} != {"done"}:
            rig.parts.resealer.run()
    finally:
        ended.set()
        writer.join()
    for tenant in pages:
        assert sealed_by(rig, tenant) == {rig.vault.rotation.sealing(tenant)}
    live = [words for words in rig.texts() if words.startswith("live")]
    assert live == sorted(live, key=lambda words: int(words.split()[1]))
    assert len(live) > 4
