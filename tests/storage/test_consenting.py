"""What a consent makes: all of it or nothing, ids that stay, and nothing of what came in before."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from contracts.errors import BeingRevoked, Conflict, NotFound
from storage import sharing
from storage.connect_sessions import GRANTED, Asked, ConnectSessions, Session
from storage.connecting_schema import consents, grant_names, people, subscriptions
from storage.connections import Connection, Connections, Grant
from storage.consenting import Account, Consenting, Given, Made
from storage.database import Database, now_ms
from storage.due import DueRows
from storage.grants import RECONCILE, REFRESH, Grants
from storage.schema import connections, grants
from tests.storage.rows import digest

LONG_AGO = 1_000


def session(database: Database, name: str = "s", tenant: str = "acme") -> Session:
    """A session in which accounts are to be picked."""
    sessions, now = ConnectSessions(database), now_ms()
    new = Session(
        id=name,
        tenant=tenant,
        business="Bakery",
        provider="facebook",
        login="meta",
        features=["messages"],
        return_url=None,
        connection=None,
        created_at_ms=now,
        expires_at_ms=now + 60_000,
    )
    sessions.add(new)
    browser, state = digest(f"browser {name}"), digest(f"state {name}")
    sessions.ask(name, Asked(browser, state, b"verifier", "v7", "uk"))
    taken = sessions.take("meta", state, browser)
    assert taken is not None
    assert sessions.grant(taken, b"granted")
    return sessions.get(name)


def made(of: Session, id_: str = "con_1", *, grant: str = "gra_1", obtained: int = 0) -> Made:
    """A consent to one Page."""
    now = now_ms()
    connection = Connection(
        id=id_,
        tenant=of.tenant,
        provider="facebook",
        account=digest(f"account {of.tenant}"),
        sealed=b"details",
        status="pending",
        status_reason="",
        created_at_ms=now,
        changed_at_ms=now,
        receives_from_ms=now,
        features=["messages"],
        missing=["comments"],
    )
    given = Grant(
        id=grant,
        tenant=of.tenant,
        login="meta",
        subject=digest(f"subject {of.tenant}"),
        scopes=["messaging"],
        sealed=b"tokens",
        version=1,
        created_at_ms=now,
        obtained_at_ms=obtained or now,
        declined=["comments"],
        person=digest("person"),
    )
    names = {("user", digest("user"))}
    return Made(
        session=of,
        person=digest("person"),
        accounts=[Account(connection, digest("route"))],
        given=[Given(given, [id_], names)],
        asked={"messaging", "comments"},
    )


def set_(database: Database, **values: object) -> None:
    with database.write() as connection:
        connection.execute(sa.update(connections).values(values))


def test_it_makes_everything_at_once(database: Database) -> None:
    began = now_ms()
    assert Consenting(database).connect(made(session(database))) == ["con_1"]
    one = Connections(database).get("con_1")
    assert (one.status, one.features, one.missing) == ("pending", ["messages"], ["comments"])
    assert one.receives_from_ms >= began
    (grant,) = Grants(database).of_connection("con_1")
    assert (grant.declined, grant.person) == (["comments"], digest("person"))
    rows = DueRows(database)
    for kind, key in ((REFRESH, "gra_1"), (RECONCILE, "con_1")):
        assert rows.take_now(kind, key) is not None
    with database.read() as connection:
        record = connection.execute(sa.select(consents)).one()
        assert (record.grant, record.policy, record.asked) == (
            "gra_1",
            "v7",
            ["comments", "messaging"],
        )
        assert connection.execute(sa.select(grant_names)).one().name == digest("user")
        assert connection.scalar(sa.select(people.c.person)) == digest("person")
        assert connection.scalar(sa.select(subscriptions.c.state)) == "wanted"
    done = ConnectSessions(database).get("s")
    assert (done.stage, done.sealed, done.connected) == ("connected", None, ["con_1"])


@pytest.mark.parametrize(
    ("was", "becomes", "anew"),
    [
        ("pending", "pending", False),
        ("active", "active", False),
        ("degraded", "degraded", False),
        ("needs_reauth", "needs_reauth", False),
        ("paused", "paused", False),
        ("revoked", "pending", True),
    ],
)
def test_a_known_account_keeps_its_connection(
    database: Database, was: str, becomes: str, anew: bool
) -> None:
    consenting = Consenting(database)
    consenting.connect(made(session(database)))
    set_(database, status=was, receives_from_ms=LONG_AGO, features=["comments"], missing=[])
    consenting.connect(made(session(database, "again")))
    one = Connections(database).get("con_1")
    assert one.status == becomes
    assert (one.receives_from_ms == LONG_AGO) is not anew
    assert one.features == (["messages"] if anew else ["comments", "messages"])
    (grant,) = Grants(database).of_connection("con_1")
    assert grant.version == 2


def test_what_accounts_are_part_of_is_subscribed_once(database: Database) -> None:
    """Two phone numbers of a WhatsApp Business Account: the last one ends its subscription."""
    parent = digest("parent")
    for number in ("1", "2"):
        one = made(session(database, number), f"con_{number}")
        (account,) = one.accounts
        own = account.connection._replace(account=digest(f"account {number}"))
        accounts = [Account(own, parent, [digest(f"number {number}")])]
        Consenting(database).connect(one._replace(accounts=accounts))
    found = Connections(database).by_route([parent, digest("number 1")])
    assert [one.id for one in found[parent]] == ["con_1", "con_2"]
    assert [one.id for one in found[digest("number 1")]] == ["con_1"]
    with database.write() as connection:
        assert connection.scalars(sa.select(subscriptions.c.account)).all() == [parent]
        connection.execute(
            sa.update(connections).where(connections.c.id == "con_1").values(status="revoking")
        )
        shared = [sharing.Account("facebook", key) for key in (digest("number 1"), parent)]
        assert [sharing.leave(connection, it, "rev_1") for it in shared] == ["none", "shared"]


def test_a_session_for_one_connection_does_not_bring_it_back(database: Database) -> None:
    Consenting(database).connect(made(session(database)))
    again = session(database, "again")._replace(connection="con_1")
    set_(database, status="revoked")
    with pytest.raises(BeingRevoked):
        Consenting(database).connect(made(again))
    assert Connections(database).get("con_1").status == "revoked"


@pytest.mark.parametrize("carries_another", [False, True])
def test_what_was_refused_goes_with_the_consent_of_another_person(
    database: Database, carries_another: bool
) -> None:
    consenting = Consenting(database)
    consenting.connect(made(session(database)))
    if carries_another:
        other = made(session(database, "other"), "con_2")
        account = Account(
            other.accounts[0].connection._replace(account=digest("account 2")), digest("route 2")
        )
        consenting.connect(other._replace(accounts=[account]))
    with database.write() as connection:
        connection.execute(sa.update(grants).values(refusal="the password was changed"))
    anew = made(session(database, "anew"), grant="gra_2")
    (given,) = anew.given
    theirs = given.grant._replace(subject=digest("another person"), person=digest("another"))
    consenting.connect(anew._replace(person=digest("another"), given=[Given(theirs, ["con_1"])]))
    assert [grant.id for grant in Grants(database).of_connection("con_1")] == ["gra_2"]
    if carries_another:
        assert [grant.id for grant in Grants(database).of_connection("con_2")] == ["gra_1"]
    else:
        with pytest.raises(NotFound):
            Grants(database).get("gra_1")
        assert DueRows(database).standing(REFRESH, "gra_1") is None


def test_what_still_works_stays_beside_the_consent_of_another_person(database: Database) -> None:
    consenting = Consenting(database)
    consenting.connect(made(session(database)))
    anew = made(session(database, "anew"), grant="gra_2")
    (given,) = anew.given
    theirs = given.grant._replace(subject=digest("another person"))
    consenting.connect(anew._replace(given=[Given(theirs, ["con_1"])]))
    assert [one.id for one in Grants(database).of_connection("con_1")] == ["gra_1", "gra_2"]


def test_a_session_connects_once(database: Database) -> None:
    granted = session(database)
    Consenting(database).connect(made(granted))
    with pytest.raises(NotFound):
        Consenting(database).connect(made(granted))
    (grant,) = Grants(database).of_connection("con_1")
    assert grant.version == 1, "nothing of the second was written"


def test_a_person_who_began_anew_connects_nothing_of_before(database: Database) -> None:
    granted = session(database)
    asked = Asked(digest("browser s"), digest("other"), b"", "", "en")
    ConnectSessions(database).ask("s", asked)
    with pytest.raises(NotFound):
        Consenting(database).connect(made(granted))
    assert Connections(database).list() == []


@pytest.mark.parametrize(("id_", "grant"), [("con_2", "gra_1"), ("con_1", "gra_2")])
def test_what_somebody_else_made_meanwhile_is_to_be_looked_for_again(
    database: Database, id_: str, grant: str
) -> None:
    Consenting(database).connect(made(session(database)))
    granted = session(database, "second")
    with pytest.raises(Conflict):
        Consenting(database).connect(made(granted, id_, grant=grant))
    assert ConnectSessions(database).get("second").stage == GRANTED


def _revoking(database: Database) -> None:
    set_(database, status="revoking")


def _person_ending(database: Database) -> None:
    with database.write() as connection:
        connection.execute(sa.update(people).values(ending="rev_1"))


def _account_ending(database: Database) -> None:
    with database.write() as connection:
        connection.execute(sa.update(subscriptions).values(ending="rev_1"))


def _consent_ended(database: Database) -> None:
    with database.write() as connection:
        connection.execute(sa.update(people).values(ended_at_ms=now_ms() + 60_000))


@pytest.mark.parametrize(
    "ending", [_revoking, _person_ending, _account_ending, _consent_ended], ids=lambda f: f.__name__
)
def test_what_is_being_ended_is_not_joined(
    database: Database, ending: Callable[[Database], None]
) -> None:
    Consenting(database).connect(made(session(database)))
    ending(database)
    granted = session(database, "second")
    with pytest.raises(BeingRevoked):
        Consenting(database).connect(made(granted))
    assert ConnectSessions(database).get("second").stage == GRANTED
    (grant,) = Grants(database).of_connection("con_1")
    assert grant.version == 1


def test_tenants_share_the_person_and_the_account(database: Database) -> None:
    consenting = Consenting(database)
    consenting.connect(made(session(database)))
    consenting.connect(made(session(database, "z", "zeta"), "con_z", grant="gra_z"))
    with database.write() as connection:
        person = sharing.Person("meta", digest("person"))
        set_first = sa.update(connections).where(connections.c.id == "con_1")
        connection.execute(set_first.values(status="revoking"))
        assert sharing.leave(connection, person, "rev_1") == "shared"


def test_consents_at_once_make_one_connection_a_tenant(database: Database) -> None:
    consenting, stored = Consenting(database), Grants(database)

    def consent(number: int) -> str:
        tenant = ("acme", "zeta")[number % 2]
        granted = session(database, f"s{number}", tenant)
        for _ in range(10):
            known = consenting.known(tenant, "facebook", [digest(f"account {tenant}")])
            there = stored.find(tenant, "meta", digest(f"subject {tenant}"))
            ids = [one.id for one in known.values()] or [f"con_{number}"]
            grant = there.id if there else f"gra_{number}"
            try:
                return consenting.connect(made(granted, ids[0], grant=grant))[0]
            except Conflict:
                continue
        raise AssertionError("ten tries were not enough")

    with ThreadPoolExecutor(6) as pool:
        ids = set(pool.map(consent, range(6)))
    assert ids == {one.id for one in Connections(database).list()}
    assert len(ids) == 2


def test_a_state_is_taken_once_in_its_browser_by_its_login_in_time(database: Database) -> None:
    sessions, now = ConnectSessions(database), now_ms()
    sessions.add(
        Session("s", "acme", "B", "facebook", "meta", ["m"], None, None, now, now + 60_000)
    )
    browser, state = digest("browser"), digest("state")
    sessions.ask("s", Asked(browser, state, b"v", "", "en"))
    assert sessions.take("google", state, browser) is None
    assert sessions.take("meta", state, digest("other")) is None
    assert sessions.take("meta", digest("other"), browser) is None
    taken = sessions.take("meta", state, browser)
    assert taken is not None
    assert sessions.take("meta", state, browser) is None
    assert sessions.by_state(state) is None
    assert sessions.end(taken, "refused")
    assert not sessions.end(taken, "refused"), "the try is over"
    assert not sessions.grant(taken, b"late")


def test_what_is_over_is_gone(database: Database) -> None:
    sessions, now = ConnectSessions(database), now_ms()
    sessions.add(Session("old", "acme", "B", "facebook", "meta", ["m"], None, None, 1, now - 1))
    sessions.add(
        Session("new", "acme", "B", "facebook", "meta", ["m"], None, None, 1, now + 60_000)
    )
    with pytest.raises(NotFound):
        sessions.get("old")
    with pytest.raises(NotFound):
        sessions.ask("old", Asked(b"", b"", b"", "", ""))
    assert sessions.get("new").id == "new"
