"""Paused connections: what comes in waits, and follows in order, whatever dies in between."""

import threading
from collections.abc import Sequence
from typing import Any, TypeVar

import pytest
import sqlalchemy as sa

from contracts.errors import Conflict, LeaseLost, NotFound, Paused
from storage.connecting_schema import pauses as pauses_table
from storage.connections import Connection, Connections
from storage.database import Database, now_ms
from storage.deliveries import Deliveries
from storage.drain import DrainStore
from storage.due import DueRows, Taken
from storage.expiry import drop_parked
from storage.gaps import Gaps, gap
from storage.pausing import PAUSE, Pauses
from storage.replays import Replays
from storage.revocations import Revocations
from storage.schema import connections, due, inbox, parked
from storage.turns import Park, Turn
from tests.rig import Rig, text
from tests.workers.granted import come_due, run_due, said, status
from tests.workers.killing import Fragile, Killed
from workers.normalizing import Normalizer
from workers.pausing import ATTEMPTS, Pauser
from workers.turning import Turning

BAD = b'{"object":"page","entry":[{"id":"10","time":1,"messaging":[{"message":7}]}]}'


def pause(rig: Rig, made: Connection, reason: str = "moving") -> None:
    Pauses(rig.database).order(made.id, reason=reason, by="test")
    run_due(rig)


def resume(rig: Rig, made: Connection) -> None:
    Pauses(rig.database).resume(made.id)
    run_due(rig)


def send(rig: Rig, *words: str) -> None:
    rig.drain(rig.put(*(text("10", "7", word) for word in words)))


def waiting(rig: Rig) -> int:
    return len(Deliveries(rig.database).list("paused", limit=10_000))


def test_what_comes_in_waits_and_follows_in_order(rig: Rig) -> None:
    made, other = rig.connect("acme", "10"), rig.connect("beta", "10")
    send(rig, "before")
    pause(rig, made)
    words = [f"w{n}" for n in range(450)]
    send(rig, *words)
    assert (waiting(rig), status(rig, made)) == (450, ("paused", "moving"))
    resume(rig, made)
    send(rig, "after")
    mine = [m for m in rig.messages() if m.tenant == "acme"]
    received = [m for m in mine if m.type == "cleverbox.message.received"]
    assert [m.data.text for m in received] == ["before", *words, "after"]
    assert [m.late is True for m in received] == [False] + [True] * 450 + [False]
    assert said(rig) == [("paused", "moving"), ("resumed", None)]
    assert mine[-2].type == "cleverbox.connection.resumed"
    assert (waiting(rig), status(rig, made)) == (0, ("active", ""))
    with rig.database.read() as connection:
        assert connection.execute(sa.select(due.c.key).where(due.c.kind == PAUSE)).all() == []
    theirs = [m for m in rig.messages() if m.tenant == "beta"]
    assert [m.data.text for m in theirs] == ["before", *words, "after"]
    assert status(rig, other) == ("active", "")


def test_it_is_ordered_once_however_often(rig: Rig) -> None:
    made = rig.connect("acme", "10")
    first = Pauses(rig.database).order(made.id, reason="moving", by="test")
    assert Pauses(rig.database).order(made.id, reason="another", by="other") == first
    run_due(rig)
    pause(rig, made, "once more")
    assert said(rig) == [("paused", "moving")]
    resume(rig, made)
    assert Pauses(rig.database).resume(made.id) is None
    run_due(rig)
    pause(rig, made, "the second time")
    resume(rig, made)
    assert [kind for kind, _ in said(rig)] == ["paused", "resumed"] * 2


@pytest.mark.parametrize("ended", ["pending", "revoking", "revoked"])
def test_what_does_not_work_yet_or_was_ended_is_not_paused(rig: Rig, ended: str) -> None:
    made, pauses = rig.connect("acme", "10"), Pauses(rig.database)
    Connections(rig.database).set_status(made.id, ended, "")
    with pytest.raises(Conflict):
        pauses.order(made.id, reason="", by="test")
    if ended != "pending":
        with pytest.raises(Conflict):
            pauses.resume(made.id)
    with pytest.raises(NotFound):
        pauses.order("con_none", reason="", by="test")
    with rig.database.read() as connection:
        assert connection.execute(sa.select(due.c.key).where(due.c.kind == PAUSE)).all() == []


def test_resumed_before_anybody_said_that_it_is_paused(rig: Rig) -> None:
    made, pauses = rig.connect("acme", "10"), Pauses(rig.database)
    pauses.order(made.id, reason="", by="test")
    pauses.resume(made.id)
    run_due(rig)
    assert said(rig) == [("paused", None), ("resumed", None)]


# -- turns that were computed under another status -----------------------------------------------


def computed(rig: Rig, *words: str) -> Turn:
    """What a drain computed, and has not committed yet."""
    lanes = rig.put(*(text("10", "7", word) for word in words))
    with rig.database.read() as connection:
        newest = connection.execute(
            sa.select(inbox).where(inbox.c.lane.in_(lanes)).order_by(inbox.c.id.desc()).limit(1)
        ).one()
    opened = rig.parts.drainer.open(Deliveries(rig.database).stored(f"itm_{newest.id}"))
    return Turn()._replace(**rig.parts.router.route([opened])._asdict())


def test_a_drain_that_did_not_know_of_the_pause_writes_nothing(rig: Rig) -> None:
    made, store = rig.connect("acme", "10"), DrainStore(rig.database)
    turn = computed(rig, "a")
    pause(rig, made)
    with pytest.raises(LeaseLost, match="paused meanwhile"):
        store.write(turn)
    rig.drain(range(1024))
    assert (waiting(rig), rig.texts()) == (1, [])


def test_a_drain_that_did_not_know_of_the_resuming_writes_nothing(rig: Rig) -> None:
    made, store = rig.connect("acme", "10"), DrainStore(rig.database)
    pause(rig, made)
    turn = computed(rig, "a")
    assert [park.reason for park in turn.parks] == ["paused"]
    resume(rig, made)
    with pytest.raises(LeaseLost, match="resumed meanwhile"):
        store.write(turn)
    rig.drain(range(1024))
    assert (waiting(rig), rig.texts()) == (0, ["a"])


def test_newer_items_never_overtake_while_it_is_resumed(rig: Rig) -> None:
    """A drain goes on beside, all the time."""
    made = rig.connect("acme", "10")
    rig.parts.pauser.batch = 7
    words = [f"w{n:03}" for n in range(180)]
    send(rig, words[0])
    pause(rig, made)
    send(rig, *words[1:100])
    failed: list[BaseException] = []

    def drains() -> None:
        try:
            for n in range(100, 180, 10):
                send(rig, *words[n : n + 10])
        except BaseException as error:  # noqa: BLE001
            failed.append(error)

    beside = threading.Thread(target=drains)
    beside.start()
    Pauses(rig.database).resume(made.id)
    while beside.is_alive() or status(rig, made)[0] == "paused":
        run_due(rig)
    beside.join()
    rig.drain(range(1024))
    assert failed == []
    assert rig.texts() == words


# -- what dies or turns in between -----------------------------------------------------------------


J = TypeVar("J", bound=Pauser)


def pauser(rig: Rig, database: Database, kind: type[J]) -> tuple[J, DueRows]:
    """The job over a database of its own."""
    rows, normalizer = DueRows(database), Normalizer(rig.vault, "http://localhost")
    made = kind(
        Pauses(database),
        Connections(database),
        rows,
        DrainStore(database),
        normalizer,
        Turning(normalizer, rig.vault, "http://localhost", {"facebook": "messenger"}),
        rig.parts.pauser._connectors,
        rig.parts.pauser._matching,
    )
    made.batch = 2
    return made, rows


def killed_after(rig: Rig, commits: int) -> bool:
    """Run the job until it is killed; whether it was."""
    database = Fragile(rig.database.url)
    job, rows = pauser(rig, database, Pauser)
    (row,) = rows.take([PAUSE], 1)
    database.after = commits
    try:
        job.run(row)
    except Killed:
        return True
    finally:
        database.close()
    return False


def test_killed_after_every_commit_all_of_it_follows_once(rig: Rig) -> None:
    for after in range(1, 20):
        account = str(100 + after)
        made = rig.connect("acme", account)
        Pauses(rig.database).order(made.id, reason="", by="test")
        words = [f"{account}-{n}" for n in range(5)]
        rig.drain(rig.put(*(text(account, "7", word) for word in words)))
        Pauses(rig.database).resume(made.id)
        killed = killed_after(rig, after)
        rig.drain(rig.put(text(account, "7", "meanwhile")))
        come_due(rig)
        run_due(rig)
        mine = [m for m in rig.messages() if m.connection == made.id]
        kinds = [m.type.removeprefix("cleverbox.") for m in mine]
        received = [m.data.text for m in mine if m.type == "cleverbox.message.received"]
        assert received == [*words, "meanwhile"]
        assert (kinds[0], kinds.count("connection.paused")) == ("connection.paused", 1)
        assert kinds.count("connection.resumed") == 1
        assert status(rig, made) == ("active", "")
        assert waiting(rig) == 0
        if not killed:
            assert after > 2, "it was killed at least twice"
            return
    pytest.fail("it was never done")


class Poisoned(Pauser):
    """One item ends its process."""

    def _read(self, connection: Connection, parks: Sequence[Park]) -> Any:
        if any(b"poison" in self._normalizer.unpark(park).raw for park in parks):
            raise Killed
        return super()._read(connection, parks)


def test_an_item_that_kills_its_worker_is_found(rig: Rig) -> None:
    made = rig.connect("acme", "10")
    pause(rig, made)
    send(rig, "a", "poison", "b")
    Pauses(rig.database).resume(made.id)
    job, rows = pauser(rig, rig.database, Poisoned)
    for _ in range(ATTEMPTS + 1):
        with pytest.raises(Killed):
            job.run(taken(rig, rows))
    job.run(taken(rig, rows))
    assert rig.texts() == ["a", "b"]
    (left,) = Deliveries(rig.database).list("parked")
    assert (left.reason, status(rig, made)[0]) == ("killed-its-worker", "active")


def taken(rig: Rig, rows: DueRows) -> Taken:
    """The row, as its next holder finds it."""
    come_due(rig)
    (row,) = rows.take([PAUSE], 1)
    if row.crashes:
        rows.suspect(row)
    return row


class Interrupted(Pauser):
    """Somebody pauses it again after the first items."""

    steps = 0

    def _append_some(self, row: Taken) -> bool:
        self.steps += 1
        if self.steps == 2:
            self._pauses.order(row.key, reason="", by="test")
        return super()._append_some(row)


def test_paused_again_while_it_is_resumed(rig: Rig) -> None:
    made, pauses = rig.connect("acme", "10"), Pauses(rig.database)
    pause(rig, made)
    send(rig, *"abcdef")
    job, rows = pauser(rig, rig.database, Interrupted)
    pauses.resume(made.id)
    (row,) = rows.take([PAUSE], 1)
    job.run(row)
    assert rig.texts() == ["a", "b"]
    assert (waiting(rig), status(rig, made)[0]) == (4, "paused")
    resume(rig, made)
    assert rig.texts() == [*"abcdef"]
    assert [kind for kind, _ in said(rig)] == ["paused", "resumed"]


def test_what_cannot_be_read_stays_parked_and_holds_nothing_up(rig: Rig) -> None:
    made = rig.connect("acme", "10")
    pause(rig, made)
    send(rig, "a", "spoiled")
    rig.drain(rig.put(BAD, text("10", "7", "b")))
    spoil(rig, 1)
    resume(rig, made)
    assert rig.texts() == ["a", "b"]
    left = Deliveries(rig.database).list("parked")
    assert [(one.reason, one.detail) for one in left] == [
        ("unreadable", "unknown-key"),
        ("unreadable", left[1].detail),
    ]
    order = Replays(rig.database).order(delivery=left[1].id)
    rig.parts.replayer.run(order.id)
    assert Replays(rig.database).get(order.id).parked == 1, "it opens as any other does"


def spoil(rig: Rig, number: int) -> None:
    """Change what waits as the item of that place."""
    ids = [one.id for one in Deliveries(rig.database).list("paused")]
    with rig.database.write() as connection:
        this = sa.update(parked).where(parked.c.id == ids[number])
        connection.execute(this.values(sealed=b"nothing"))


def test_it_becomes_what_is_wrong_with_it(rig: Rig) -> None:
    made = rig.connect("acme", "10")
    pause(rig, made)
    with rig.database.write() as connection:
        wrong = {"causes": {"refused:gra_a": "the password was changed"}}
        connection.execute(sa.update(connections).values(wrong))
    Pauses(rig.database).resume(made.id)
    job, rows = pauser(rig, rig.database, Pauser)
    (row,) = rows.take([PAUSE], 1)
    job.run(row)
    assert status(rig, made) == ("needs_reauth", "the password was changed")
    assert [kind for kind, _ in said(rig)] == ["paused", "resumed", "needs_reauth"]
    standing = rows.standing("reconcile", made.id)
    assert standing is not None, "it is looked at"


def test_revoked_while_it_is_paused_nothing_is_left(rig: Rig) -> None:
    made = rig.connect("acme", "10")
    pause(rig, made)
    send(rig, "a", "b")
    Pauses(rig.database).resume(made.id)
    Revocations(rig.database).order(made.id, reason="", by="test")
    come_due(rig)
    run_due(rig)
    assert status(rig, made)[0] == "revoked"
    assert (waiting(rig), rig.texts()) == (0, [])
    with rig.database.read() as connection:
        assert connection.execute(sa.select(pauses_table)).all() == []
    assert [kind for kind, _ in said(rig)] == ["paused", "revoked"]


# -- others ----------------------------------------------------------------------------------------


def test_what_waited_longer_than_it_is_kept_is_told_as_a_gap(rig: Rig) -> None:
    made = rig.connect("acme", "10")
    pause(rig, made)
    send(rig, "a", "b", "c")
    with rig.database.write() as connection:
        for n, one in enumerate(Deliveries(rig.database).list("paused")[:2]):
            this = sa.update(parked).where(parked.c.id == one.id)
            connection.execute(this.values(received_at_ms=1_000 * (n + 1)))
        connection.execute(sa.update(connections).values(receives_from_ms=0))
    assert drop_parked(rig.database, now_ms() - 86_400_000) == {("acme", made.id): 2}
    rig.parts.gaps.announce()
    rig.parts.gaps.announce()
    (told,) = (m.data for m in rig.messages() if m.type == "cleverbox.connection.gap")
    assert (told.reason, told.backfilled) == ("expired", False)
    assert (told.since, told.until) == ("1970-01-01T00:00:01.000Z", "1970-01-01T00:00:02.001Z")
    assert Gaps(rig.database).waiting() == []
    resume(rig, made)
    assert rig.texts() == ["c"]


def test_what_is_lost_elsewhere_is_told_while_it_is_paused(rig: Rig) -> None:
    made = rig.connect("acme", "10")
    pause(rig, made)
    Gaps(rig.database).add([gap(None, 1, now_ms(), "refused")])
    rig.parts.gaps.announce()
    assert [kind for kind, _ in said(rig)] == ["paused", "gap"]


def test_replays_leave_alone_what_waits(rig: Rig) -> None:
    made, replays = rig.connect("acme", "10"), Replays(rig.database)
    rig.drain(rig.put(BAD))
    pause(rig, made)
    send(rig, "a")
    (unread,), (waits,) = (Deliveries(rig.database).list(s) for s in ("parked", "paused"))
    assert Deliveries(rig.database).counts()["parked"] == 1
    assert Deliveries(rig.database).get(waits.id).status == "paused"
    for order, what_to_do in (
        (replays.order(status="parked"), "is paused"),
        (replays.order(delivery=waits.id), "resuming it brings what waits"),
        (replays.order(delivery=unread.id), "resume it, and replay this then"),
    ):
        rig.parts.replayer.run(order.id)
        assert what_to_do in replays.get(order.id).detail
    assert (waiting(rig), rig.texts()) == (1, [])


def test_nobody_calls_out_for_it(rig: Rig) -> None:
    made = rig.connect("acme", "10")
    pause(rig, made)
    with pytest.raises(Paused):
        rig.parts.accounts.client_for(Connections(rig.database).get(made.id), job="test")


def test_what_had_no_connection_waits_as_well(rig: Rig) -> None:
    rig.drain(rig.put(text("10", "7", "early")))
    made = rig.connect("acme", "10")
    pause(rig, made)
    rig.parts.stranded.route()
    assert (waiting(rig), Deliveries(rig.database).list("unrouted")) == (1, [])
    resume(rig, made)
    assert rig.texts() == ["early"]
