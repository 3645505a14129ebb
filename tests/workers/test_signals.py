"""What follows from what providers tell of consents: each kind, for whom it names alone."""

import secrets
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa

from contracts.connector import Item
from contracts.content.account import PrivacyDeletionRequested
from contracts.errors import LeaseLost, Retryable
from storage.connecting_schema import grant_names
from storage.connections import Connection, Connections, Grant, new_id
from storage.database import now_ms
from storage.due import DueRows
from storage.grants import RECONCILE, REFRESH, Grants, Outcome, Renewal, change_grant
from storage.revocations import Revocations
from storage.schema import connection_grants, due, grants
from storage.signals import PERSON, SIGNAL, Signal, Signals
from tests.rig import Rig
from tests.workers.granted import come_due, run_due
from tests.workers.stage import SUBJECT, Stage, count
from token_vault.names import user_names
from workers.consents import Consents
from workers.scheduler import putting_off
from workers.signals import CONSEQUENCES, Heeding


class Telling:
    """A provider tells; a worker heeds."""

    def __init__(self, stage: Stage) -> None:
        self.stage, self.rig = stage, stage.rig
        parts = stage.rig.parts
        self.signals = Signals(self.rig.database)
        self.heeding: Heeding = parts.heeding

    def tell(self, kind: str, subject: str = SUBJECT, **changed: Any) -> Signal:
        now = now_ms()
        names = sorted(user_names(self.rig.vault.deployment(), "world", [subject]))
        whole = {
            "id": f"sig_{secrets.token_hex(8)}",
            "login": "world",
            "kind": kind,
            "once": secrets.token_bytes(16),
            "names": names,
            "code": None,
            "state": "received",
            "detail": "",
            "ended": 0,
            "at_ms": now + 999,
            "received_at_ms": now,
            "finished_at_ms": None,
        }
        return self.signals.store(Signal(**{**whole, **changed}))

    def heed(self, signal: Signal) -> Signal:
        (row,) = DueRows(self.rig.database).take([SIGNAL], 5)
        assert row.key == signal.id
        self.heeding.run(row)
        return self.signals.get(signal.id)

    def ask_deletion(self, **changed: Any) -> Signal:
        """As the edge stores it; a worker tries once."""
        now, id_ = now_ms(), new_id("sig")
        day = datetime.fromtimestamp(now / 1000, UTC).date()
        sealed = self.rig.vault.escrow.seal(day, "", id_, SUBJECT.encode())
        names = sorted(user_names(self.rig.vault.deployment(), "world", [SUBJECT]))
        named = {"names": [*names, (PERSON, self.stage.person().person)], "sealed": sealed}
        whole = {"id": id_, "code": "CODE", "received_at_ms": now, **named, **changed}
        signal = self.tell("deletion", **whole)
        self.work()
        return self.signals.get(signal.id)

    def work(self) -> None:
        """All signals that are due, as the scheduler does."""
        rows = DueRows(self.rig.database)
        while taken := rows.take([SIGNAL], 5):
            for row in taken:
                with suppress(Retryable), putting_off(rows, row):
                    self.heeding.run(row)

    def finish(self) -> None:
        """Revocations and signals, until nothing is left to do."""
        for _ in range(3):
            come_due(self.rig)
            self.stage.worker.work()
            self.work()

    def deletions(self) -> list[tuple[str, str, str]]:
        """Who was told of whose deletion, with which code."""
        asked = (m for m in self.rig.messages() if isinstance(m.data, PrivacyDeletionRequested))
        return sorted((m.tenant, m.data.subject_id, m.data.confirmation_code) for m in asked)

    def status(self, made: Connection) -> str:
        return Connections(self.rig.database).get(made.id).status

    def said(self) -> list[tuple[str, str]]:
        """Types of the feed's messages, by tenant."""
        return [(m.tenant, m.type.removeprefix("cleverbox.")) for m in self.rig.messages()]

    def looked_at(self) -> list[str]:
        query = sa.select(due.c.key).where(due.c.kind == RECONCILE).order_by(due.c.key)
        with self.rig.database.read() as connection:
            return list(connection.scalars(query))


@pytest.fixture
def telling(rig: Rig) -> Telling:
    return Telling(Stage(rig))


def test_who_removes_the_app_ends_every_connection_of_theirs(telling: Telling) -> None:
    stage = telling.stage
    theirs = [stage.connect("acme", "42"), stage.connect("beta", "42"), stage.connect("beta", "43")]
    other = stage.connect("acme", "44", subject="Petro")
    signal = telling.heed(telling.tell("deauthorize"))
    assert (signal.state, signal.ended) == ("done", 3)
    assert [telling.status(made) for made in theirs] == ["revoking"] * 3
    stage.worker.work()
    come_due(telling.rig)  # the consent waits for all that are stopped with its tokens
    stage.worker.work()
    assert [telling.status(made) for made in theirs] == ["revoked"] * 3
    assert telling.status(other) == "active"
    assert stage.world.subscribed == {"44"}
    receipt = Revocations(telling.rig.database).of_connection(theirs[0].id)
    assert receipt is not None
    assert (receipt.requested_by, "removed" in receipt.reason) == ("world", True)


def test_a_deletion_tells_each_tenant_once_whose_and_with_which_code(telling: Telling) -> None:
    telling.stage.connect("acme", "42")
    telling.stage.connect("beta", "42")
    telling.stage.connect("beta", "43")
    signal = telling.ask_deletion()
    assert (signal.state, signal.sealed is None) == ("received", False)
    assert telling.deletions() == [("acme", SUBJECT, "CODE"), ("beta", SUBJECT, "CODE")]
    telling.finish()
    done = telling.signals.get(signal.id)
    assert (done.state, done.ended, done.sealed) == ("done", 3, None)
    assert len(telling.deletions()) == 2, "and not again, however often it is tried"


def test_a_deletion_after_the_removal_is_told_too(telling: Telling) -> None:
    """As Meta does it: the app is removed first, and grants and tokens are gone by then."""
    made = telling.stage.connect("acme", "42")
    telling.heed(telling.tell("deauthorize"))
    telling.stage.worker.work()
    assert (telling.status(made), telling.stage.grants("acme")) == ("revoked", 0)
    signal = telling.ask_deletion()
    assert telling.deletions() == [("acme", SUBJECT, "CODE")]
    assert (signal.state, signal.ended) == ("done", 1)


def test_a_deletion_whose_person_opens_no_more_ends_all_the_same(telling: Telling) -> None:
    made = telling.stage.connect("acme", "42")
    telling.ask_deletion(sealed=b"not ours")
    telling.finish()
    assert (telling.status(made), telling.deletions()) == ("revoked", [])


def test_a_connection_that_another_carries_goes_on_without_the_grant(telling: Telling) -> None:
    stage = telling.stage
    made = stage.connect("acme", "42")
    second = stage.grant("acme", stage.world.consent("Petro", "Petro's"), "Petro")
    with telling.rig.database.write() as connection:
        connection.execute(sa.insert(grants).values(second._asdict()))
        link = {"connection": made.id, "grant": second.id}
        connection.execute(sa.insert(connection_grants).values(link))
    signal = telling.heed(telling.tell("deauthorize"))
    assert (signal.ended, telling.status(made)) == (0, "active")
    left = Grants(telling.rig.database).of_connection(made.id)
    assert [grant.id for grant in left] == [second.id]
    assert telling.looked_at() == [made.id], "whether that one suffices, the provider is asked"


def test_a_grant_of_an_ended_and_another_connection_leaves_both(telling: Telling) -> None:
    """One grant carries two connections, of which the second has another grant as well."""
    stage = telling.stage
    first, both = stage.connect("acme", "42"), stage.connect("acme", "43", "Petro")
    (dead,) = Grants(telling.rig.database).of_connection(first.id)
    with telling.rig.database.write() as connection:
        link = {"connection": both.id, "grant": dead.id}
        connection.execute(sa.insert(connection_grants).values(link))
    telling.heed(telling.tell("deauthorize"))
    stage.worker.work()
    assert (telling.status(first), telling.status(both)) == ("revoked", "active")
    left = Grants(telling.rig.database).of_connection(both.id)
    assert dead.id not in [grant.id for grant in left]
    assert stage.grants("acme") == 1


def test_a_consent_given_since_is_not_meant(telling: Telling) -> None:
    """A replayed or late signal must not end what was connected after it was said."""
    made = telling.stage.connect("acme")
    signal = telling.heed(telling.tell("deauthorize", at_ms=now_ms() - 60_000))
    assert (signal.ended, telling.status(made)) == (0, "active")


def test_whom_we_do_not_know_costs_nothing(telling: Telling) -> None:
    made = telling.stage.connect("acme")
    signal = telling.heed(telling.tell("deletion", subject="a stranger", code="X"))
    assert (signal.state, signal.ended, telling.status(made)) == ("done", 0, "active")
    assert telling.deletions() == []
    nobody = telling.heed(telling.tell("deauthorize", names=[]))
    assert (nobody.ended, telling.status(made)) == (0, "active")


@pytest.mark.parametrize("kind", ["tokens-revoked", "token-revoked"])
def test_dead_tokens_are_destroyed_and_the_owner_may_consent_again(
    telling: Telling, kind: str
) -> None:
    made = telling.stage.connect("acme")
    telling.heed(telling.tell(kind))
    assert telling.status(made) == "needs_reauth"
    (grant,) = Grants(telling.rig.database).of_connection(made.id)
    assert (grant.sealed, bool(grant.refusal)) == (b"", True)
    run_due(telling.rig)
    refreshing = DueRows(telling.rig.database).standing(REFRESH, grant.id)
    assert refreshing is None, "there is nothing to refresh"
    assert ("acme", "connection.needs_reauth") in telling.said()


def test_an_account_taken_over_is_secured_and_another_reason_reviewed(telling: Telling) -> None:
    taken, shut = telling.stage.connect("acme"), telling.stage.connect("beta", "43", "Petro")
    telling.heed(telling.tell("account-disabled", detail="hijacking"))
    telling.heed(telling.tell("account-disabled", subject="Petro", detail="bulk-account"))
    assert (telling.status(taken), telling.status(shut)) == ("needs_reauth", "active")
    assert ("beta", "account.notice") in telling.said()
    assert telling.looked_at() == [shut.id], "and the provider is asked"


@pytest.mark.parametrize("kind", ["account-enabled", "credential-change-required"])
def test_news_of_the_account_are_told_and_nothing_is_deleted(telling: Telling, kind: str) -> None:
    made = telling.stage.connect("acme")
    telling.heed(telling.tell(kind))
    (notice,) = (m for m in telling.rig.messages() if m.type == "cleverbox.account.notice")
    assert notice.data.notice == kind
    assert telling.looked_at() == [made.id]
    assert telling.stage.grants("acme") == 1


def test_revoked_sessions_have_the_provider_asked(telling: Telling) -> None:
    made = telling.stage.connect("acme")
    telling.heed(telling.tell("sessions-revoked"))
    assert (telling.looked_at(), telling.said()) == ([made.id], [])


def test_a_verification_is_done_at_once(telling: Telling) -> None:
    assert telling.heed(telling.tell("verification", names=[])).state == "done"


def test_every_kind_that_is_told_has_a_consequence() -> None:
    from connectors.kit.google.security_events import EVENTS
    from gateway.signals.meta import DEAUTHORIZE, DELETION

    told = {ours for ours, _ in EVENTS.values()} | {DEAUTHORIZE, DELETION}
    assert told == set(CONSEQUENCES)


def test_a_refresh_under_way_does_not_bring_dead_tokens_back(telling: Telling) -> None:
    """Its answer left the provider before the tokens were revoked there."""
    telling.stage.connect("acme")
    rig = telling.rig
    (row,) = DueRows(rig.database).take([REFRESH], 5)
    with rig.database.read() as connection:
        before = Grant(*connection.execute(sa.select(grants)).one())
    telling.heed(telling.tell("tokens-revoked"))
    late = Renewal(before.id, before.version, b"newer", now_ms(), None)
    with pytest.raises(LeaseLost), rig.database.write() as connection:
        Outcome(row, None, renewal=late).commit(connection)
    with pytest.raises(LeaseLost), rig.database.write() as connection:
        change_grant(connection, before.id, before.version, {"sealed": b"newer"})


@pytest.mark.parametrize("kind", [*CONSEQUENCES])
def test_heeded_twice_is_heeded_once(telling: Telling, kind: str) -> None:
    """A worker that is killed before its last commit: another does all of it again."""
    telling.stage.connect("acme")
    signal = telling.tell(kind)
    telling.heed(signal)
    telling.finish()
    said, tokens = telling.said(), telling.stage.grants("acme")
    DueRows(telling.rig.database).schedule(SIGNAL, signal.id, now_ms())
    telling.heed(signal)
    assert len(telling.said()) == len(said)
    assert telling.stage.grants("acme") == tokens


def test_the_same_told_again_is_one_signal(telling: Telling) -> None:
    first = telling.tell("deletion", once=b"once" * 4, code="ONE")
    assert telling.tell("deletion", once=b"once" * 4, code="TWO") == first
    assert telling.signals.by_code("ONE").id == first.id


def test_changed_permissions_have_the_persons_connections_looked_at(telling: Telling) -> None:
    """They come by webhook, and their item names a person, no account."""
    made = telling.stage.connect("acme")
    telling.stage.connect("beta", "43", "Petro")
    rig = telling.rig
    consents = Consents(rig.vault, {"world.permissions": "world"})
    rig.parts.router.consents = consents
    rig.drain(rig.put_items([Item("world.permissions", SUBJECT, b"{}")]))
    assert telling.looked_at() == [made.id]
    with rig.database.read() as connection:
        unrouted = connection.exec_driver_sql("SELECT count(*) FROM unrouted").scalar()
    assert unrouted == 0
    assert count(rig.database, grant_names) == 2
