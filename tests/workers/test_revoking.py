"""The revoking saga: what it ends, what it keeps for others, and that it comes to its end."""

import threading
import time

import pytest
import sqlalchemy as sa

from contracts.errors import BeingRevoked, Conflict, LeaseLost
from contracts.tokens import Secret
from gateway.connecting import Connecting, ManualAccount
from storage import sharing
from storage.connecting_schema import grant_names, people, subscriptions
from storage.connections import Connection, Connections
from storage.database import now_ms
from storage.due import DueRows
from storage.grants import Grants
from storage.revocation_steps import Revocation, Step
from storage.revocations import REVOKE, Revocations
from storage.schema import connection_grants, connections, due, escrow, grants
from storage.sending_schema import threads
from tests.rig import Rig, text
from tests.workers.granted import come_due
from tests.workers.killing import Fragile, Killed
from tests.workers.stage import PAGE, SUBJECT, Stage, count
from workers.revoking import PATIENCE


@pytest.fixture
def stage(rig: Rig) -> Stage:
    return Stage(rig)


def outcomes(revocation: Revocation) -> dict[str, str]:
    return {step.step: step.outcome for step in revocation.steps}


def test_the_last_user_ends_everything(stage: Stage) -> None:
    made = stage.connect("acme")
    receipt = stage.revoke(made)
    assert stage.status(made) == "revoked"
    assert (stage.world.subscribed, stage.world.consents) == (set(), {})
    assert stage.grants("acme") == 0
    assert count(stage.rig.database, grant_names) == 0
    assert outcomes(receipt) == {
        "subscription": "ended",
        "consent": "ended",
        "tokens": "done",
        "retention": "done",
        "receipt": "done",
    }
    assert receipt.state == "done"
    assert all(step.at_ms for step in receipt.steps)
    (told,) = stage.said()
    assert (told.connection, told.data.reason) == (made.id, "the owner asked")
    with stage.rig.database.read() as connection:
        left = connection.execute(sa.select(due).where(due.c.kind == "refresh")).all()
    assert left == []


def test_it_receives_nothing_from_the_order_on(stage: Stage) -> None:
    made = stage.connect("acme")
    stage.order(made)
    stage.rig.drain(stage.rig.put(text(PAGE, "7", "too late")))
    stage.worker.work()
    assert stage.rig.texts() == []


def test_what_others_use_is_kept_until_they_leave(stage: Stage) -> None:
    """One Page and one person in two tenants."""
    first, second = stage.connect("acme"), stage.connect("beta")
    receipt = stage.revoke(first)
    assert (outcomes(receipt)["subscription"], outcomes(receipt)["consent"]) == ("kept", "kept")
    assert stage.world.subscribed == {PAGE}
    assert SUBJECT in stage.world.consents
    assert (stage.grants("acme"), stage.grants("beta")) == (0, 1)
    stage.rig.drain(stage.rig.put(text(PAGE, "7", "for beta")))
    received = [m for m in stage.rig.messages() if m.type == "cleverbox.message.received"]
    assert [m.tenant for m in received] == ["beta"]
    (grant,) = Grants(stage.rig.database).of_connection(second.id)
    stage.rig.parts.refresher.fresh(grant.id, job="test")  # it still calls out

    receipt = stage.revoke(second)
    assert (outcomes(receipt)["subscription"], outcomes(receipt)["consent"]) == ("ended", "ended")
    assert (stage.world.subscribed, stage.world.consents) == (set(), {})


def test_a_person_with_another_page_of_the_tenant_stays(stage: Stage) -> None:
    stage.connect("acme", "43")
    receipt = stage.revoke(stage.connect("acme", "42"))
    assert (outcomes(receipt)["subscription"], outcomes(receipt)["consent"]) == ("ended", "kept")
    assert stage.world.subscribed == {"43"}


def test_a_token_brought_by_hand_ends_too(stage: Stage) -> None:
    """Nobody consented through us; there is a token and perhaps nobody else."""
    connecting = Connecting(Connections(stage.rig.database), stage.rig.vault, ("facebook",))
    account = ManualAccount("acme", "facebook", PAGE)
    made = connecting.add(account, Secret("by hand")).connection
    receipt = stage.revoke(made)
    assert outcomes(receipt) == {
        "subscription": "none",
        "tokens": "done",
        "retention": "done",
        "receipt": "done",
    }
    assert stage.grants("acme") == 0


def test_a_dead_token_holds_nothing_up(stage: Stage) -> None:
    made = stage.connect("acme")
    stage.world.consents.clear()
    receipt = stage.revoke(made)
    assert stage.status(made) == "revoked"
    assert outcomes(receipt)["subscription"] == "refused"
    assert "works no more" in receipt.steps[0].detail


def test_a_grant_that_is_refused_leaves_it_to_the_others(stage: Stage) -> None:
    """Two people had connected the Page; what one of them gave works no more."""
    made = stage.connect("acme")
    given = stage.world.consent("Petro", "Petro's")
    second = stage.grant("acme", given, "Petro")
    (first,) = Grants(stage.rig.database).of_connection(made.id)
    with stage.rig.database.write() as connection:
        sharing.join(connection, stage.person("Petro"), second.obtained_at_ms or 0)
        connection.execute(sa.insert(grants).values(second._asdict()))
        link = {"connection": made.id, "grant": second.id}
        connection.execute(sa.insert(connection_grants).values(link))
        dead = sorted([first.id, second.id])[0]
        refused = sa.update(grants).where(grants.c.id == dead)
        connection.execute(refused.values(refusal="the password was changed", sealed=b""))
    receipt = stage.revoke(made)
    assert outcomes(receipt)["subscription"] == "ended"
    assert stage.world.subscribed == set()


def test_a_fault_of_ours_does_not_keep_the_tokens_alive(stage: Stage) -> None:
    made = stage.connect("acme")

    def fault(_: str) -> None:
        raise KeyError("a bug")

    stage.world.called = fault
    receipt = stage.revoke(made)
    assert (outcomes(receipt)["subscription"], outcomes(receipt)["tokens"]) == ("waiting", "done")
    assert stage.grants("acme") == 0
    assert "KeyError" in receipt.steps[0].detail
    stage.world.called = lambda _: None
    come_due(stage.rig)
    stage.worker.work()
    assert stage.status(made) == "revoked"


def test_the_consent_waits_for_the_subscription_for_a_day(stage: Stage) -> None:
    """Ending it would kill the token with which the subscription is ended."""
    made = stage.connect("acme")
    stage.world.away.add("unsubscribe")
    receipt = stage.revoke(made)
    assert (outcomes(receipt)["consent"], SUBJECT in stage.world.consents) == ("waiting", True)
    yesterday = now_ms() - 86_400_000
    with stage.rig.database.write() as connection:
        connection.exec_driver_sql(f"UPDATE revocations SET created_at_ms = {yesterday}")  # noqa: S608
    come_due(stage.rig)
    stage.worker.work()
    assert stage.world.consents == {}


def test_what_was_wrong_with_it_is_forgotten(stage: Stage) -> None:
    """Connected anew, it begins without the causes of grants that are gone."""
    made = stage.connect("acme")
    with stage.rig.database.write() as connection:
        wrong = {"status": "needs_reauth", "causes": {"refused:gra_gone": "the password"}}
        connection.execute(sa.update(connections).values(wrong))
    stage.revoke(made)
    assert Connections(stage.rig.database).get(made.id).causes == {}


def test_the_journal_says_it_once(stage: Stage) -> None:
    """However often the saga is begun again."""
    made = stage.connect("acme")
    stage.world.up = False
    stage.revoke(made)
    come_due(stage.rig)
    stage.worker.work()
    noted = [one for one in stage.rig.vault.erasures() if one.detail == made.id]
    assert len(noted) == 1


def test_ordering_twice_is_one_revocation_and_none_of_what_is_revoked(stage: Stage) -> None:
    made = stage.connect("acme")
    assert stage.order(made).id == stage.order(made).id
    stage.worker.work()
    with pytest.raises(Conflict):
        stage.order(made)
    assert len(stage.said()) == 1


def test_with_whom_it_talked_goes_with_it(stage: Stage) -> None:
    made, other = stage.connect("acme"), stage.rig.connect("acme", "11")
    stage.rig.drain(stage.rig.put(*(text(page, "7", "hi") for page in (PAGE, "11"))))
    assert count(stage.rig.database, threads) == 2
    stage.revoke(made)
    with stage.rig.database.read() as connection:
        assert connection.scalars(sa.select(threads.c.connection)).all() == [other.id]


def test_a_plan_changes_nothing(stage: Stage) -> None:
    made, _ = stage.connect("acme"), stage.connect("beta")
    planned = Revocations(stage.rig.database).plan(made.id)
    assert [(step.step, others) for step, others in planned] == [
        ("subscription", 1),
        ("consent", 1),
        ("tokens", 0),
        ("retention", 0),
        ("receipt", 0),
    ]
    assert stage.status(made) == "active"
    assert stage.world.calls == []


def test_while_the_provider_is_away_tokens_are_in_escrow_alone(stage: Stage) -> None:
    made = stage.connect("acme")
    stage.world.up = False
    receipt = stage.revoke(made)
    assert stage.status(made) == "revoking"
    assert (outcomes(receipt)["subscription"], outcomes(receipt)["tokens"]) == ("waiting", "done")
    assert stage.grants("acme") == 0
    assert count(stage.rig.database, escrow) == 1
    stage.rig.vault.destroy_tenant("acme")  # even then

    stage.world.up = True
    come_due(stage.rig)
    stage.worker.work()
    receipt = Revocations(stage.rig.database).get(receipt.id)
    assert stage.status(made) == "revoked"
    assert outcomes(receipt)["subscription"] == outcomes(receipt)["consent"] == "ended"
    assert (stage.world.subscribed, stage.world.consents) == (set(), {})
    assert count(stage.rig.database, escrow) == 0


def test_a_provider_that_stays_away_is_given_up_and_the_receipt_says_so(stage: Stage) -> None:
    made = stage.connect("acme")
    stage.world.up = False
    receipt = stage.revoke(made)
    long_ago = now_ms() - int(PATIENCE.total_seconds() * 1000)
    with stage.rig.database.write() as connection:
        connection.exec_driver_sql(f"UPDATE revocations SET created_at_ms = {long_ago}")  # noqa: S608
    come_due(stage.rig)
    stage.worker.work()
    receipt = Revocations(stage.rig.database).get(receipt.id)
    assert stage.status(made) == "revoked"
    assert outcomes(receipt)["subscription"] == outcomes(receipt)["consent"] == "given up"
    assert "away" in receipt.steps[0].detail
    with stage.rig.database.read() as connection:
        assert connection.scalar(sa.select(people.c.ending)) is None


@pytest.mark.parametrize("up", [True, False], ids=["up", "away"])
@pytest.mark.parametrize("when", ["commit", "call"])
def test_killed_after_every_step_it_ends_revoked(stage: Stage, up: bool, when: str) -> None:
    """However often: each time a step further, until nothing is left to be killed at."""
    for after in range(1, 20):
        tenant = f"tenant-{when}-{up}-{after}".lower()
        page = str(1000 + after)
        made = stage.connect(tenant, page, subject=tenant)
        ordered = stage.order(made)
        stage.world.up = up
        killed = _killed(stage, after, when)
        come_due(stage.rig)
        stage.worker.work()  # another worker goes on
        stage.world.up = True
        come_due(stage.rig)
        stage.worker.work()
        receipt = Revocations(stage.rig.database).get(ordered.id)
        assert stage.status(made) == "revoked"
        assert receipt.state == "done"
        assert all(step.outcome and step.at_ms for step in receipt.steps)
        assert stage.grants(tenant) == 0
        assert page not in stage.world.subscribed
        assert tenant not in stage.world.consents
        assert [m.connection for m in stage.said()].count(made.id) == 1
        assert count(stage.rig.database, escrow) == 0
        if not killed:
            assert after > 1, "it was killed at least once"
            return
    pytest.fail("it was never done")


def _killed(stage: Stage, after: int, when: str) -> bool:
    """Run a worker that is killed after so many commits, or calls to the provider."""
    fragile = Fragile(stage.rig.database.url)
    worker = stage.another_worker(fragile)
    left = after

    def count_down(_: str) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise Killed

    if when == "commit":
        fragile.after = after
    else:
        stage.world.called = count_down
    try:
        worker.work()
    except Killed:
        return True
    finally:
        stage.world.called = lambda _: None
        fragile.close()
    return False


def test_a_connect_before_the_decision_is_kept(stage: Stage) -> None:
    first = stage.connect("acme")
    stage.order(first)
    second = stage.connect("beta")
    stage.worker.work()
    assert stage.world.subscribed == {PAGE}
    assert stage.status(second) == "active"


def test_a_connect_after_the_decision_is_refused_until_it_has_ended(stage: Stage) -> None:
    first = stage.connect("acme")
    ordered = stage.order(first)
    refused = []

    def meanwhile(_: str) -> None:
        for shared in (stage.account(), stage.person()):
            try:
                with stage.rig.database.write() as connection:
                    sharing.join(connection, shared, now_ms())
            except BeingRevoked:
                refused.append(type(shared).__name__)

    stage.world.called = meanwhile
    stage.worker.work()
    assert refused[:1] == ["Account"]
    assert "Person" in refused
    assert Revocations(stage.rig.database).get(ordered.id).state == "done"
    with stage.rig.database.write() as connection, pytest.raises(BeingRevoked):
        sharing.join(connection, stage.person(), now_ms() - 10_000)  # a token of before
    time.sleep(0.005)
    with stage.rig.database.write() as connection:
        sharing.join(connection, stage.account())
        sharing.join(connection, stage.person(), now_ms())
    with stage.rig.database.read() as connection:
        state = connection.scalar(
            sa.select(subscriptions.c.state).where(
                subscriptions.c.account == stage.account().account
            )
        )
    assert state == "off", "to be subscribed anew"


def test_connects_that_race_the_last_revoke_end_working_or_refused(stage: Stage) -> None:
    """Both at once, many times: never connected with nothing at the provider."""
    for round_ in range(12):
        page, subject = str(500 + round_), f"racer-{round_}"
        first = stage.connect("acme", page, subject)
        stage.order(first)
        started = threading.Barrier(2)
        second: list[Connection | None] = []

        def racer(page: str = page, subject: str = subject) -> None:
            started.wait()  # noqa: B023
            second.append(_joining(stage, page, subject))  # noqa: B023

        thread = threading.Thread(target=racer)
        thread.start()
        started.wait()
        stage.worker.work()
        thread.join()
        come_due(stage.rig)
        stage.worker.work()
        assert stage.status(first) == "revoked"
        if second[0] is not None:
            assert subject in stage.world.consents, "connected, and it works"


def _joining(stage: Stage, page: str, subject: str) -> Connection | None:
    """As the connect page does: consent first, then one transaction with all of it."""
    made = stage.rig.connect("beta", page)
    its = sa.update(connections).where(connections.c.id == made.id)
    with stage.rig.database.write() as connection:
        connection.execute(its.values(status="revoked"))  # it was there once
    given = stage.world.consent(subject, f"beta's for {page}")
    grant = stage.grant("beta", given, subject)
    try:
        with stage.rig.database.write() as connection:
            sharing.join(connection, stage.person(subject), grant.obtained_at_ms or 0)
            sharing.join(connection, stage.account(page))
            connection.execute(its.values(status="active"))
            connection.execute(sa.insert(grants).values(grant._asdict()))
            link = {"connection": made.id, "grant": grant.id}
            connection.execute(sa.insert(connection_grants).values(link))
    except BeingRevoked:
        return None
    return made


def test_steps_of_a_row_that_is_anothers_by_now_are_refused(stage: Stage) -> None:
    made = stage.connect("acme")
    ordered = stage.order(made)
    (row,) = DueRows(stage.rig.database).take([REVOKE], 1)
    stale = row._replace(ticket=row.ticket + 1)
    with pytest.raises(LeaseLost):
        Revocations(stage.rig.database).decide(stale, ordered, Step(*ordered.steps[0]), 60)
