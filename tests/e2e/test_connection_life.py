"""A connection's life with the real login and connector, at the Meta that the sandbox plays."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from contracts.login import Tokens
from contracts.tokens import Secret
from sandbox.settings import Settings
from storage.connections import Connection
from storage.gaps import Gaps
from storage.schema import connections
from tests.rig import ENVIRON, Rig
from tests.sandbox.logins import APPS, FACEBOOK, OLENA, Login, boxes, query_of
from tests.sandbox.stage import OTHER_PAGE, PAGE, VERIFY_TOKEN, sandbox_server, serving
from tests.workers.granted import consent, said, status
from tests.workers.test_reconciling import look, run

GATEWAY = "http://localhost:1"
NEEDED = "pages_manage_metadata"


@pytest.fixture
def login() -> Iterator[Login]:
    """A sandbox whose webhooks reach nobody."""
    pages = {PAGE: "Demo Page", OTHER_PAGE: "Corner Bakery"}
    secret = ENVIRON["META_APP_SECRET"]
    settings = Settings(f"{GATEWAY}/webhooks/meta", secret, VERIFY_TOKEN, pages, **APPS)
    with serving(sandbox_server(settings, ())) as address:
        login = Login(address, GATEWAY)
        yield login
        login.http.close()


@pytest.fixture
def rig(database_url: str, tmp_path: Path, login: Login) -> Iterator[Rig]:
    environ = {**ENVIRON, "META_APP_ID": FACEBOOK}
    rig = Rig(database_url, tmp_path / "var", sandbox_url=login.address, environ=environ)
    yield rig
    rig.parts.scheduler.stop()
    rig.parts.transport.close()
    rig.close()


def connect(rig: Rig, login: Login) -> Connection:
    """As Olena connects her Page with the feature messages, and looked at since."""
    connection = rig.connect("acme", PAGE)
    with rig.database.write() as open_:
        open_.execute(sa.update(connections).values(status="pending", features=["messages"]))
    consented(rig, login, connection)
    return connection


def consented(rig: Rig, login: Login, connection: Connection) -> None:
    """What was declined before is asked again, and everything ticked."""
    query = login.ask_facebook(auth_type="rerequest")
    ticked = boxes(login.http.get("/v24.0/dialog/oauth", params=query))
    code = query_of(login.decide("/v24.0/dialog/oauth", query, **ticked))["code"]
    secret = ENVIRON["META_APP_SECRET"]
    token = login.exchange_facebook(code, client_secret=secret).json()["access_token"]
    given = Tokens(Secret(login.page_token(token, PAGE)), datetime.now(UTC), subject=OLENA)
    consent(rig, given, [connection], login="meta")
    look(rig, connection)


def fields(login: Login) -> Any:
    """What the Page delivers to the app, at Facebook."""
    return login.state("facebook")["subscriptions"].get(PAGE, [])


def test_connecting_ends_with_messages_flowing_and_is_kept_so(rig: Rig, login: Login) -> None:
    page = connect(rig, login)
    assert (status(rig, page), said(rig)) == (("active", ""), [("activated", None)])
    assert "messages" in fields(login)
    login.control(f"facebook/pages/{PAGE}/unsubscribe")
    assert fields(login) == []
    look(rig, page)
    assert "messages" in fields(login)
    assert status(rig, page) == ("active", "")
    (lost,) = Gaps(rig.database).waiting()
    assert lost.reason == "unsubscribed"


def test_a_permission_taken_back_degrades_and_a_password_needs_the_owner(
    rig: Rig, login: Login
) -> None:
    page = connect(rig, login)
    login.control(f"facebook/people/{OLENA}/revoke-permission", permission=NEEDED)
    look(rig, page)
    state, reason = status(rig, page)
    assert (state, reason) == ("degraded", f"scopes: messages needs {NEEDED}, not granted")
    login.control(f"facebook/people/{OLENA}/change-password")
    look(rig, page)
    assert status(rig, page)[0] == "needs_reauth"
    assert "190/460" in status(rig, page)[1]
    consented(rig, login, page)
    run(rig)
    assert status(rig, page) == ("active", "")
    told = [kind for kind, _ in said(rig)]
    assert told == ["activated", "degraded", "needs_reauth", "recovered"]


def test_a_provider_in_trouble_is_waited_for(rig: Rig, login: Login) -> None:
    page = connect(rig, login)
    login.control("trouble", kind="unavailable", path="/debug_token", count=5)
    look(rig, page)
    assert (status(rig, page), said(rig)) == (("active", ""), [("activated", None)])
