"""Replays, gaps, and what upkeep destroys and keeps."""

from datetime import date, timedelta

import pytest
import sqlalchemy as sa

from contracts.errors import KeyDestroyed, LeaseLost
from storage import partitions
from storage.database import now_ms
from storage.deliveries import Deliveries
from storage.gaps import Gaps, gap
from storage.leases import Leases
from storage.replays import LEASE, Replays
from storage.schema import dedupe, inbox, parked
from storage.schema import replays as replays_table
from tests.rig import Rig, text

BAD = b'{"object":"page","entry":[{"id":"10","time":1,"messaging":[{"message":7}]}]}'


def test_replaying_a_handled_item_adds_nothing_and_says_so(rig: Rig) -> None:
    rig.connect("acme", "10")
    rig.drain(rig.put(text("10", "7", "once")))
    with rig.database.read() as connection:
        number = connection.scalar(sa.select(inbox.c.id))
    replays = Replays(rig.database)
    order = replays.order(delivery=f"itm_{number}")
    rig.parts.replayer.run_queued()
    done = replays.get(order.id)
    assert (done.state, done.items, done.added, done.duplicate) == ("done", 1, 0, 1)
    assert rig.texts() == ["once"]


def test_a_parked_item_that_still_cannot_be_read_stays_parked(rig: Rig) -> None:
    rig.connect("acme", "10")
    rig.drain(rig.put(BAD))
    replays = Replays(rig.database)
    order = replays.order(status="parked")
    rig.parts.replayer.run_queued()
    assert replays.get(order.id)._asdict().items() >= {"state": "done", "parked": 1}.items()
    assert len(Deliveries(rig.database).list("parked")) == 1


def test_a_parked_item_that_can_be_read_arrives_late_and_is_marked(rig: Rig) -> None:
    connection = rig.connect("acme", "10")
    (item,) = rig.split(text("10", "7", "readable after all"))
    park = rig.parts.replayer._normalizer.park(item, 1, now_ms(), connection, "unreadable", "")
    with rig.database.write() as open_:
        open_.execute(sa.insert(parked).values(**park._asdict(), parked_at_ms=now_ms()))
    order = Replays(rig.database).order(delivery=park.id)
    rig.parts.replayer.run(order.id)
    (message,) = rig.messages()
    assert message.data.text == "readable after all"
    assert message.late is True
    assert not Deliveries(rig.database).list("parked")


def test_a_replay_of_nothing_fails_and_says_why(rig: Rig) -> None:
    order = Replays(rig.database).order(delivery="itm_404")
    rig.parts.replayer.run(order.id)
    done = Replays(rig.database).get(order.id)
    assert (done.state, done.detail) == ("failed", "itm_404: no delivery itm_404")


def park(rig: Rig, words: list[str]) -> list[str]:
    """Park readable items, as a mended connector finds them; returns their ids."""
    connection = rig.connect("acme", "10")
    ids = []
    for number, word in enumerate(words, start=1):
        (item,) = rig.split(text("10", "7", word))
        row = rig.parts.replayer._normalizer.park(item, number, now_ms(), connection, "test", "")
        with rig.database.write() as open_:
            open_.execute(sa.insert(parked).values(**row._asdict(), parked_at_ms=1))
        ids.append(row.id)
    return ids


def test_all_that_is_parked_is_replayed_in_order(rig: Rig) -> None:
    words = [f"w{n}" for n in range(450)]
    park(rig, words)
    order = Replays(rig.database).order(status="parked")
    rig.parts.replayer.run_queued()
    done = Replays(rig.database).get(order.id)
    assert (done.state, done.items, done.added, done.duplicate) == ("done", 450, 450, 0)
    assert rig.texts() == words


def test_one_bad_delivery_stops_no_other_of_a_replay(rig: Rig) -> None:
    first, *_ = park(rig, ["spoiled", "good"])
    with rig.database.write() as connection:
        spoiled = sa.update(parked).where(parked.c.id == first).values(sealed=b"nothing")
        connection.execute(spoiled)
    order = Replays(rig.database).order(status="parked")
    rig.parts.replayer.run_queued()
    done = Replays(rig.database).get(order.id)
    assert (done.state, done.items, done.failed, done.added) == ("done", 2, 1, 1)
    assert done.detail.startswith(first)
    assert rig.texts() == ["good"]


def test_a_replay_goes_on_where_a_crashed_worker_was(rig: Rig) -> None:
    ids = park(rig, ["before", "after"])
    replays = Replays(rig.database)
    order = replays.order(status="parked")
    with rig.database.write() as connection:
        progress = {"after": ids[0], "items": 1, "added": 1}
        connection.execute(sa.update(replays_table).values(progress))
    rig.parts.replayer.run(order.id)
    assert replays.get(order.id).items == 2
    assert rig.texts() == ["after"]


def test_a_worker_that_lost_its_replay_does_not_report_on_it(rig: Rig) -> None:
    replays = Replays(rig.database)
    order = replays.order(status="parked")
    lost = Leases(rig.database, seconds=0).take_new(LEASE, order.id)
    assert lost
    assert Leases(rig.database).take_new(LEASE, order.id)
    with pytest.raises(LeaseLost):
        replays.save(order._replace(state="done"), lost)
    assert replays.get(order.id).state == "queued"


def test_an_item_that_waits_is_not_replayed_before_older_ones(rig: Rig) -> None:
    rig.connect("acme", "10")
    rig.put(text("10", "7", "older"), text("10", "7", "newer"))
    with rig.database.read() as connection:
        newest = connection.scalar(sa.select(sa.func.max(inbox.c.id)))
    order = Replays(rig.database).order(delivery=f"itm_{newest}")
    rig.parts.replayer.run(order.id)
    assert Replays(rig.database).get(order.id).state == "failed"
    assert rig.texts() == []


def test_one_tenant_without_keys_does_not_silence_the_others(rig: Rig) -> None:
    rig.connect("acme", "10")
    rig.connect("other", "11")
    with rig.database.write() as connection:
        connection.exec_driver_sql("UPDATE connections SET receives_from_ms = 0")
    rig.vault.destroy_tenant("acme")
    Gaps(rig.database).announce_all(now_ms(), now_ms() + 5_000, "restored")
    rig.parts.gaps.announce()
    assert [m.tenant for m in rig.messages()] == ["other"]
    assert Gaps(rig.database).waiting() == []


def test_a_gap_is_said_once_to_those_whom_it_concerns(rig: Rig) -> None:
    mine = rig.connect("acme", "10")
    rig.connect("other", "11")
    route = rig.vault.deployment().hash("route", "facebook", "10")
    found = gap(route, now_ms(), now_ms() + 5_000, "refused")
    with rig.database.write() as connection:  # as if it had been connected an hour ago
        connection.exec_driver_sql("UPDATE connections SET receives_from_ms = 0")
    for _ in range(2):  # the second time as after a crash before the gap was forgotten
        Gaps(rig.database).add([found])
        rig.parts.gaps.announce()
    (message,) = rig.messages()
    assert (message.type, message.connection) == ("cleverbox.connection.gap", mine.id)
    assert (message.data.reason, message.data.stream) == ("refused", "webhooks")
    assert Gaps(rig.database).waiting() == []


def age(rig: Rig, days: int) -> None:
    """Make all that is stored `days` older, and its day's partition with it."""
    with rig.database.write() as connection:
        rows = connection.execute(sa.select(inbox)).mappings().all()
        connection.execute(sa.delete(inbox))
        if rig.database.is_postgresql:
            day = partitions.today() - days
            partitions.attach_new(connection, "inbox", (f"d{day}", day, day + 1))
        for row in rows:
            older = dict(row) | {"day": row["day"] - days}
            connection.execute(sa.insert(inbox).values(**older))


def test_upkeep_destroys_old_days_and_their_keys(rig: Rig) -> None:
    rig.connect("acme", "10")
    rig.drain(rig.put(text("10", "7", "old")))
    age(rig, 8)
    old = date.today() - timedelta(days=8)  # noqa: DTZ011 - days of the vault are dates
    rig.vault.ensure_days(old, 1)
    rig.parts.upkeep.run()
    with rig.database.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(inbox)) == 0
    assert dict(rig.vault.days())[old] is True
    with pytest.raises(KeyDestroyed):
        rig.vault.run_opener(old, rig.sealer.id, rig.sealer.wrapped)
    assert rig.texts() == ["old"], "what was handed over stays"


def test_upkeep_leaves_a_day_that_somebody_waits_for(rig: Rig) -> None:
    rig.connect("acme", "10")
    rig.put(text("10", "7", "not drained yet"))
    age(rig, 8)
    old = date.today() - timedelta(days=8)  # noqa: DTZ011
    rig.vault.ensure_days(old, 1)
    rig.parts.upkeep.run()
    with rig.database.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(inbox)) == 1
    assert dict(rig.vault.days())[old] is False


def test_upkeep_prunes_deduplication_keys_that_nothing_can_need(rig: Rig) -> None:
    rig.connect("acme", "10")
    today = partitions.today()
    limit = today - rig.settings.dedup_days
    rows = [
        {
            "day": limit - 1,
            "hash": b"o" * 16,
            "after": 0,
            "kept_at_ms": (limit - 1) * partitions.DAY_MS,
        },
        {"day": limit - 1, "hash": b"l" * 16, "after": 0, "kept_at_ms": now_ms()},
        {"day": today, "hash": b"n" * 16, "after": 0, "kept_at_ms": now_ms()},
    ]
    with rig.database.write() as connection:
        connection.execute(sa.insert(dedupe), rows)
    rig.parts.upkeep.run()
    with rig.database.read() as connection:
        kept = set(connection.scalars(sa.select(dedupe.c.hash)))
    assert kept == {b"l" * 16, b"n" * 16}


def test_two_schedulers_do_not_work_at_once(rig: Rig) -> None:
    assert Leases(rig.database).take_new("upkeep", "all")
    rig.parts.upkeep.run()
    with rig.database.read() as connection:
        owner = connection.exec_driver_sql(
            "SELECT owner FROM leases WHERE kind = 'upkeep'"
        ).scalar()
    assert owner is not None, "the other's lease is left alone"
