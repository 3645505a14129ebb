"""Meta's callbacks and the page for people: durable before they are answered, and for our apps."""

from collections.abc import AsyncIterator
from urllib.parse import urlencode, urlsplit

import anyio.to_thread
import pytest
import sqlalchemy as sa

from connectors.registry import build
from storage.connecting_schema import signals
from storage.due import DueRows
from storage.signals import SIGNAL
from tests.gateway.edges import FakeJobs, World, running
from tests.gateway.signals.telling import INSTAGRAM_SECRET, form, signed_request
from tests.rig import ENVIRON, Rig
from tests.workers.granted import run_due
from tests.workers.stage import count

pytestmark = pytest.mark.anyio

BOTH = {"INSTAGRAM_APP_ID": "2", "INSTAGRAM_APP_SECRET": INSTAGRAM_SECRET}
PATHS = ("/meta/deauthorize", "/meta/data-deletion")


@pytest.fixture
async def world(rig: Rig) -> AsyncIterator[World]:
    """An edge with the Meta app and the Instagram app."""
    async with running(rig, FakeJobs(), build({**ENVIRON, **BOTH})) as world:
        yield world


def kept(world: World) -> int:
    return count(world.rig.database, signals)


@pytest.mark.parametrize("path", PATHS)
async def test_either_app_may_sign(world: World, path: str) -> None:
    assert (await world.client.post(path, **form(signed_request()))).status_code == 200
    signed = signed_request(INSTAGRAM_SECRET)
    assert (await world.client.post(path, **form(signed))).status_code == 200
    with world.rig.database.read() as connection:
        logins = connection.scalars(sa.select(signals.c.login).order_by(signals.c.login)).all()
    assert logins == ["instagram", "meta"]
    assert world.jobs.dues == 2
    kind = {"deauthorize": "deauthorize", "data-deletion": "deletion"}[path.rpartition("/")[2]]
    assert world.counted("signals_total", login="meta", kind=kind, result="new") == 1


@pytest.mark.parametrize("path", PATHS)
async def test_what_no_app_of_ours_signed_is_refused_and_counted(world: World, path: str) -> None:
    answer = await world.client.post(path, **form(signed_request("a stranger's")))
    assert answer.status_code == 401
    for malformed in ("", "none", "a.b", f"{signed_request()[:-4]}!!!!", "." * 100):
        answer = await world.client.post(path, **form(malformed))
        assert answer.status_code in {400, 401}, malformed
    twice = urlencode([("signed_request", signed_request())] * 2).encode()
    assert (await world.client.post(path, content=twice)).status_code == 400
    assert (await world.client.post(path, content=b"a=" + b"x" * (65 << 10))).status_code == 413
    assert kept(world) == 0
    assert world.counted("signals_refused_total", login="meta", reason="bad-signature") >= 1


async def test_a_deletion_is_answered_with_code_and_page_and_repeated_alike(world: World) -> None:
    signed = signed_request()
    first = await world.client.post("/meta/data-deletion", **form(signed))
    again = await world.client.post("/meta/data-deletion", **form(signed))
    assert first.json() == again.json()
    assert kept(world) == 1
    code = first.json()["confirmation_code"]
    assert code.isalnum()
    assert first.json()["url"].endswith(f"/privacy/deletions/{code}")
    other = await world.client.post("/meta/data-deletion", **form(signed_request(user_id="43")))
    assert other.json()["confirmation_code"] != code


@pytest.mark.parametrize("user", ["0", 0, "999"])
async def test_nobody_and_strangers_get_a_code_too(world: World, user: object) -> None:
    made = world.rig.connect("acme", "42")
    answer = await world.client.post("/meta/data-deletion", **form(signed_request(user_id=user)))
    assert (answer.status_code, bool(answer.json()["confirmation_code"])) == (200, True)
    await anyio.to_thread.run_sync(run_due, world.rig)
    page = await world.client.get(urlsplit(answer.json()["url"]).path)
    assert "we hold no token" in page.text
    state = await world.get(f"/v1/connections/{made.id}")
    assert state.json()["status"] == "active"


@pytest.mark.parametrize("path", PATHS)
async def test_what_cannot_be_stored_is_not_acknowledged(world: World, path: str) -> None:
    """Meta is told 503, and may come again."""
    with world.rig.database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE signals RENAME TO gone")
    answer = await world.client.post(path, **form(signed_request()))
    assert answer.status_code >= 500
    with world.rig.database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE gone RENAME TO signals")
    assert (kept(world), world.jobs.dues) == (0, 0)
    assert (await world.client.post(path, **form(signed_request()))).status_code == 200
    assert len(DueRows(world.rig.database).take([SIGNAL], 5)) == 1


async def test_the_id_is_nowhere_in_clear(world: World) -> None:
    await world.client.post("/meta/data-deletion", **form(signed_request(user_id="424242424242")))
    with world.rig.database.read() as connection:
        row = connection.execute(sa.select(signals)).one()
    assert "424242424242" not in repr(tuple(row))
    assert row.sealed is not None


async def test_the_page_speaks_both_languages_and_is_kept_nowhere(world: World) -> None:
    signed = form(signed_request())
    url = (await world.client.post("/meta/data-deletion", **signed)).json()["url"]
    path = urlsplit(url).path
    english = await world.client.get(path, headers={"accept-language": "en"})
    ukrainian = await world.client.get(path, headers={"accept-language": "uk,en;q=0.5"})
    assert "is being carried out" in english.text
    assert "Ваш запит отримано" in ukrainian.text
    assert (english.status_code, english.headers["content-language"]) == (200, "en")
    assert english.headers["cache-control"] == "no-store"
    assert english.headers["x-robots-tag"] == "noindex"
    assert "default-src 'none'" in english.headers["content-security-policy"]


@pytest.mark.parametrize("code", ["A" * 20, "short", "x" * 500, "%00" * 20, "%D1%8F" * 20])
async def test_a_code_that_we_never_gave_is_unknown(world: World, code: str) -> None:
    answer = await world.client.get(f"/privacy/deletions/{code}")
    assert (answer.status_code, "We know no such code" in answer.text) == (404, True)
