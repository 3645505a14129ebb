"""Looking at connections: what the provider shows, and what becomes of status and feed."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from contracts.errors import NotFound, PermissionMissing, Reauthorize, Retryable, TokenRefused
from storage import sharing
from storage.activity import Activity, ActivityStore
from storage.connect_sessions import Asked, ConnectSessions, Session
from storage.connecting_schema import consents, subscriptions
from storage.connections import Connection, Connections, Grant, new_id
from storage.consenting import Account, Consenting, Given, Made
from storage.database import now_ms
from storage.due import DueRows
from storage.gaps import Gaps, gap
from storage.grants import RECONCILE, REFRESH, Grants, remove_grants
from storage.inspections import Inspections, Subscription
from storage.revocations import REVOKE, Revocations
from storage.schema import connections, grants
from tests.rig import Rig, text
from tests.workers.granted import come_due, consent, said, status, tokens
from tests.workers.pages import FIELDS, SCOPES, Pages, PagesConnector, PagesLogin, meta_settings
from workers.hearing import LEAST_MS
from workers.normalizing import account_details
from workers.scheduler import putting_off

DAY_MS = 86_400_000


@pytest.fixture
def pages() -> Pages:
    return Pages()


@pytest.fixture
def rig(database_url: str, tmp_path: Path, pages: Pages) -> Iterator[Rig]:
    connectors = {"facebook": PagesConnector(meta_settings(), pages)}
    logins = {"meta": PagesLogin(pages)}
    rig = Rig(database_url, tmp_path / "var", logins, connectors=connectors)
    yield rig
    rig.parts.scheduler.stop()
    rig.parts.transport.close()
    rig.close()


def connect(
    rig: Rig, *, features: tuple[str, ...] = ("messages",), tenant: str = "acme", page: str = "10"
) -> tuple[Connection, Grant]:
    """A pending connection as a consent makes it, to be looked at now."""
    connection = rig.connect(tenant, page)
    with rig.database.write() as open_:
        mine = sa.update(connections).where(connections.c.id == connection.id)
        open_.execute(mine.values(status="pending", features=list(features)))
    grant = consent(rig, tokens(None, name=f"of {page}"), [connection], login="meta")
    with rig.database.write() as open_:
        mine = sa.update(grants).where(grants.c.id == grant.id)
        open_.execute(mine.values(scopes=sorted(SCOPES)))
    run(rig)
    look(rig, connection)
    return Connections(rig.database).get(connection.id), Grants(rig.database).get(grant.id)


def look(rig: Rig, connection: Connection) -> None:
    """Have it looked at, and run all that is due."""
    DueRows(rig.database).ask(RECONCILE, connection.id, now_ms() - 1)
    run(rig)


def run(rig: Rig) -> None:
    """Run all that is due, until nothing is."""
    while jobs := rig.parts.scheduler.run_due():
        wait(jobs)


def waits_ms(rig: Rig, connection: Connection, kind: str = RECONCILE) -> int:
    standing = DueRows(rig.database).standing(kind, connection.id)
    assert standing is not None
    assert standing.wait_ms is not None
    return standing.wait_ms


def error_of(rig: Rig, connection: Connection) -> str:
    standing = DueRows(rig.database).standing(RECONCILE, connection.id)
    assert standing is not None
    return standing.last_error


def subscription(rig: Rig) -> Any:
    with rig.database.read() as connection:
        return connection.execute(sa.select(subscriptions)).one()


def shown(rig: Rig, connection: Connection) -> Subscription:
    """How the subscription stands for one of its connections."""
    found = Inspections(rig.database).subscription("facebook", route(rig), connection.id)
    assert found is not None
    return found


def route(rig: Rig, page: str = "10") -> bytes:
    return rig.vault.deployment().hash("route", "facebook", page)


# -- connecting ends with messages flowing ------------------------------------------------------


def test_a_pending_connection_is_subscribed_and_becomes_active(rig: Rig, pages: Pages) -> None:
    page, grant = connect(rig)
    assert (status(rig, page), said(rig)) == (("active", ""), [("activated", None)])
    assert [name for name, _ in pages.calls if name != "refresh"] == [
        "permissions",
        "subscribe",
        "inspect",
    ]
    assert ("subscribe", "10") in pages.calls
    assert set(Grants(rig.database).get(grant.id).scopes) == SCOPES
    assert (subscription(rig).state, subscription(rig).account) == ("on", route(rig))
    assert 0.85 * DAY_MS < waits_ms(rig, page) < 1.15 * DAY_MS
    rig.drain(rig.put(text("10", "7", "flows")))
    assert rig.texts() == ["flows"]


def test_a_later_look_that_finds_all_well_says_nothing(rig: Rig, pages: Pages) -> None:
    page, _ = connect(rig)
    checked = shown(rig, page).checked_at_ms or 0
    pages.names()
    look(rig, page)
    assert pages.names() == ["permissions", "inspect"]
    assert said(rig) == [("activated", None)]
    assert (shown(rig, page).checked_at_ms or 0) >= checked
    assert Gaps(rig.database).waiting() == []


def test_what_passes_is_waited_for_and_changes_nothing(rig: Rig, pages: Pages) -> None:
    pages.fails["subscribe"] = [Retryable("the provider is away")]
    page, _ = connect(rig)
    assert (status(rig, page)[0], said(rig)) == ("pending", [])
    assert error_of(rig, page) == "retryable: the provider is away"
    come_due(rig)
    run(rig)
    assert (status(rig, page)[0], said(rig)) == ("active", [("activated", None)])


def test_a_feature_without_its_scopes_degrades_until_it_has_them(rig: Rig, pages: Pages) -> None:
    page, grant = connect(rig, features=("messages", "comments"))
    reason = "scopes: comments needs pages_read_user_content, not granted"
    assert status(rig, page) == ("degraded", reason)
    assert said(rig) == [("activated", None), ("degraded", reason)]
    degraded = rig.messages()[-1].data
    assert degraded.missing_features == ("comments",)
    assert f"/connect/again/{page.id}." in degraded.reconnect_url
    assert Connections(rig.database).get(page.id).missing == ["comments"]
    pages.scopes.add("pages_read_user_content")
    look(rig, page)
    assert (status(rig, page), said(rig)[2:]) == (("active", ""), [("recovered", None)])
    assert Connections(rig.database).get(page.id).missing == []
    assert "pages_read_user_content" in Grants(rig.database).get(grant.id).scopes


def test_what_was_asked_or_had_and_is_not_granted_counts_as_declined(
    rig: Rig, pages: Pages
) -> None:
    page, grant = connect(rig)
    accept(rig, grant, asked=("pages_messaging", "email"))
    pages.scopes = {"pages_manage_metadata"}
    look(rig, page)
    now = Grants(rig.database).get(grant.id)
    assert (now.scopes, now.declined) == (["pages_manage_metadata"], ["email", "pages_messaging"])
    pages.scopes = {"pages_manage_metadata", "email"}
    look(rig, page)
    assert Grants(rig.database).get(grant.id).declined == ["pages_messaging"]


def accept(rig: Rig, grant: Grant, *, policy: str = "1", asked: tuple[str, ...] = ()) -> None:
    """A consent on record."""
    row = {name: [] for name in ("features", "granted", "declined")} | {
        "id": f"cns_{policy}",
        "tenant": "acme",
        "grant": grant.id,
        "login": "meta",
        "asked": list(asked),
        "policy": policy,
        "at_ms": now_ms(),
    }
    with rig.database.write() as open_:
        open_.execute(sa.insert(consents).values(**row))


def test_without_any_feature_that_works_nothing_is_subscribed(rig: Rig, pages: Pages) -> None:
    pages.scopes = {"public_profile"}
    page, _ = connect(rig)
    assert status(rig, page)[0] == "degraded"
    assert "subscribe" not in pages.names()


# -- subscriptions ------------------------------------------------------------------------------


def test_a_subscription_that_is_gone_is_renewed_and_its_gap_said(rig: Rig, pages: Pages) -> None:
    page, _ = connect(rig)
    good_ms = shown(rig, page).checked_at_ms
    pages.subscribed.clear()
    pages.names()
    look(rig, page)
    assert pages.names() == ["permissions", "inspect", "subscribe", "inspect"]
    assert status(rig, page) == ("active", "")
    (lost,) = Gaps(rig.database).waiting()
    assert (lost.route, lost.from_ms, lost.reason) == (route(rig), good_ms, "unsubscribed")
    rig.parts.gaps.announce()
    message = rig.messages()[-1]
    assert message.type == "cleverbox.connection.gap"
    assert (message.data.stream, message.data.backfilled) == ("messages", False)
    pages.names()
    run(rig)
    assert pages.names() == [], "it has just been seen to"


def test_all_tenants_of_the_account_are_told_of_the_gap(rig: Rig, pages: Pages) -> None:
    mine, _ = connect(rig)
    rig.vault.create_tenant("other")
    other = rig.connect("other", "10")
    with rig.database.write() as open_:
        open_.execute(sa.update(connections).values(receives_from_ms=0))
    pages.subscribed.clear()
    look(rig, mine)
    rig.parts.gaps.announce()
    told = [m.connection for m in rig.messages() if m.type == "cleverbox.connection.gap"]
    assert sorted(told) == sorted([mine.id, other.id])


def test_what_was_received_meanwhile_is_no_gap(rig: Rig, pages: Pages) -> None:
    page, _ = connect(rig)
    rig.drain(rig.put(text("10", "7", "still flows")))
    rig.parts.hearing.flush()
    heard_ms = ActivityStore(rig.database).of([page.id])[page.id].last_at_ms
    pages.subscribed.clear()
    look(rig, page)
    (lost,) = Gaps(rig.database).waiting()
    assert lost.from_ms == heard_ms


def test_a_field_that_cannot_be_had_degrades_until_it_can(rig: Rig, pages: Pages) -> None:
    page, _ = connect(rig)
    good_ms = shown(rig, page).checked_at_ms
    pages.subscribed["10"] = {"messages"}
    pages.keeps = frozenset({"messages"})
    for _ in range(2):
        look(rig, page)
    reason = "subscription: the provider does not show messaging_postbacks"
    assert status(rig, page) == ("degraded", reason)
    assert said(rig)[1:] == [("degraded", reason)]
    stored = shown(rig, page)
    assert (stored.state, stored.missing) == ("missing", ["messaging_postbacks"])
    assert stored.checked_at_ms == good_ms
    pages.keeps = frozenset({"messages", "messaging_postbacks"})
    look(rig, page)
    assert (status(rig, page), said(rig)[2:]) == (("active", ""), [("recovered", None)])
    (lost,) = Gaps(rig.database).waiting()
    assert lost.from_ms == good_ms


def test_a_subscription_that_is_not_allowed_is_said(rig: Rig, pages: Pages) -> None:
    pages.fails["subscribe"] = [PermissionMissing("200, a permission is missing", code="200")]
    page, _ = connect(rig)
    assert status(rig, page)[0] == "degraded"
    assert "the provider does not allow it: 200" in status(rig, page)[1]
    assert [kind for kind, _ in said(rig)] == ["degraded"], "it receives nothing"


def test_an_account_that_is_being_disconnected_waits(rig: Rig, pages: Pages) -> None:
    page, _ = connect(rig)
    pages.subscribed.clear()
    for ending in ("rev_1", None):
        with rig.database.write() as open_:
            open_.execute(sa.update(subscriptions).values(ending=ending))
        look(rig, page)
        assert ("being disconnected" in error_of(rig, page)) == bool(ending)
        assert ("10" in pages.subscribed) == (ending is None)


def test_what_is_paused_is_looked_after_and_stays_so(rig: Rig, pages: Pages) -> None:
    """A subscription that is gone would lose what is to wait."""
    page, _ = connect(rig)
    Connections(rig.database).set_status(page.id, "paused", "by hand")
    pages.subscribed.clear()
    look(rig, page)
    assert "10" in pages.subscribed
    pages.subscribed.clear()
    pages.fails["subscribe"] = [PermissionMissing("200, a permission is missing", code="200")]
    look(rig, page)
    assert status(rig, page) == ("paused", "by hand")
    assert list(Connections(rig.database).get(page.id).causes) == ["subscription"]
    assert [kind for kind, _ in said(rig)] == ["activated"]


@pytest.mark.parametrize("ordered", ["revoking", "revoked"])
def test_what_was_ended_is_left_alone(rig: Rig, pages: Pages, ordered: str) -> None:
    page, _ = connect(rig)
    Connections(rig.database).set_status(page.id, ordered, "by hand")
    pages.names()
    look(rig, page)
    assert (pages.names(), status(rig, page)[0]) == ([], ordered)


def test_a_look_under_way_does_not_subscribe_what_a_revocation_ended(
    rig: Rig, pages: Pages
) -> None:
    """It waits in its call to subscribe while the connection is ordered to end."""
    rows = DueRows(rig.database)

    def ends(call: str) -> None:
        if call == "subscribe":
            (page,) = Connections(rig.database).list()
            with rig.database.write() as open_:  # as its consent did
                sharing.join(open_, sharing.Account("facebook", route(rig)))
            Revocations(rig.database).order(page.id, reason="", by="test")
            (row,) = rows.take([REVOKE], 1)
            with suppress(Retryable), putting_off(rows, row):
                rig.parts.revoker.run(row)

    pages.meanwhile = ends
    page, _ = connect(rig)
    come_due(rig)
    run(rig)
    assert status(rig, page)[0] == "revoked"
    assert pages.subscribed == {}


# -- what tenants share -------------------------------------------------------------------------


def test_another_tenant_that_connects_is_no_gap(rig: Rig, pages: Pages) -> None:
    connect(rig)
    other, _ = connect(rig, tenant="other")
    assert status(rig, other)[0] == "active"
    assert Gaps(rig.database).waiting() == []


def test_one_that_is_connected_again_is_no_gap(rig: Rig, pages: Pages) -> None:
    page, _ = connect(rig)
    with rig.database.write() as open_:
        ending = {"ending": "rev_1"}
        open_.execute(sa.update(subscriptions).values(ending))
        sharing.ended(open_, sharing.Account("facebook", route(rig)), "rev_1")
    assert shown(rig, page).checked_at_ms is None
    pages.subscribed.clear()
    look(rig, page)
    assert Gaps(rig.database).waiting() == []


def test_what_one_tenant_lacks_is_not_told_of_another(rig: Rig, pages: Pages) -> None:
    pages.scopes.add("pages_read_user_content")
    pages.keeps = FIELDS
    mine, _ = connect(rig)
    other, _ = connect(rig, tenant="other", features=("messages", "comments"))
    for _ in range(2):
        seen = shown(rig, mine)
        assert (status(rig, mine)[0], seen.state, seen.missing) == ("active", "on", [])
        assert (seen.detail, seen.checked_at_ms is None) == ("", False)
        seen = shown(rig, other)
        assert (status(rig, other)[0], seen.state) == ("degraded", "missing")
        assert (seen.missing, seen.checked_at_ms) == (["feed"], None)
        assert seen.detail == "the provider does not show feed"
        look(rig, mine)


# -- grants -------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["permissions", "inspect"])
def test_a_token_that_died_needs_its_owner(rig: Rig, pages: Pages, call: str) -> None:
    page, grant = connect(rig)
    pages.fails[call] = [Reauthorize("190/460, the password was changed")]
    look(rig, page)
    assert status(rig, page) == ("needs_reauth", "190/460, the password was changed")
    assert [kind for kind, _ in said(rig)] == ["activated", "needs_reauth"]
    assert f"/connect/again/{page.id}." in rig.messages()[-1].data.reconnect_url
    assert Grants(rig.database).get(grant.id).refusal == "190/460, the password was changed"
    pages.names()
    look(rig, page)
    assert pages.names() == [], "nobody is asked with a token that is refused"
    pages.subscribed.clear()
    consent(rig, tokens(None, name="anew"), [page], login="meta", known=grant)
    run(rig)
    assert status(rig, page) == ("active", "")
    assert said(rig)[2:] == [("recovered", None)]
    assert "10" in pages.subscribed, "what else it lacked was looked at, too"


def test_a_consent_of_another_person_mends_it(rig: Rig, pages: Pages) -> None:
    page, grant = connect(rig)
    pages.fails["permissions"] = [Reauthorize("190/460, the password was changed")]
    look(rig, page)
    assert status(rig, page)[0] == "needs_reauth"
    consent_of_another(rig, Connections(rig.database).get(page.id))
    run(rig)
    assert status(rig, page) == ("active", "")
    assert Connections(rig.database).get(page.id).causes == {}
    assert said(rig)[2:] == [("recovered", None)]
    with pytest.raises(NotFound):
        Grants(rig.database).get(grant.id)


def consent_of_another(rig: Rig, page: Connection) -> None:
    """Somebody else connects the same Page through the pages."""
    sessions, now = ConnectSessions(rig.database), now_ms()
    new = Session("s", "acme", "", "facebook", "meta", ["messages"], None, None, now, now + 60_000)
    browser, state = b"b" * 32, b"s" * 32
    sessions.add(new)
    sessions.ask("s", Asked(browser, state, b"", "", ""))
    answered = sessions.take("meta", state, browser)
    assert answered is not None
    id_, person = new_id("gra"), b"another person.."
    sealed = rig.parts.tokens.seal("acme", id_, tokens(None, name="another's"))
    given = Grant(
        id=id_,
        tenant="acme",
        login="meta",
        subject=person,
        scopes=sorted(SCOPES),
        sealed=sealed,
        version=1,
        created_at_ms=now,
        obtained_at_ms=now,
        person=person,
    )
    account = Account(page, route(rig))
    made = Made(answered, person, [account], [Given(given, [page.id])], SCOPES)
    Consenting(rig.database).connect(made)


def test_a_pending_connection_whose_token_died_needs_its_owner(rig: Rig, pages: Pages) -> None:
    pages.dead = {"of 10"}
    page, _ = connect(rig)
    assert [kind for kind, _ in said(rig)] == ["needs_reauth"]
    assert status(rig, page)[0] == "needs_reauth"


@pytest.mark.parametrize("call", ["subscribe", "inspect"])
def test_when_the_best_grant_died_the_next_one_is_tried(rig: Rig, pages: Pages, call: str) -> None:
    pages.fails["subscribe"] = [Retryable("not yet")]
    page, grant = connect(rig)
    assert status(rig, page)[0] == "pending"
    second = consent(rig, tokens(None, name="second"), [page], login="meta")
    pages.fails[call] = [Reauthorize("190/460, the password was changed")]
    come_due(rig)
    run(rig)
    assert (status(rig, page), said(rig)) == (("active", ""), [("activated", None)])
    assert "10" in pages.subscribed
    refusals = [Grants(rig.database).get(one.id).refusal for one in (grant, second)]
    assert sorted(map(bool, refusals)) == [False, True]


def test_a_grant_that_goes_meanwhile_takes_no_row_with_it(rig: Rig, pages: Pages) -> None:
    page, grant = connect(rig)

    def goes(call: str) -> None:
        with rig.database.write() as open_:
            remove_grants(open_, [grant.id])

    pages.meanwhile = goes
    look(rig, page)
    assert error_of(rig, page).startswith("retryable: ")
    come_due(rig)
    run(rig)
    assert waits_ms(rig, page) > DAY_MS / 2


def test_a_refused_access_token_is_refreshed_and_asked_again(rig: Rig, pages: Pages) -> None:
    page, grant = connect(rig)
    before = Grants(rig.database).get(grant.id).version
    pages.fails["permissions"] = [TokenRefused("invalid_token")]
    pages.names()
    look(rig, page)
    assert pages.names() == ["permissions", "refresh", "permissions", "inspect"]
    assert Grants(rig.database).get(grant.id).version == before + 1
    assert status(rig, page) == ("active", "")


def test_a_refresh_that_tells_other_scopes_has_the_connection_looked_at(
    rig: Rig, pages: Pages
) -> None:
    page, grant = connect(rig)
    pages.scopes = {"pages_manage_metadata"}
    with rig.database.write() as open_:
        aged = rig.parts.tokens.seal("acme", grant.id, tokens(-60, name="of 10"))
        open_.execute(sa.update(grants).values(expires_at_ms=1, sealed=aged))
    DueRows(rig.database).schedule(REFRESH, grant.id, now_ms() - 1)
    run(rig)
    assert status(rig, page)[0] == "degraded"
    assert said(rig)[-1][0] == "degraded"


def test_a_connection_without_a_grant_has_nothing_to_ask(rig: Rig, pages: Pages) -> None:
    page = rig.connect("acme", "11")
    look(rig, page)
    assert (pages.names(), status(rig, page)) == ([], ("active", ""))


def test_a_token_by_hand_is_used_where_its_login_is_on(rig: Rig, pages: Pages) -> None:
    page = rig.connect("acme", "11")
    consent(rig, tokens(None, name="by hand"), [page], login="manual")
    look(rig, page)
    assert pages.names() == ["inspect", "subscribe", "inspect"]
    rig.parts.accounts._logins = {}
    look(rig, page)
    assert (pages.names(), status(rig, page), error_of(rig, page)) == ([], ("active", ""), "")


def test_calls_may_take_longer_than_a_lease(rig: Rig, pages: Pages) -> None:
    page, _ = connect(rig)
    rows = DueRows(rig.database, seconds=3)
    rig.parts.reconciler._rows = rows
    pages.delay_s = 1.0
    pages.subscribed.clear()
    rows.schedule(RECONCILE, page.id, now_ms() - 1)
    (row,) = rows.take([RECONCILE], 1)
    with ThreadPoolExecutor(1) as threads:
        slow = threads.submit(rig.parts.reconciler.run, row)
        while not slow.done():
            assert rows.take([RECONCILE], 1) == [], "another worker took it"
            time.sleep(0.05)
        slow.result()
    assert "10" in pages.subscribed


def test_of_what_is_gone_the_row_goes_too(rig: Rig) -> None:
    page, _ = connect(rig)
    rig.vault.destroy_tenant("acme")
    look(rig, page)
    DueRows(rig.database).schedule(RECONCILE, "con_none", now_ms() - 1)
    run(rig)
    for id_ in (page.id, "con_none"):
        assert DueRows(rig.database).standing(RECONCILE, id_) is None


# -- after a refused span -----------------------------------------------------------------------


def test_a_refused_span_has_its_accounts_looked_at_at_once(rig: Rig, pages: Pages) -> None:
    connect(rig)
    other, _ = connect(rig, page="11")
    pages.subscribed.clear()
    with rig.database.write() as open_:
        open_.execute(sa.update(connections).values(receives_from_ms=0))
    Gaps(rig.database).add([gap(route(rig), now_ms() - 9000, now_ms(), "refused")])
    rig.parts.gaps.announce()
    run(rig)
    assert list(pages.subscribed) == ["10"]
    assert waits_ms(rig, other) > DAY_MS / 2


def test_a_gap_that_waits_for_its_provider_asks_once(rig: Rig, pages: Pages) -> None:
    page, _ = connect(rig)
    with rig.database.write() as open_:
        open_.execute(sa.update(connections).values(receives_from_ms=0))
        elsewhere = {"id": "con_x", "provider": "elsewhere", "account": b"x"}
        row = dict(open_.execute(sa.select(connections)).mappings().first() or {}) | elsewhere
        open_.execute(sa.insert(connections).values(**row))
    Gaps(rig.database).announce_all(now_ms() - 9000, now_ms(), "restored")
    rig.parts.gaps.announce()
    assert waits_ms(rig, page) < 3_700_000
    DueRows(rig.database).schedule(RECONCILE, page.id, now_ms() + DAY_MS)
    rig.parts.gaps.announce()
    assert waits_ms(rig, page) > DAY_MS / 2


# -- silence ------------------------------------------------------------------------------------


def hears(rig: Rig, page: Connection, last: timedelta, longest_h: float = 1) -> None:
    """It heard something each day, the last time `last` ago."""
    last_ms = int((datetime.now(UTC) - last).timestamp() * 1000)
    silences = {str(last_ms // DAY_MS - n): int(longest_h * 3_600_000) for n in range(7)}
    ActivityStore(rig.database).put([Activity(page.id, last_ms, silences)])


def test_an_unusual_silence_degrades_until_something_comes(rig: Rig, pages: Pages) -> None:
    page, _ = connect(rig)
    hears(rig, page, timedelta(hours=1))
    look(rig, page)
    assert LEAST_MS - 3_700_000 < waits_ms(rig, page, "silence") < LEAST_MS - 3_500_000
    with rig.database.write() as open_:  # ten hours later
        open_.execute(sa.text("DELETE FROM activity"))
    hears(rig, page, timedelta(hours=11))
    pages.names()
    DueRows(rig.database).schedule("silence", page.id, now_ms() - 1)
    run(rig)
    assert pages.names() == ["permissions", "inspect"], "the subscription was looked at first"
    now, reason = status(rig, page)
    assert now == "degraded"
    assert reason.startswith("silence: nothing since 20")
    assert reason.endswith("the longest silence in two weeks was 1.0 h")
    look(rig, page)
    assert [kind for kind, _ in said(rig)] == ["activated", "degraded"]
    rig.drain(rig.put(text("10", "7", "again")))
    rig.parts.hearing.flush()
    run(rig)
    assert status(rig, page) == ("active", "")
    assert [kind for kind, _ in said(rig)][2:] == ["recovered"]


def test_a_silence_that_the_account_is_used_to_is_none(rig: Rig, pages: Pages) -> None:
    page, _ = connect(rig)
    hears(rig, page, timedelta(hours=11), longest_h=4)
    DueRows(rig.database).schedule("silence", page.id, now_ms() - 1)
    pages.names()
    run(rig)
    assert (pages.names(), status(rig, page)) == ([], ("active", ""))
    assert waits_ms(rig, page, "silence") > 3_000_000


def test_a_silence_that_a_lost_subscription_explains_is_not_told_beside(
    rig: Rig, pages: Pages
) -> None:
    page, _ = connect(rig)
    hears(rig, page, timedelta(hours=11))
    pages.subscribed.clear()
    pages.keeps = frozenset()
    look(rig, page)
    assert status(rig, page)[1].startswith("subscription: ")
    assert "silence" not in status(rig, page)[1]


def test_a_subscription_found_by_its_account(rig: Rig) -> None:
    connect(rig)
    found = Inspections(rig.database).subscription("facebook", route(rig), "con_none")
    assert found is not None
    assert (found.state, found.missing, found.ending) == ("on", [], None)
    assert Inspections(rig.database).subscription("facebook", b"other", "con_none") is None


# -- the privacy policy -------------------------------------------------------------------------


def test_a_policy_that_changed_is_said_once_for_each_version(rig: Rig) -> None:
    page, grant = connect(rig)
    empty: dict[str, list[str]] = {"features": [], "asked": [], "granted": [], "declined": []}
    row = {"id": "cns_1", "tenant": "acme", "grant": grant.id, "login": "meta", "at_ms": 1}
    with rig.database.write() as open_:
        open_.execute(sa.insert(consents).values({**row, **empty, "policy": "v1"}))
    for version in ("", "v1", "v2", "v2", "v3"):
        rig.parts.policy.version = version
        look(rig, page)
    told = [m.data for m in rig.messages() if m.type == "cleverbox.account.notice"]
    assert [one.notice for one in told] == ["policy_changed", "policy_changed"]
    assert "version v2 now; accepted was version v1" in told[0].detail
    assert Connections(rig.database).get(page.id).noticed == "v3"


def test_what_an_account_is_part_of_is_found_by_the_first_look(rig: Rig, pages: Pages) -> None:
    pages.parents = {"10": "99", "20": "99"}
    for tenant, page in (("acme", "10"), ("zeta", "20")):
        connection, _ = connect(rig, tenant=tenant, page=page)
        assert account_details(connection, rig.vault.tenant(tenant)).parent == "99"
    assert set(pages.subscribed) == {"99"}
    key = rig.vault.deployment().hash("route", "facebook", "99")
    with rig.database.read() as open_:
        assert sharing.users(open_, sharing.Account("facebook", key)) == 2
