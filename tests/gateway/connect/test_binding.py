"""Whose answer it is: states are used once, in time, in the browser that began; forms are ours."""

import hashlib
from urllib.parse import parse_qs, urlsplit

import pytest
import sqlalchemy as sa

from storage.connecting_schema import connect_sessions
from storage.connections import Connections
from tests.gateway.connect.conftest import Stage
from tests.gateway.connect.person import Person

pytestmark = pytest.mark.anyio


async def begun(stage: Stage, person: Person) -> str:
    """Somebody is in the dialog and agrees: the address that leads back."""
    await person.open(await stage.link())
    await person.press("/ask")
    return stage.provider.consent(person.dialog)


def connections(stage: Stage) -> int:
    return len(Connections(stage.rig.database).list(tenant="acme"))


def changed(at: Stage, /, **values: object) -> None:
    """Change every session."""
    with at.rig.database.write() as connection:
        connection.execute(sa.update(connect_sessions).values(values))


async def test_the_cookie_is_the_sessions_own_and_no_script_reads_it(stage: Stage) -> None:
    person = stage.person()
    url = await stage.link()
    await person.open(url)
    (cookie,) = person.page.headers.get_list("set-cookie")
    session = hashlib.sha256(url.rpartition("/")[2].encode()).hexdigest()
    assert cookie.startswith(f"connect-{session[:16]}=")
    said = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert said == {"httponly", "max-age=3600", "path=/", "samesite=lax"}
    await person.open(url)
    assert "set-cookie" not in person.page.headers


async def test_the_database_has_hashes_of_token_cookie_and_state(stage: Stage) -> None:
    person = stage.person()
    back = await begun(stage, person)
    token = person.page.url.path.split("/")[2]
    state = parse_qs(urlsplit(back).query)["state"][0]
    secret = next(iter(person.http.cookies.values())).partition(".")[0]
    with stage.rig.database.read() as connection:
        row = connection.execute(sa.select(connect_sessions)).one()
    assert row.id == hashlib.sha256(token.encode()).hexdigest()
    assert row.state == hashlib.sha256(state.encode()).digest()
    assert row.browser == hashlib.sha256(secret.encode()).digest()
    for clear in (token, state, secret):
        assert clear not in repr(row)


async def test_pkce_keeps_the_verifier_on_our_side(stage: Stage) -> None:
    person = stage.person()
    await person.open(await begun(stage, person))
    (code,) = stage.provider.exchanged
    (consent,) = stage.login.consents
    assert code.verifier is not None
    assert code.redirect_uri == consent.redirect_uri
    assert consent.challenge == _s256(code.verifier.reveal())


def _s256(verifier: str) -> str:
    import base64

    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


@pytest.mark.parametrize("state", ["", "x" * 43, "é"])
async def test_a_forged_state_is_nobodys(stage: Stage, state: str) -> None:
    person = stage.person()
    await begun(stage, person)
    answer = await person.http.get("/oauth/meta/callback", params={"state": state, "code": "c"})
    assert answer.status_code == 400
    assert "location" not in answer.headers
    assert "is not ours" in answer.text
    assert stage.provider.exchanged == []


async def test_an_answer_counts_once(stage: Stage) -> None:
    person = stage.person()
    back = await begun(stage, person)
    await person.open(back)
    assert person.heading == "What shall be connected?"
    again = await person.http.get(back)
    assert (again.status_code, "location" in again.headers) == (400, False)
    assert "has been used" in again.text
    assert person.page.url.path in again.text, "it leads back to where the person was"
    assert len(stage.provider.exchanged) == 1
    await person.press("/pick")
    assert person.heading == "Connected"


async def test_another_browser_gets_nothing_and_spoils_nothing(stage: Stage) -> None:
    person, stranger = stage.person(), stage.person()
    back = await begun(stage, person)
    answer = await stranger.http.get(back)
    assert (answer.status_code, "location" in answer.headers) == (400, False)
    assert "another browser" in answer.text
    assert stage.provider.exchanged == []
    await stranger.open(str(person.page.url).rsplit("/", 1)[0])  # even if it has the link as well
    assert (await stranger.http.get(back)).status_code == 400
    await person.open(back)
    assert person.heading == "What shall be connected?"


async def test_what_was_granted_is_shown_to_that_browser_alone(stage: Stage) -> None:
    person, stranger = stage.person(), stage.person()
    link = await stage.link()
    await person.open(link)
    await person.press("/ask")
    await person.open(stage.provider.consent(person.dialog))
    await stranger.open(link)
    assert "Bakery" not in stranger.page.text
    token = urlsplit(link).path
    _, fields = stranger.form("/ask")
    answer = await stranger.http.post(f"{token}/pick", data={**dict(fields), "account": "0"})
    assert answer.status_code == 400
    assert connections(stage) == 0
    await person.press("/pick")
    await stranger.open(link)
    assert stranger.heading == "This link has been used"
    assert (await stranger.http.get(f"{token}/status")).status_code == 404
    assert "Bakery" not in stranger.page.text


async def test_the_answer_of_another_login_is_none(stage: Stage) -> None:
    person = stage.person()
    back = await begun(stage, person)
    answer = await person.http.get(back.replace("/oauth/meta/", "/oauth/google/"))
    assert answer.status_code == 400
    assert stage.provider.exchanged == []


async def test_a_state_ends_after_ten_minutes(stage: Stage) -> None:
    person = stage.person()
    back = await begun(stage, person)
    changed(stage, state_until_ms=1)
    answer = await person.http.get(back)
    assert (answer.status_code, "location" in answer.headers) == (400, False)
    assert "took too long" in answer.text
    assert stage.provider.exchanged == []


async def test_a_session_ends_after_an_hour(stage: Stage) -> None:
    person = stage.person()
    back = await begun(stage, person)
    page = str(person.page.url).rsplit("/", 1)[0]
    changed(stage, expires_at_ms=1)
    for url in (back, page, f"{page}/status"):
        answer = await person.http.get(url)
        assert answer.status_code in (400, 404), url
    assert "one hour" in (await person.http.get(page)).text


async def test_asking_anew_voids_the_try_before(stage: Stage) -> None:
    person = stage.person()
    link = await stage.link()
    await person.open(link)
    await person.press("/ask")
    first = stage.provider.consent(person.dialog)
    await person.open(link)  # the back button
    await person.press("/ask")
    second = stage.provider.consent(person.dialog)
    assert (await person.http.get(first)).status_code == 400
    await person.open(second)
    assert person.heading == "What shall be connected?"


async def test_an_exchange_that_ends_after_the_person_began_anew_changes_nothing(
    stage: Stage,
) -> None:
    person = stage.person()
    back = await begun(stage, person)
    stage.provider.while_listing = lambda: changed(stage, state_until_ms=7, stage="asked")
    answer = await person.http.get(back)
    assert answer.status_code == 303
    with stage.rig.database.read() as connection:
        row = connection.execute(sa.select(connect_sessions)).one()
    assert (row.stage, row.state_until_ms) == ("asked", 7)


@pytest.mark.parametrize("form", ["/ask", "/pick"])
async def test_a_form_that_is_not_ours_does_nothing(stage: Stage, form: str) -> None:
    person, stranger = stage.person(), stage.person()
    link = await stage.link()
    await person.open(link)
    if form == "/pick":
        await person.press("/ask")
        await person.open(stage.provider.consent(person.dialog))
    path = urlsplit(link).path
    await stranger.open(link)
    proof = dict(stranger.form("/ask")[1])["proof"]
    for sent in ({}, {"proof": ""}, {"proof": proof}, {"proof": "é"}):
        answer = await person.http.post(f"{path}{form}", data={**sent, "account": "0"})
        assert (answer.status_code, "location" in answer.headers) == (400, False), sent
    assert connections(stage) == 0


async def test_without_cookies_the_page_says_so(stage: Stage) -> None:
    person = stage.person()
    await person.open(await stage.link())
    action, fields = person.form("/ask")
    person.http.cookies.clear()
    answer = await person.http.post(action, data=dict(fields))
    assert answer.status_code == 400
    assert "Allow cookies" in answer.text


@pytest.mark.parametrize("body", [b"x" * 70_000, b"\xff", b"&".join([b"a=1"] * 3_000)])
async def test_a_form_that_cannot_be_read_is_refused(stage: Stage, body: bytes) -> None:
    person = stage.person()
    link = await stage.link()
    await person.open(link)
    answer = await person.http.post(f"{urlsplit(link).path}/ask", content=body)
    assert answer.status_code == 400


async def test_pages_are_kept_by_nobody_and_load_nothing_from_elsewhere(stage: Stage) -> None:
    person = stage.person()
    await person.open(await stage.link())
    headers = person.page.headers
    assert headers["cache-control"] == "no-store"
    assert headers["referrer-policy"] == "no-referrer"
    rules = headers["content-security-policy"]
    assert "default-src 'none'" in rules
    assert "frame-ancestors 'none'" in rules
    assert "unsafe" not in rules
    assert rules.endswith("form-action 'self' https://www.facebook.com")
    await person.press("/ask")
    assert person.page.headers["referrer-policy"] == "no-referrer"
    await person.open(stage.provider.consent(person.dialog))
    await person.press("/pick")
    assert "style=" not in person.page.text
    assert person.page.text.count("<script") == person.page.text.count("<script src=") == 1


async def test_unknown_links_and_assets(stage: Stage) -> None:
    person = stage.person()
    for path in ("/connect/x", f"/connect/{'x' * 43}", "/connect/again/con_x.y", "/connect/é"):
        answer = await person.http.get(path)
        assert answer.status_code == 404, path
        assert "no longer valid" in answer.text
    assert (await person.http.get("/connect/assets/../pages.py")).status_code == 404
    assert (await person.http.get("/connect/assets/pages.py")).status_code == 404
    assert (await person.http.get("/connect/assets/connect.css")).status_code == 200
