"""Grants: newer tokens by compare-and-swap, and their connections with them or not at all."""

from functools import partial

import pytest

from contracts.errors import Conflict, LeaseLost, NotFound
from storage.connections import Connection, Connections, Grant
from storage.cursors import BEGINNING
from storage.database import Database, now_ms
from storage.drain import DrainStore
from storage.due import DueRows, Taken
from storage.grants import REFRESH, Grants, Meanwhile, Outcome, Renewal, Turned
from storage.log import MessageLog
from storage.turns import Turn
from tests.storage.rows import append, digest

OLD = Grant(
    id="gra_1",
    tenant="acme",
    login="google",
    subject=digest("subject"),
    scopes=["mail"],
    declined=[],
    sealed=b"old",
    version=1,
    created_at_ms=1,
    obtained_at_ms=1,
    expires_at_ms=2,
)
CON_A = Connection("con_a", "acme", "facebook", b"", b"", "active", "", 0, 0, 0)
NEEDS = Turned(CON_A, "needs_reauth", "invalid_grant", {"refused:gra_1": "invalid_grant"}, [])


@pytest.fixture
def held(connected: Database) -> Taken:
    """The row of the grant of `con_a`, held."""
    Grants(connected).consented(OLD, ["con_a"])
    (row,) = DueRows(connected).take([REFRESH], 1)
    return row


def _write(database: Database, first: Outcome | Meanwhile) -> None:
    DrainStore(database).write(Turn(first=first.commit, appends=[append()]))


def test_newer_tokens_count_the_version_on(connected: Database, held: Taken) -> None:
    grants = Grants(connected)
    renewal = Renewal(OLD.id, 1, b"new", 5, 9, {"b", "a"})
    _write(connected, Outcome(held, now_ms() + 60_000, renewal=renewal))
    new = OLD._replace(
        sealed=b"new", version=2, obtained_at_ms=5, expires_at_ms=9, scopes=["a", "b"]
    )
    assert grants.get(OLD.id) == new
    assert grants.find("acme", "google", OLD.subject) == new
    assert grants.find("other", "google", OLD.subject) is None
    with pytest.raises(NotFound):
        grants.get("gra_none")


def test_an_older_version_is_not_written_over_a_newer(connected: Database, held: Taken) -> None:
    commit = partial(_write, connected)
    commit(Outcome(held, now_ms() - 1, renewal=Renewal(OLD.id, 1, b"new", 5, 9)))
    (again,) = DueRows(connected).take([REFRESH], 1)
    for late in (
        Outcome(held, None, renewal=Renewal(OLD.id, 2, b"late", 5, 9)),
        Outcome(again, None, renewal=Renewal(OLD.id, 1, b"late", 5, 9)),
        Outcome(again, None, [NEEDS], refused=(OLD, "late")),
        Meanwhile(held, [NEEDS]),
    ):
        with pytest.raises(LeaseLost):
            commit(late)
    stored = Grants(connected).get(OLD.id)
    assert (stored.sealed, stored.version, stored.refusal) == (b"new", 2, "")
    assert Connections(connected).get("con_a").status == "active"
    assert len(MessageLog(connected).read(BEGINNING, 10).rows) == 1, "what was late said something"


def test_a_refusal_is_committed_with_its_connections_and_messages(
    connected: Database, held: Taken
) -> None:
    _write(connected, Outcome(held, None, [NEEDS], refused=(OLD, "invalid_grant")))
    assert Grants(connected).get(OLD.id).refusal == "invalid_grant"
    found = Connections(connected).get("con_a")
    assert (found.status, found.status_reason) == ("needs_reauth", "invalid_grant")
    assert len(MessageLog(connected).read(BEGINNING, 10).rows) == 1
    assert found.causes == {"refused:gra_1": "invalid_grant"}


def test_a_connection_that_turned_meanwhile_undoes_all_of_it(
    connected: Database, held: Taken
) -> None:
    Connections(connected).set_status("con_a", "paused", "by hand")
    with pytest.raises(Conflict):
        _write(connected, Outcome(held, None, [NEEDS], refused=(OLD, "invalid_grant")))
    assert Grants(connected).get(OLD.id).refusal == ""
    assert Connections(connected).get("con_a").status == "paused"
    assert MessageLog(connected).read(BEGINNING, 10).rows == []
    DueRows(connected).finish(held, None)  # still held


def test_a_consent_ends_what_was_refused(connected: Database, held: Taken) -> None:
    _write(connected, Outcome(held, None, refused=(OLD, "invalid_grant")))
    again = OLD._replace(sealed=b"consented", obtained_at_ms=7, expires_at_ms=None)
    Grants(connected).consented(again, ["con_a"])
    assert Grants(connected).get(OLD.id) == again._replace(version=2)
    assert [x.id for x in Grants(connected).carried(OLD.id)] == ["con_a"]
    assert len(DueRows(connected).take([REFRESH], 5)) == 1


def test_a_mark_before_the_call_is_for_who_holds_the_row(connected: Database, held: Taken) -> None:
    grants = Grants(connected)
    grants.asking(held, OLD)
    assert grants.get(OLD.id).asked_at_ms is not None
    with pytest.raises(LeaseLost):
        grants.asking(held, OLD._replace(version=2))
    with pytest.raises(LeaseLost):
        grants.asking(held._replace(ticket=1), OLD)
    _write(connected, Outcome(held, None, renewal=Renewal(OLD.id, 1, b"new", 5, 9)))
    assert grants.get(OLD.id).asked_at_ms is None
