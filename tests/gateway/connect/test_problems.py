"""Whatever goes wrong ends on a page that says what happened and what to do."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import sqlalchemy as sa

from contracts.accounts import AccountPart, Choice
from contracts.connection import decode_details
from contracts.errors import GatewayError, OutcomeUnknown, Permanent, Reauthorize, Retryable
from contracts.tokens import Secret
from storage.connect_sessions import MOST_AGAIN
from storage.connecting_schema import connect_sessions, consents, people
from storage.connections import Connection, Connections
from storage.database import now_ms
from storage.grants import Grants
from storage.schema import connections
from tests.gateway.connect.conftest import RETURN, Stage
from tests.gateway.connect.person import Person
from tests.gateway.connect.provider import FakeOAuth, FakePages
from token_vault import Purpose, reconnect_token

pytestmark = pytest.mark.anyio


async def asked(stage: Stage, **link: object) -> Person:
    """Somebody who is in the provider's dialog."""
    person = stage.person()
    await person.open(await stage.link(**link))
    await person.press("/ask")
    return person


async def agreed(stage: Stage, **link: object) -> Person:
    """Somebody who consented."""
    person = await asked(stage, **link)
    await person.open(stage.provider.consent(person.dialog))
    return person


def of_acme(stage: Stage) -> list[Connection]:
    return list(Connections(stage.rig.database).list(tenant="acme"))


async def test_a_refusal_is_told_and_can_be_thought_over(stage: Stage) -> None:
    person = await asked(stage, business="Bakery Ltd")
    await person.open(stage.provider.refuse(person.dialog))
    assert person.heading == "You did not allow it"
    back = f"{RETURN}&result=cancelled".replace("&", "&amp;")
    assert f'href="{back}"' in person.page.text
    await person.press("/ask")
    assert stage.login.consents[-1].again
    await person.open(stage.provider.consent(person.dialog))
    await person.press("/pick")
    assert person.heading == "Connected"


@pytest.mark.parametrize(
    ("error", "heading"),
    [
        (Reauthorize("spent"), "The sign-in was too old"),
        (Retryable("503"), "Facebook did not answer"),
        (OutcomeUnknown("cut off"), "Facebook did not answer"),
        (Permanent("invalid_client"), "Our app was refused"),
    ],
)
async def test_a_code_that_cannot_be_exchanged(
    stage: Stage, error: GatewayError, heading: str
) -> None:
    person = await asked(stage)
    stage.provider.raises = error
    await person.open(stage.provider.consent(person.dialog))
    assert person.heading == heading
    stage.provider.raises = None
    await person.press("/ask")
    await person.open(stage.provider.consent(person.dialog))
    assert person.heading == "What shall be connected?"
    assert len(stage.provider.exchanged) == 1


async def test_a_code_used_twice_is_refused_by_the_provider_and_told(stage: Stage) -> None:
    person = await asked(stage)
    first = stage.provider.consent(person.dialog)
    code = parse_qs(urlsplit(first).query)["code"][0]
    await person.open(first)
    other = await asked(stage)
    state = parse_qs(urlsplit(stage.provider.consent(other.dialog)).query)["state"][0]
    await other.open(f"/oauth/meta/callback?code={code}&state={state}")
    assert other.heading == "The sign-in was too old"
    assert of_acme(stage) == []


@pytest.mark.parametrize("query", ["error=server_error", "", "code=a&code=b"])
async def test_an_answer_without_use(stage: Stage, query: str) -> None:
    person = await asked(stage)
    state = parse_qs(urlsplit(person.dialog).query)["state"][0]
    await person.open(f"/oauth/meta/callback?state={state}&{query}")
    assert person.heading == "Facebook ended it"


async def test_some_permissions_are_enough_for_some_features(stage: Stage) -> None:
    stage.provider.granted = frozenset({"messaging"})
    person = await agreed(stage)
    assert person.heading == "What shall be connected?"
    assert "Not allowed, so it will not work: Comments that people write" in person.page.text
    await person.press("/pick")
    assert person.heading == "Connected"
    (connection,) = of_acme(stage)
    assert connection.features == ["comments", "messages"]
    assert connection.missing == ["comments"]
    (grant,) = Grants(stage.rig.database).of_connection(connection.id)
    assert (grant.scopes, grant.declined) == (["messaging"], ["comments"])
    with stage.rig.database.read() as database:
        consent = database.execute(sa.select(consents)).one()
    assert consent.grant == grant.id
    assert consent.asked == ["comments", "messaging"]
    assert (consent.granted, consent.declined) == (["messaging"], ["comments"])


async def test_permissions_that_are_enough_for_nothing_end_it(stage: Stage) -> None:
    stage.provider.granted = frozenset({"email"})
    person = await agreed(stage)
    assert person.heading == "The permissions are not enough"
    assert "Messages that people send to your Page" in person.page.text
    stage.provider.granted = frozenset({"messaging", "comments"})
    await person.press("/ask")
    assert stage.login.consents[-1].again
    await person.open(stage.provider.consent(person.dialog))
    assert person.heading == "What shall be connected?"


async def test_no_page_and_the_trap_of_business_portfolios(stage: Stage) -> None:
    stage.provider.choices = []
    person = await agreed(stage)
    assert person.heading == "There is nothing to connect"
    assert "business portfolio" in person.page.text
    await person.press("/ask")
    assert person.dialog


async def test_an_account_that_cannot_be_connected_says_why(stage: Stage) -> None:
    stage.provider.choices = [
        Choice("page-1", "Bakery", token=Secret("t1")),
        Choice("page-2", "Café", hindrance="no-task"),
        Choice("page-3", "Kiosk", hindrance="of a kind that is new"),
    ]
    person = await agreed(stage)
    assert "You may not answer messages there" in person.page.text
    assert "Facebook does not let you connect it" in person.page.text
    forced = [("account", "1"), ("account", "2"), ("account", "9"), ("account", "-1")]
    await person.press("/pick", *forced, drop="account")
    assert "Nothing was picked" in person.page.text
    assert of_acme(stage) == []
    await person.press("/pick", *forced)
    assert [one.account for one in of_acme(stage)] == [
        stage.rig.vault.tenant("acme").hash("account", "facebook", "page-1")
    ]


async def test_nothing_picked(stage: Stage) -> None:
    person = await agreed(stage)
    await person.press("/pick", drop="account")
    assert person.page.status_code == 200
    assert "Nothing was picked" in person.page.text
    await person.press("/pick")
    assert person.heading == "Connected"


async def test_a_double_click_connects_once(stage: Stage) -> None:
    person = await agreed(stage)
    action, fields = person.form("/pick")
    for _ in range(2):
        answer = await person.http.post(action, data=dict(fields))
        assert answer.status_code == 303
    assert len(of_acme(stage)) == 1
    await person.open(action.removesuffix("/pick"))
    assert person.heading == "Connected"


async def test_the_back_button_after_success_leads_to_the_success(stage: Stage) -> None:
    person = stage.person()
    link = await stage.link()
    await person.open(link)
    first = person.page
    await person.press("/ask")
    await person.open(stage.provider.consent(person.dialog))
    await person.press("/pick")
    person.page = first  # as the browser shows it again
    await person.press("/ask")
    assert person.heading == "Connected"
    assert len(of_acme(stage)) == 1


async def test_who_looks_while_the_code_is_exchanged_waits(stage: Stage) -> None:
    person = await asked(stage)
    path = urlsplit(str(person.page.url)).path.removesuffix("/ask")
    _set(stage, stage="answered", state=None, state_until_ms=now_ms() + 60_000)
    await person.open(path)
    assert person.heading == "Just a moment"
    assert 'http-equiv="refresh"' in person.page.text
    _set(stage, state_until_ms=now_ms() - 1)
    await person.open(path)
    assert person.heading == "It was interrupted"
    await person.press("/ask")
    assert person.dialog


def _set(at: Stage, /, **values: object) -> None:
    with at.rig.database.write() as connection:
        connection.execute(sa.update(connect_sessions).values(values))


async def test_parts_are_picked_by_their_number(stage: Stage) -> None:
    parts = (
        AccountPart("cal-a", "Work"),
        AccountPart("cal-b", "Home", chosen=False),
        AccountPart("cal-c", "Team"),
    )
    stage.provider.choices = [Choice("me@x.example", "Me", parts=parts)]
    person = await agreed(stage)
    sent = [("part.0", "1"), ("part.0", "7"), ("part.0", "x"), ("part.1", "0")]
    await person.press("/pick", *sent, drop="part.0")
    (connection,) = of_acme(stage)
    keys = stage.rig.vault.tenant("acme")
    plain = keys.open(Purpose.CONNECTION, connection.id.encode(), connection.sealed)
    assert [part.id for part in decode_details(plain).parts] == ["cal-b"]


async def test_several_accounts_have_a_grant_each_where_they_have_tokens(stage: Stage) -> None:
    stage.provider.choices = [
        Choice("page-1", "Bakery", token=Secret("t1")),
        Choice("page-2", "Café", token=Secret("t2")),
    ]
    person = await agreed(stage)
    await person.press("/pick", ("account", "0"), ("account", "1"))
    grants = Grants(stage.rig.database)
    tokens = {}
    for one in of_acme(stage):
        (grant,) = grants.of_connection(one.id)
        tokens[one.id] = stage.rig.parts.tokens.open(grant, job="test").access_token.reveal()
    assert sorted(tokens.values()) == ["t1", "t2"]


async def test_a_refresh_token_that_is_not_given_again_is_kept(stage: Stage) -> None:
    stage.provider.choices = [Choice("me@x.example", "Me")]
    stage.provider.refresh_token = "refresh-1"
    (first,) = await stage.connected(stage.person())
    stage.provider.refresh_token = None
    (second,) = await stage.connected(stage.person())
    assert first == second
    (grant,) = Grants(stage.rig.database).of_connection(first)
    assert grant.version == 2
    kept = stage.rig.parts.tokens.open(grant, job="test").refresh_token
    assert kept is not None
    assert kept.reveal() == "refresh-1"


class FakeMailboxes(FakePages):
    """Another provider of the same login."""

    name = "gmail"


async def test_providers_of_one_login_have_tokens_of_their_own(stage: Stage) -> None:
    connectors: Any = stage.world.edge.parts.registry.connectors
    connectors["gmail"] = mailboxes = FakeMailboxes(connectors["facebook"].settings)
    mailboxes.provider = stage.provider
    stage.provider.choices = [Choice("me@x.example", "Me")]
    (page,) = await stage.connected(stage.person())
    stage.provider.granted = frozenset({"comments"})
    (mailbox,) = await stage.connected(stage.person(), provider="gmail")
    grants = Grants(stage.rig.database)
    scopes = [
        sorted(grant.scopes) for id_ in (page, mailbox) for grant in grants.of_connection(id_)
    ]
    assert scopes == [["comments", "messaging"], ["comments"]]
    (first,), (second,) = (grants.of_connection(id_) for id_ in (page, mailbox))
    assert first.person == second.person, "ended together"


async def test_only_the_chosen_features_scopes_are_asked_for(stage: Stage) -> None:
    person = stage.person()
    await person.open(await stage.link(features=["messages"]))
    assert "comments" not in person.page.text
    await person.press("/ask")
    assert stage.login.consents[-1].scopes == {"messaging"}


async def test_nothing_of_the_person_remains_but_tokens_and_hashes(stage: Stage) -> None:
    stage.provider.name = "Olena Unmistakable"
    person = await agreed(stage)
    assert "Olena Unmistakable" in person.page.text
    await person.press("/pick")
    keys = stage.rig.vault.tenant("acme")
    (connection,) = of_acme(stage)
    plain = keys.open(Purpose.CONNECTION, connection.id.encode(), connection.sealed)
    (grant,) = Grants(stage.rig.database).of_connection(connection.id)
    tokens = keys.open(Purpose.TOKEN, grant.id.encode(), grant.sealed)
    assert b"Unmistakable" not in plain + tokens
    with stage.rig.database.read() as database:
        assert database.scalar(sa.select(connect_sessions.c.sealed)) is None


# -- revoked, being revoked, missing -----------------------------------------------------------


async def test_one_that_is_being_revoked_is_not_connected(stage: Stage) -> None:
    (id_,) = await stage.connected(stage.person())
    Connections(stage.rig.database).set_status(id_, "revoking", "")
    person = await agreed(stage)
    await person.press("/pick")
    assert person.heading == "It is being disconnected just now"
    await person.press("/ask")
    Connections(stage.rig.database).set_status(id_, "revoked", "")
    await person.open(stage.provider.consent(person.dialog))
    await person.press("/pick")
    assert person.heading == "Connected"
    assert [(one.id, one.status) for one in of_acme(stage)] == [(id_, "pending")]


@pytest.mark.parametrize("values", [{"ending": "rev_1"}, {"ended_at_ms": 2**52}])
async def test_a_consent_that_is_being_ended_is_not_used(
    stage: Stage, values: dict[str, object]
) -> None:
    await stage.connected(stage.person())
    person = await agreed(stage)
    with stage.rig.database.write() as connection:
        connection.execute(sa.update(people).values(values))
    await person.press("/pick")
    assert person.heading == "It is being disconnected just now"


def degraded(stage: Stage, id_: str, status: str = "degraded") -> str:
    """The reconnect link of a connection that lacks its comments."""
    with stage.rig.database.write() as connection:
        this = sa.update(connections).where(connections.c.id == id_)
        connection.execute(this.values(status=status, missing=["comments"]))
    since_ms = Connections(stage.rig.database).get(id_).receives_from_ms
    return f"/connect/again/{reconnect_token(stage.rig.vault.deployment(), id_, since_ms)}"


async def test_a_reconnect_link_asks_for_what_is_missing_and_picks_nothing(stage: Stage) -> None:
    stage.provider.granted = frozenset({"messaging"})
    (id_,) = await stage.connected(stage.person())
    person = stage.person("uk")
    await person.open(degraded(stage, id_))
    assert person.heading == "Відновити підключення: B…"
    assert "Компанія Bakery Ltd більше не може" in person.page.text
    with stage.rig.database.read() as connection:
        before = connection.scalar(sa.select(sa.func.count()).select_from(connect_sessions))
    stage.provider.granted = frozenset({"messaging", "comments"})
    await person.press(person.page.url.path)
    with stage.rig.database.read() as connection:
        after = connection.scalar(sa.select(sa.func.count()).select_from(connect_sessions))
    assert (before, after) == (1, 2), "looking at the link makes no session"
    consent = stage.login.consents[-1]
    assert consent.scopes == {"comments"}
    assert (consent.again, consent.language) == (True, "uk")
    await person.open(stage.provider.consent(person.dialog))
    assert person.heading == "Підключено"
    (connection_,) = of_acme(stage)
    assert (connection_.id, connection_.features) == (id_, ["comments", "messages"])
    (grant,) = Grants(stage.rig.database).of_connection(id_)
    assert (sorted(grant.scopes), grant.version) == (["comments", "messaging"], 2)


async def test_at_a_login_that_does_not_accumulate_what_it_has_is_asked_for_with_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeOAuth, "accumulates", False)
    (id_,) = await stage.connected(stage.person(), features=["comments"])
    person = stage.person()
    await person.open(degraded(stage, id_))
    await person.press(person.page.url.path)
    assert stage.login.consents[-1].scopes == {"comments"}, "nobody chose messages"
    with stage.rig.database.write() as connection:
        connection.execute(sa.update(connections).values(features=["comments", "messages"]))
    await person.open(degraded(stage, id_))
    assert "<code>messaging</code>" in person.page.text
    await person.press(person.page.url.path)
    assert stage.login.consents[-1].scopes == {"comments", "messaging"}


async def test_what_the_login_always_asks_for_is_said(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeOAuth, "always_asks", frozenset({"openid"}))
    person = stage.person()
    await person.open(await stage.link())
    assert "<code>openid</code>" in person.page.text


async def test_refused_tokens_are_consented_to_as_a_whole(stage: Stage) -> None:
    (id_,) = await stage.connected(stage.person())
    person = stage.person()
    await person.open(degraded(stage, id_, "needs_reauth"))
    await person.press(person.page.url.path)
    assert stage.login.consents[-1].scopes == {"messaging", "comments"}


async def test_somebody_elses_account_does_not_repair_it(stage: Stage) -> None:
    (id_,) = await stage.connected(stage.person())
    person = stage.person()
    await person.open(degraded(stage, id_))
    await person.press(person.page.url.path)
    stage.provider.choices = [Choice("page-9", "Other", token=Secret("t9"))]
    await person.open(stage.provider.consent(person.dialog))
    assert person.heading == "That is another account"
    assert "“B…”" in person.page.text
    assert len(of_acme(stage)) == 1


async def test_somebody_elses_account_never_waits_to_be_picked(stage: Stage) -> None:
    (id_,) = await stage.connected(stage.person())
    person = stage.person()
    await person.open(degraded(stage, id_))
    await person.press(person.page.url.path)
    stages: list[str] = []

    def note(_: object, statement: object, *__: object) -> None:
        if isinstance(statement, sa.Update) and statement.table is connect_sessions:
            stages.append(statement.compile().params["stage"])

    engine = stage.world.edge.parts.database.engine
    sa.event.listen(engine, "before_execute", note)
    stage.provider.choices = [Choice("page-9", "Other", token=Secret("t9"))]
    await person.open(stage.provider.consent(person.dialog))
    sa.event.remove(engine, "before_execute", note)
    assert stages == ["answered", "new"]


async def test_a_session_for_one_connection_picks_nothing(stage: Stage) -> None:
    (id_,) = await stage.connected(stage.person())
    stage.provider.choices = [Choice("page-9", "Other", token=Secret("t9"))]
    person = await agreed(stage)
    action, fields = person.form("/pick")
    _set(stage, connection=id_)
    answer = await person.http.post(action, data=dict(fields))
    assert answer.status_code == 303
    assert [one.id for one in of_acme(stage)] == [id_]


@pytest.mark.parametrize("status", ["revoking", "revoked"])
async def test_what_has_ended_is_not_repaired(stage: Stage, status: str) -> None:
    (id_,) = await stage.connected(stage.person())
    person = stage.person()
    await person.open(degraded(stage, id_, status))
    assert person.heading == "This account has been disconnected"


async def test_a_reconnect_link_ends_with_the_life_of_its_connection(stage: Stage) -> None:
    (id_,) = await stage.connected(stage.person())
    link = degraded(stage, id_)
    Connections(stage.rig.database).set_status(id_, "revoked", "")
    assert await stage.connected(stage.person()) == [id_]
    answer = await stage.person().http.get(link)
    assert answer.status_code == 404
    assert "Bakery" not in answer.text


async def test_a_reconnect_link_tells_no_name_or_address(stage: Stage) -> None:
    stage.provider.choices = [Choice("olena.k@bakery.example", "Olena Kovalenko", Secret("t1"))]
    (id_,) = await stage.connected(stage.person())
    person = stage.person()
    await person.open(degraded(stage, id_))
    assert person.heading == "Reconnect O… K…"
    for told in ("Olena", "Kovalenko", "olena"):
        assert told not in person.page.text


async def test_a_reconnect_link_makes_few_sessions(stage: Stage) -> None:
    (id_,) = await stage.connected(stage.person())
    link = degraded(stage, id_)
    for _ in range(MOST_AGAIN + 2):
        person = stage.person()
        await person.open(link)
        await person.press(person.page.url.path)
    with stage.rig.database.read() as connection:
        of_it = connect_sessions.c.connection == id_
        count = sa.select(sa.func.count()).select_from(connect_sessions).where(of_it)
        assert connection.scalar(count) == MOST_AGAIN
    await person.open(stage.provider.consent(person.dialog))
    assert person.heading == "Connected", "the newest is there"


async def test_a_forged_reconnect_link(stage: Stage) -> None:
    (id_,) = await stage.connected(stage.person())
    answer = await stage.person().http.get(f"/connect/again/{id_}.AAAAAAAAAAAAAAAAAAAAAA")
    assert answer.status_code == 404


async def test_a_login_that_is_off_by_now(stage: Stage) -> None:
    link = await stage.link()
    stage.world.edge.parts.registry.logins.clear()  # type: ignore[attr-defined]
    answer = await stage.person().open(link)
    assert answer.status_code == 503
    assert "does not answer" in answer.text


async def test_an_erased_tenants_link_says_that_it_is_over(stage: Stage) -> None:
    person = await agreed(stage)
    stage.rig.vault.destroy_tenant("acme")
    stage.world.edge.parts.vault.forget("acme")
    await person.press("/pick")
    assert person.page.status_code == 404
