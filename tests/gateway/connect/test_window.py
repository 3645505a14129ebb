"""A login whose dialog a script of the provider's opens over our page: a form brings the code."""

import re
import time
from collections.abc import AsyncIterator

import pytest
import sqlalchemy as sa

from storage.connecting_schema import connect_sessions
from tests.gateway.connect.conftest import Stage
from tests.gateway.connect.person import Person
from tests.gateway.connect.provider import FakeOAuth, FakeWindow, Provider, registry_with
from tests.gateway.edges import FakeJobs, running
from tests.rig import Rig

pytestmark = pytest.mark.anyio

FB, WEB = "https://www.facebook.com", "https://web.facebook.com"
USUAL = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
)


@pytest.fixture
def login() -> FakeWindow:
    return FakeWindow(Provider())


@pytest.fixture
async def stage(rig: Rig, login: FakeWindow) -> AsyncIterator[Stage]:
    provider = login._provider
    async with running(rig, FakeJobs(), registry_with(provider, login)) as world:
        made = Stage(world, provider, FakeOAuth(provider))
        yield made
        await made.close()


async def opened(stage: Stage, person: Person, **asked: object) -> None:
    """Somebody is on the page from which the window opens."""
    await person.open(await stage.link(**asked))
    await person.press("/ask")


async def test_its_page_alone_may_load_the_script_of_the_provider(stage: Stage) -> None:
    person = stage.person()
    await person.open(await stage.link())
    assert person.page.headers["content-security-policy"] == USUAL
    assert person.page.headers["referrer-policy"] == "no-referrer"
    await person.press("/ask")
    rules = person.page.headers["content-security-policy"]
    assert rules == (
        "default-src 'none'; style-src 'self'; "
        "script-src 'self' https://connect.facebook.net; "
        f"connect-src {FB} {WEB}; frame-src {FB} {WEB}; img-src {FB} {WEB}; "
        "base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
    )
    assert person.page.headers["referrer-policy"] == "strict-origin"
    scripts = re.findall(r"<script(.*?)>(.*?)</script>", person.page.text, re.DOTALL)
    assert scripts == [(' src="/connect/assets/signup.js" defer', "")]
    told = dict(re.findall(r'data-([a-z]+)="(.*?)"', person.page.text))
    assert told == {
        "script": "https://connect.facebook.net/en_US/sdk.js",
        "origins": f"{FB} {WEB}",
        "app": "4242",
        "config": "77",
        "version": "v24.0",
    }
    script = await person.http.get("/connect/assets/signup.js")
    assert "WA_EMBEDDED_SIGNUP" in script.text


async def test_a_code_comes_by_the_form_and_names_no_redirect(stage: Stage) -> None:
    person = stage.person()
    await opened(stage, person)
    stage.provider.codes["code-1"] = ""
    await person.press("/callback", ("code", "code-1"), drop="code")
    assert person.heading == "What shall be connected?"
    (code,) = stage.provider.exchanged
    assert (code.code.reveal(), code.redirect_uri) == ("code-1", None)
    await person.press("/pick")
    assert person.heading == "Connected"


@pytest.mark.parametrize(
    ("error", "heading"),
    [("access_denied", "You did not allow it"), ("signup_failed", "Meta ended it")],
)
async def test_a_window_that_ends_without_a_code_leads_back(
    stage: Stage, error: str, heading: str
) -> None:
    person = stage.person()
    await opened(stage, person)
    await person.press("/callback", ("error", error), drop="error")
    assert person.heading == heading
    assert stage.provider.exchanged == []


async def test_a_code_of_another_browser_gets_nothing_and_spoils_nothing(stage: Stage) -> None:
    person, other = stage.person(), stage.person()
    await opened(stage, person)
    await opened(stage, other)
    stage.provider.codes["code-1"] = ""
    action, fields = person.form("/callback")
    stolen = {**dict(fields), "code": "code-1"}
    answer = await other.http.post(action, data=stolen)
    assert answer.status_code == 400
    assert stage.provider.exchanged == []
    await person.press("/callback", ("code", "code-1"), drop="code")
    assert person.heading == "What shall be connected?"
    again = await person.http.post(action, data=stolen)
    assert again.status_code == 400


async def test_somebody_may_be_in_there_for_longer(stage: Stage) -> None:
    await opened(stage, stage.person())
    with stage.rig.database.read() as connection:
        until = connection.scalar(sa.select(connect_sessions.c.state_until_ms))
    assert until is not None
    assert 2_900_000 < until - time.time() * 1000 <= 3_000_000


async def test_without_its_setting_nobody_connects(stage: Stage, login: FakeWindow) -> None:
    login.lacking = "META_SIGNUP_CONFIG_ID"
    answer = await stage.ask()
    assert answer.status_code == 400
    assert "provider: one of those" in answer.json()["detail"]
