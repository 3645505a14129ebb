"""The drain: in order, once, for each tenant its own; one unreadable item stops nobody."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from contracts.connector import Item
from contracts.errors import KeyUnavailable, LeaseLost
from contracts.settings import Settings
from storage.deliveries import Deliveries
from storage.drain import DrainStore
from storage.leases import LANE, Leases
from storage.schema import attempts, leases
from storage.turns import Turn
from tests.rig import Rig, hours_ago, text
from token_vault import open_vault


def test_a_message_travels(rig: Rig) -> None:
    connection = rig.connect("acme", "10")
    rig.drain(rig.put(text("10", "7", "привіт 👋🏽")))
    (message,) = rig.messages()
    assert message.data.text == "привіт 👋🏽"
    assert (message.tenant, message.connection) == ("acme", connection.id)
    assert message.subject == message.data.conversation.id


def test_order_holds_within_a_page(rig: Rig) -> None:
    rig.connect("acme", "10")
    words = [f"w{n}" for n in range(700)]
    lanes = rig.put(*(text("10", "7", word) for word in words))
    rig.drain(lanes)
    assert rig.texts() == words


def test_a_repeated_delivery_adds_nothing(rig: Rig) -> None:
    rig.connect("acme", "10")
    body = text("10", "7", "once")
    rig.drain(rig.put(body, body))
    rig.drain(rig.put(body))
    assert rig.texts() == ["once"]


def test_each_tenant_of_a_page_gets_its_own(rig: Rig) -> None:
    rig.connect("acme", "10")
    rig.connect("other", "10")
    rig.drain(rig.put(text("10", "7", "hi")))
    found = rig.messages()
    assert sorted(m.tenant for m in found) == ["acme", "other"]
    assert len({m.id for m in found}) == 2
    assert len({m.subject for m in found}) == 2


def test_an_operators_connection_is_given_what_was_unrouted(rig: Rig) -> None:
    lanes = rig.put(text("10", "7", "early"))
    rig.drain(lanes)
    (waiting,) = Deliveries(rig.database).list("unrouted")
    assert waiting.status == "unrouted"
    rig.connect("acme", "10")
    rig.parts.stranded.route()
    (message,) = rig.messages()
    assert message.data.text == "early"
    assert message.late is True
    assert not Deliveries(rig.database).list("unrouted")
    assert Deliveries(rig.database).get(waiting.id).status == "handled"


def test_unrouted_items_never_cross_to_another_tenant(rig: Rig) -> None:
    rig.connect("acme", "10")
    rig.put_items(rig.split(text("11", "7", "for page 11")))
    rig.connect("late", "10")
    rig.put_items(rig.split(text("10", "7", "old")), received_at_ms=hours_ago(1))
    rig.drain(range(1024))
    assert [(m.tenant, m.data.text) for m in rig.messages()] == [("acme", "old")]


def test_a_flood_is_deferred_and_keeps_its_order(rig: Rig) -> None:
    rig.connect("acme", "10")
    neighbour = next(str(n) for n in range(11, 100_000) if _lane(str(n)) == _lane("10"))
    rig.connect("other", neighbour)
    flood = [text("10", "7", f"f{n}") for n in range(1_200)]
    rig.put(*flood)
    rig.put(text(neighbour, "8", "quiet"))
    rig.drain(rig.put(*(text("10", "7", f"f{n}") for n in range(1_200, 1_300))))
    found = rig.messages()
    of_flood = [m.data.text for m in found if m.tenant == "acme"]
    assert of_flood == [f"f{n}" for n in range(1_300)]
    place = [m.tenant for m in found].index("other")
    assert place <= 400, f"the quiet account waited for {place} of the flood"


def test_a_key_that_is_wrong_typed_parks_and_its_neighbours_live(rig: Rig) -> None:
    rig.connect("acme", "10")
    bad = b'{"object":"page","entry":[{"id":"10","time":1,"messaging":[{"message":7}]}]}'
    rig.drain(rig.put(bad, text("10", "7", "fine")))
    assert rig.texts() == ["fine"]
    (parked,) = Deliveries(rig.database).list("parked")
    assert (parked.tenant, parked.reason) == ("acme", "unreadable")


def test_an_item_that_never_opens_is_kept_as_unrouted(rig: Rig) -> None:
    rig.connect("acme", "10")
    lanes = rig.put(text("10", "7", "gone"))
    other = rig.vault.run_sealer(rig.sealer.day)
    rig.sealer, rig.sealer.id = other, rig.sealer.id
    rig.put(text("10", "7", "sealed by another run"))
    rig.drain(lanes)
    assert rig.texts() == ["gone"]
    assert len(Deliveries(rig.database).list("unrouted")) == 1


def test_an_item_that_kills_its_process_is_found_and_parked(rig: Rig) -> None:
    rig.connect("acme", "10")
    (lane,) = rig.put(text("10", "7", "killer"))
    store, leases = DrainStore(rig.database), Leases(rig.database, seconds=0.0)
    (item,) = store.waiting(leases.take(LANE, [str(lane)]), 10)
    for _ in range(3):  # a crash leaves its lease unreturned, and its attempt counted
        store.count_attempt(item.id)
    rig.drain([lane])
    (parked,) = Deliveries(rig.database).list("parked")
    assert parked.reason == "killed-its-worker"
    assert rig.texts() == []


def test_after_a_crash_ordinary_items_are_not_parked(rig: Rig) -> None:
    rig.connect("acme", "10")
    (lane,) = rig.put(*(text("10", "7", f"{n}") for n in range(20)))
    Leases(rig.database, seconds=0.0).take(LANE, [str(lane)])
    rig.drain([lane])
    assert rig.texts() == [f"{n}" for n in range(20)]


def test_a_lost_lease_gives_the_others_back_at_once(rig: Rig) -> None:
    rig.connect("acme", "10")
    rig.connect("other", "11")
    lanes = rig.put(text("10", "7", "a"), text("11", "7", "b"))
    drainer = rig.parts.drainer
    held = drainer._leases.take(LANE, [str(lane) for lane in lanes])
    lost = held[0]
    with rig.database.write() as connection:
        stolen = sa.update(leases).where(leases.c.key == lost.key)
        connection.execute(stolen.values(fence=leases.c.fence + 1))
    with pytest.raises(LeaseLost):
        drainer.write([], Turn(held, [lease.mark for lease in held]))
    drainer._give_back(held, [])
    assert [x.key for x in Leases(rig.database).take(LANE, [x.key for x in held])] == [held[1].key]


def test_after_a_crash_the_other_lanes_go_on_at_once(rig: Rig) -> None:
    """Many broken lanes are looked after one at a time: none outlasts its lease meanwhile."""
    pages = [str(page) for page in range(20)]
    for page in pages:
        rig.connect("acme", page)
    lanes = rig.put(*(text(page, "70", page) for page in pages))
    Leases(rig.database, seconds=0).take(LANE, [str(lane) for lane in lanes])
    rig.drain(lanes)
    assert sorted(rig.texts()) == sorted(pages)


def test_under_a_foreign_key_store_items_wait(rig: Rig, tmp_path: Path) -> None:
    rig.connect("acme", "10")
    (lane,) = rig.put(text("10", "7", "wait for the right keys"))
    settings = Settings(data_dir=tmp_path / "foreign", database_url=rig.settings.database)
    foreign = open_vault(settings)
    foreign.upgrade()
    rig.parts.drainer._opener._vault = foreign
    with pytest.raises(KeyUnavailable):
        rig.drain([lane])
    rig.parts.drainer._opener._vault = rig.vault
    rig.drain([lane])
    assert rig.texts() == ["wait for the right keys"]
    foreign.close()


def test_stopping_leaves_the_rest_for_later(rig: Rig) -> None:
    rig.connect("acme", "10")
    (lane,) = rig.put(*(text("10", "7", f"{n}") for n in range(300)))
    rig.parts.drainer.stop()
    rig.drain([lane])
    assert rig.texts() == []
    rig.parts.drainer._stopping.clear()
    rig.drain([lane])
    assert len(rig.texts()) == 300


def test_an_attempt_that_the_store_interrupted_is_not_counted(rig: Rig) -> None:
    rig.connect("acme", "10")
    (lane,) = rig.put(text("10", "7", "innocent"))
    drainer = rig.parts.drainer
    (lease,) = drainer._leases.take(LANE, [str(lane)])
    (item,) = drainer._store.waiting([lease], 1)
    for _ in range(5):
        with pytest.raises(LeaseLost):
            drainer._try_one(item, Turn([lease._replace(fence=-1)], [item.id]))
    with rig.database.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(attempts)) == 0


def test_a_signed_body_for_nobody_is_kept(rig: Rig) -> None:
    rig.drain(rig.put_items([Item("facebook", "", b"\xff not json")]))
    assert len(Deliveries(rig.database).list("unrouted")) == 1


def _lane(page: str) -> int:
    from storage.lanes import lane_of

    return lane_of("facebook", page)
