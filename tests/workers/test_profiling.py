"""Who a new contact is: asked for once, beside the messages, and said when it is new."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from pytest_httpx import HTTPXMock

from contracts.content import ContactChanged, Profile
from contracts.errors import Paused
from storage.connections import Connection
from storage.database import now_ms
from storage.erasing import Erasing
from storage.pausing import Pauses
from storage.profiles import AGE_S, PROFILE, profiles
from storage.schema import due
from tests.rig import Rig, text
from tests.workers.granted import consent, tokens
from tests.workers.pages import Pages, PagesLogin
from token_vault import contact_hash

ADA = {"first_name": "Ada", "last_name": "Лавлейс", "profile_pic": "https://cdn.example/a.jpg?s=1"}
NO_PERMISSION = {"error": {"code": 200, "message": "no access"}}
NO_PROFILE = {"error": {"code": 100, "error_subcode": 2018218, "message": "no profile"}}


@pytest.fixture
def rig(database_url: str, tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(database_url, tmp_path / "var", {"meta": PagesLogin(Pages())})
    yield rig
    rig.parts.scheduler.stop()
    rig.close()


@pytest.fixture
def page(rig: Rig) -> Connection:
    page = rig.connect("acme", "10")
    consent(rig, tokens(None), [page], login="meta")
    return page


def writes(rig: Rig, contact: str = "7", *, anew: bool = False) -> None:
    """A contact writes; `anew`: to a worker that remembers nothing."""
    if anew:
        rig.parts.router._normalizer.acquainting._known.clear()
    rig.drain(rig.put(text("10", contact, "hi")))


def ask(rig: Rig) -> int:
    """Run what is due of profiles; returns how many there were."""
    rows = rig.parts.rows.take([PROFILE], 10)
    for row in rows:
        rig.parts.profiling.run(row)
    return len(rows)


def said(rig: Rig) -> list[Profile]:
    return [m.data.contact for m in rig.messages() if isinstance(m.data, ContactChanged)]


def age(rig: Rig, seconds: float) -> None:
    with rig.database.write() as open_:
        at = now_ms() - int(seconds * 1000)
        open_.execute(sa.update(profiles).values(asked_at_ms=at))


@pytest.mark.usefixtures("page")
def test_a_new_contact_is_asked_for_once(rig: Rig, httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(json=ADA)
    writes(rig)
    assert rig.texts() == ["hi"]  # it waited for nobody
    assert ask(rig) == 1
    writes(rig, anew=True)
    ask(rig)
    (one,) = said(rig)
    assert (one.id, one.name, one.picture) == ("7", "Ada Лавлейс", ADA["profile_pic"])
    (call,) = httpx_mock.get_requests()
    assert call.url.path == "/v24.0/7"
    assert rig.messages()[-1].type == "cleverbox.message.received"


@pytest.mark.usefixtures("page")
def test_what_is_old_is_asked_for_again_and_said_if_it_differs(
    rig: Rig, httpx_mock: HTTPXMock
) -> None:
    again = ADA | {"profile_pic": "https://cdn.example/a.jpg?s=2"}  # the same, signed anew
    for answer in (ADA, again, again | {"last_name": "Byron"}):
        httpx_mock.add_response(json=answer)
        writes(rig, anew=True)
        assert ask(rig) == 1
        age(rig, AGE_S + 60)
    assert [one.name for one in said(rig)] == ["Ada Лавлейс", "Ada Byron"]


@pytest.mark.usefixtures("page")
@pytest.mark.parametrize(("status", "answer"), [(200, {}), (400, NO_PROFILE)])
def test_of_whom_nothing_may_be_known_nothing_is_said(
    rig: Rig, httpx_mock: HTTPXMock, status: int, answer: dict[str, Any]
) -> None:
    httpx_mock.add_response(status_code=status, json=answer)
    writes(rig)
    ask(rig)
    writes(rig, anew=True)
    ask(rig)
    assert said(rig) == []
    assert len(httpx_mock.get_requests()) == 1


@pytest.mark.usefixtures("page")
def test_who_may_not_ask_is_not_asked_for_again_and_again(rig: Rig, httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(status_code=400, json=NO_PERMISSION)
    for contact in ("7", "8", "9"):
        writes(rig, contact)
    while ask(rig):
        pass
    assert len(httpx_mock.get_requests()) == 1
    assert said(rig) == []


def test_without_a_token_nobody_is_asked(rig: Rig) -> None:
    rig.connect("acme", "10")
    writes(rig)
    assert (ask(rig), said(rig)) == (0, [])


@pytest.mark.usefixtures("page")
def test_what_is_away_is_asked_again_later(rig: Rig, httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(status_code=503)
    httpx_mock.add_response(json=ADA)
    writes(rig)
    [row] = rig.parts.rows.take([PROFILE], 10)
    rig.parts.scheduler._run(row)
    with rig.database.write() as open_:
        open_.execute(sa.update(due).where(due.c.kind == PROFILE).values(due_at_ms=0))
    ask(rig)
    assert [one.name for one in said(rig)] == ["Ada Лавлейс"]


@pytest.mark.usefixtures("page")
def test_it_is_erased_with_the_contact_even_while_it_is_asked_for(
    rig: Rig, httpx_mock: HTTPXMock
) -> None:
    contact = contact_hash(rig.vault.tenant("acme"), "facebook", "7")
    assert contact is not None

    def erased_meanwhile(_: httpx.Request) -> httpx.Response:
        Erasing(rig.database).contact("acme", contact, now_ms() + 1000)
        return httpx.Response(200, json=ADA)

    httpx_mock.add_callback(erased_meanwhile)
    writes(rig)
    ask(rig)
    assert said(rig) == []
    left = sa.select(due.c.key).where(due.c.kind == PROFILE)
    with rig.database.read() as open_:
        assert open_.execute(sa.select(profiles)).all() == open_.execute(left).all() == []


def test_while_its_connection_is_paused_it_waits(
    rig: Rig, page: Connection, httpx_mock: HTTPXMock
) -> None:
    writes(rig)
    Pauses(rig.database).order(page.id, reason="", by="test")
    with pytest.raises(Paused):
        ask(rig)
    assert httpx_mock.get_requests() == []
    with rig.database.read() as connection:
        assert len(connection.scalars(sa.select(due.c.key).where(due.c.kind == PROFILE)).all()) == 1
