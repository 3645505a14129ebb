"""What upkeep destroys with its key, and what it says of content that nobody got."""

from collections.abc import MutableMapping, Sequence
from datetime import date, timedelta
from typing import Any

import sqlalchemy as sa
from structlog.testing import capture_logs

from contracts.tokens import Opening
from storage import partitions
from storage.connect_sessions import ConnectSessions, Session
from storage.connecting_schema import connect_sessions, signals
from storage.database import now_ms
from storage.openings import MINUTE_MS, TokenOpenings
from storage.partitions import DAY_MS
from storage.retention import RECORDS_DAYS
from storage.schema import due, parked, run_keys
from storage.signals import SIGNAL, Signal, Signals
from storage.turns import Turn, Unrouted
from tests.rig import Rig
from tests.storage.rows import add_items, count, digest, drain_up_to, make_day, old_day

_FIRST = date(1970, 1, 1)


def _destroyed(rig: Rig) -> dict[int, bool]:
    return {(day - _FIRST).days: destroyed for day, destroyed in rig.vault.days()}


def test_a_stuck_day_keeps_its_own_key_alone(rig: Rig) -> None:
    stuck = partitions.today() - rig.settings.raw_days - 2
    younger = stuck + 1
    rig.vault.ensure_days(_FIRST + timedelta(stuck), 2)
    for day in (stuck, younger):
        make_day(rig.database, day)
    add_items(rig.database, 1, lane=2, day=stuck)
    drain_up_to(rig.database, add_items(rig.database, 1, day=younger)[-1])
    with capture_logs() as said:
        rig.parts.upkeep.run()
    destroyed = _destroyed(rig)
    assert (destroyed[stuck], destroyed[younger]) == (False, True)
    assert {"days": 1, "oldest": stuck}.items() <= _only(said, "upkeep.raw_days_left").items()


def test_undelivered_items_that_end_are_told(rig: Rig) -> None:
    day, items = old_day(rig.database)
    rig.vault.ensure_days(_FIRST + timedelta(day), 1)
    route = digest("nobody's")
    strand = [Unrouted(item, day, 1, route, "facebook", day * DAY_MS) for item in items]
    drain_up_to(rig.database, items[-1], Turn(strand=strand))
    _park_long_ago(rig)
    with capture_logs() as said:
        rig.parts.upkeep.run()
    unrouted = _only(said, "upkeep.unrouted_expired")
    assert {"items": 3, "route": route.hex(), "log_level": "warning"}.items() <= unrouted.items()
    ended = _only(said, "upkeep.parked_expired")
    assert {"items": 1, "connection": "con_a", "log_level": "warning"}.items() <= ended.items()
    assert [count(rig.database, table) for table in (parked, run_keys)] == [0, 0]


def _park_long_ago(rig: Rig) -> None:
    received = now_ms() - (rig.settings.dedup_days + 1) * DAY_MS
    row = {"id": "prk_1", "item": 1, "connection": "con_a", "tenant": "acme", "reason": "test"}
    row |= {"provider": "facebook", "detail": ""}
    with rig.database.write() as connection:
        times = {"received_at_ms": received, "parked_at_ms": received}
        connection.execute(sa.insert(parked).values(**row, **times, sealed=b"x"))


def _only(said: Sequence[MutableMapping[str, Any]], event: str) -> MutableMapping[str, Any]:
    (line,) = (line for line in said if line["event"] == event)
    return line


def test_who_opened_tokens_is_kept_for_a_year(rig: Rig) -> None:
    openings, minute = TokenOpenings(rig.database), now_ms() // MINUTE_MS
    days = (364, 366)
    one = Opening("gra_1", minute, "send", "process", "acme", 1)
    openings.put([one._replace(minute=minute - day * 1440) for day in days])
    rig.parts.upkeep.run()
    assert [row.minute for row in openings.of_grants(["gra_1"])] == [minute - 364 * 1440]


def test_signals_are_kept_for_a_year(rig: Rig) -> None:
    """For the page of who asked, and so that one that is repeated is known."""
    long_ago = now_ms() - RECORDS_DAYS * DAY_MS
    for id_, finished_ms in (("sig_old", long_ago), ("sig_young", now_ms()), ("sig_open", None)):
        once = id_.encode().ljust(16)
        at_ms = finished_ms or long_ago
        old = Signal(
            id_, "google", "verification", once, [], None, "", "", 0, at_ms, at_ms, finished_ms
        )
        Signals(rig.database).store(old)
    rig.parts.upkeep.run()
    with rig.database.read() as connection:
        left = connection.scalars(sa.select(signals.c.id).order_by(signals.c.id)).all()
        rows = connection.scalars(sa.select(due.c.key).where(due.c.kind == SIGNAL)).all()
    assert left == ["sig_open", "sig_young"]
    assert sorted(rows) == left


def test_connect_sessions_go_when_their_time_is_over(rig: Rig) -> None:
    sessions, now = ConnectSessions(rig.database), now_ms()
    for name, until in (("old", now - 1), ("young", now + 60_000)):
        sessions.add(Session(name, "acme", "B", "facebook", "meta", [], None, None, 1, until))
    rig.parts.upkeep.run()
    with rig.database.read() as connection:
        assert [*connection.scalars(sa.select(connect_sessions.c.id))] == ["young"]
