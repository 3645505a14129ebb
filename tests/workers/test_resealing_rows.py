"""Rows that are re-sealed: in bounded batches, counted, and never overwritten."""

import itertools
import threading
from typing import Any

import pytest
import sqlalchemy as sa

from contracts.connector import Item
from contracts.errors import Tampered
from storage import resealing, schema
from storage.erasing import Erasing
from storage.leases import Leases
from storage.openings import TokenOpenings
from storage.resealing import Resealed, SealedRows
from storage.rotations import LEASE, Rotations
from storage.sealed import SEALED
from tests.rig import Rig, text
from tests.workers.resealed import (
    BROKEN,
    contents,
    populate,
    resealer,
    rows,
    sealed_by,
    settle,
    state,
)
from token_vault import Purpose
from workers.resealing import Resealer


def test_a_row_that_changed_meanwhile_is_not_overwritten(rig: Rig, orders: Rotations) -> None:
    """An erasure, a refreshed token: the old bytes are compared."""
    populate(rig, "acme", "10")
    column, [row] = SEALED[3], rows(rig, SEALED[3], "acme")
    lease = Leases(rig.database).take_new(LEASE, "all")
    orders.order(["acme"])
    assert lease is not None
    orders.change(lease, ["acme"], state="sealing", sealing=b"\x01abcd")
    begun = orders.begin_round(lease)
    assert begun is not None
    changed = [Resealed(row["id"], b"what it was before", b"late")]
    store = SealedRows(rig.database)
    assert store.put(column, changed, begun, lease) == 0
    with rig.database.write() as connection:
        connection.execute(sa.update(schema.grants).values(sealed=b""))
    assert store.old(column, begun.id, None, row["id"]) == [], "blank stays blank"
    assert store.put(column, [Resealed(row["id"], row["sealed"], b"late")], begun, lease) == 0
    assert rows(rig, column, "acme")[0]["sealed"] == b""
    Leases(rig.database).remove(lease)


def test_erased_rows_stay_blank(rig: Rig, orders: Rotations) -> None:
    populate(rig, "acme", "10")
    Erasing(rig.database).tenant("acme")
    orders.order(["acme"])
    rig.parts.resealer.run()
    assert state(orders) == "settling"
    every = [row["sealed"] for n in (0, 3) for row in rows(rig, SEALED[n], "acme")]
    assert {value or b"" for value in every} == {b""}


def test_what_does_not_open_is_counted_and_left(rig: Rig, orders: Rotations) -> None:
    populate(rig, "acme", "10")
    [row] = rows(rig, SEALED[2], "acme")
    broken = row["sealed"][:-1] + bytes([row["sealed"][-1] ^ 1])
    with rig.database.write() as connection:
        connection.execute(sa.update(schema.connections).values(sealed=broken))
    orders.order(["acme"])
    rig.parts.resealer.run()
    settle(rig)
    rig.parts.resealer.run()
    done = orders.last_round()
    assert done is not None
    assert (state(orders), done.unreadable) == ("done", 1)
    assert rows(rig, SEALED[2], "acme")[0]["sealed"] == broken
    with pytest.raises(Tampered):
        rig.vault.tenant("acme").open(Purpose.CONNECTION, row["id"].encode(), broken)


def test_a_row_that_came_back_from_a_backup_is_saved_from_retiring(
    rig: Rig, orders: Rotations
) -> None:
    populate(rig, "acme", "10")
    [old] = rows(rig, SEALED[2], "acme")
    orders.order(["acme"])
    rig.parts.resealer.run()
    settle(rig)
    rig.parts.resealer.run()
    with rig.database.write() as connection:
        connection.execute(sa.update(schema.connections).values(sealed=old["sealed"]))
    orders.order_retiring(["acme"])
    rig.parts.resealer.run()
    assert state(orders) == "retired"
    assert contents(rig, "acme")["connections"]


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


def test_a_batch_is_bounded_in_bytes_and_has_one_row_at_least(
    rig: Rig, orders: Rotations, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.connect("acme", "10")
    bodies = [BROKEN.replace(b"10", b"10", 1) + b" " * size for size in (50_000, 10, 10, 90_000)]
    for body in bodies:
        rig.drain(rig.put_items([Item("facebook", "10", body)]))
    column = SEALED[1]
    sizes = [len(row["sealed"]) for row in rows(rig, column, "acme")]
    big = max(sizes)
    assert len(sizes) == 4
    lease = Leases(rig.database).take_new(LEASE, "all")
    orders.order(["acme"])
    assert lease is not None
    orders.change(lease, ["acme"], state="sealing", sealing=b"\x01abcd")
    begun = orders.begin_round(lease)
    assert begun is not None
    store = SealedRows(rig.database)
    for bound in (1, min(sizes) * 2, big - 1, big, sum(sizes) - 1, sum(sizes)):
        monkeypatch.setattr(resealing, "BATCH_BYTES", bound)
        after, batches = None, list[list[int]]()
        while batch := store.old(column, begun.id, after, "~"):
            batches.append([len(row.sealed) for row in batch])
            after = batch[-1].key
        assert [size for batch in batches for size in batch] == sizes, "each once, in order"
        assert all(len(batch) == 1 or sum(batch) <= bound for batch in batches)
        for one, other in itertools.pairwise(batches):
            assert sum(one) + other[0] > bound, "as many as there may be"
    Leases(rig.database).remove(lease)


def test_stopped_within_a_span_it_counts_what_it_has_resealed(
    rig: Rig, orders: Rotations, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resealing, "BATCH_ROWS", 1)
    populate(rig, "acme", "10")
    orders.order(["acme"])
    resealed = 0
    while state(orders) != "settling":
        one = resealer(rig)
        put = one._rows.put

        def once(*arguments: Any, put: Any = put, one: Resealer = one) -> int:
            nonlocal resealed
            count: int = put(*arguments)
            resealed += count
            one.stop()
            return count

        monkeypatch.setattr(one._rows, "put", once)
        one.run()
        done = orders.last_round()
        assert done is not None
        assert done.resealed == resealed
    assert resealed == 10


def test_each_token_that_is_opened_on_the_way_is_counted(rig: Rig, orders: Rotations) -> None:
    populate(rig, "acme", "10")
    [grant] = rows(rig, SEALED[3], "acme")
    orders.order(["acme"])
    rig.parts.resealer.run()
    rig.parts.openings.flush()
    counted = TokenOpenings(rig.database).of_grants([grant["id"]])
    assert [(one.job, one.tenant, one.times) for one in counted] == [("reseal", "acme", 1)]
