"""Our own transport, SDK adapters and logins, against the providers as the sandbox plays them."""

from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest

from connectors.kit.google.login import GoogleLogin
from connectors.kit.google.services import calendar, execute, gmail
from connectors.kit.google.settings import GoogleSettings
from connectors.kit.instagram.login import InstagramLogin
from connectors.kit.instagram.settings import InstagramSettings
from connectors.kit.meta.auth import GraphAuth
from connectors.kit.meta.graph import Graph
from connectors.kit.meta.login import MetaLogin
from connectors.kit.meta.settings import MetaSettings
from connectors.kit.transport.auth import Bearer
from connectors.kit.transport.transport import Transport
from contracts.errors import Permanent, PermissionMissing, Reauthorize, Retryable, Throttled
from contracts.login import Tokens
from contracts.tokens import Secret
from sandbox.settings import Settings
from tests.sandbox.logins import (
    API,
    APPS,
    FACEBOOK,
    GOOGLE,
    GOOGLE_SECRET,
    INSTAGRAM,
    OLENA,
    SUB,
    Login,
)
from tests.sandbox.stage import (
    INSTAGRAM_SECRET,
    OTHER_PAGE,
    PAGE,
    SECRET,
    VERIFY_TOKEN,
    sandbox_server,
    serving,
)

META = MetaSettings(Secret(SECRET), Secret(VERIFY_TOKEN), app_id=FACEBOOK)
GATEWAY = "http://localhost:1"


@pytest.fixture(scope="module")
def providers() -> Iterator[Login]:
    """A sandbox whose webhooks reach nobody."""
    pages = {PAGE: "Demo Page", OTHER_PAGE: "Corner Bakery"}
    settings = Settings(f"{GATEWAY}/webhooks/meta", SECRET, VERIFY_TOKEN, pages, **APPS)
    with serving(sandbox_server(settings, ())) as address:
        login = Login(address, GATEWAY)
        yield login
        login.http.close()


@pytest.fixture
def login(providers: Login) -> Login:
    """That sandbox as at its start."""
    providers.control("reset")
    return providers


@pytest.fixture
def transport(login: Login) -> Iterator[Transport]:
    """The one transport, led to the sandbox as a setting would."""
    transport = Transport(sandbox_url=login.address)
    yield transport
    transport.close()


def tokens(access: str, **more: object) -> Tokens:
    obtained = more.get("obtained_at", datetime.now(UTC))
    assert isinstance(obtained, datetime)
    refresh = more.get("refresh_token")
    return Tokens(
        access_token=Secret(access),
        obtained_at=obtained,
        refresh_token=Secret(refresh) if isinstance(refresh, str) else None,
    )


def graph(transport: Transport, token: str) -> Graph:
    client: httpx.Client = transport.client(GraphAuth(Secret(token), Secret(SECRET)))
    return Graph(client, "v24.0", PAGE)


def test_graph_by_the_sdk_with_proofs_and_pages(login: Login, transport: Transport) -> None:
    login.control("switches", require_proof=True)
    room = graph(transport, login.facebook())
    pages = list(room.each("me/accounts", fields="id,access_token", limit=1))
    assert [page["id"] for page in pages] == [PAGE, OTHER_PAGE]
    page = graph(transport, pages[0]["access_token"])
    apps = f"{PAGE}/subscribed_apps"
    assert page.post(apps, subscribed_fields="messages,feed") == {"success": True}
    assert page.get(apps)["data"][0]["subscribed_fields"] == ["messages", "feed"]
    with pytest.raises(Permanent) as refused:
        page.post(apps, subscribed_fields="messaging_seen")
    assert refused.value.code == "100"
    assert page.delete(apps) == {"success": True}
    assert room.delete(f"{OLENA}/permissions") == {"success": True}
    assert login.state("facebook")["live_tokens"] == 0
    with pytest.raises(Reauthorize) as gone:
        room.get("me")
    assert gone.value.code == "190/458"


def test_trouble_at_meta_is_ours_by_name(login: Login, transport: Transport) -> None:
    room = graph(transport, login.facebook())
    login.control("trouble", kind="throttled", path="/me")
    with pytest.raises(Throttled):
        room.get("me")
    login.control("trouble", kind="unavailable", path="/me")
    with pytest.raises(Retryable):
        room.get("me")
    login.control(f"facebook/people/{OLENA}/revoke-permission", permission="pages_manage_metadata")
    page = graph(transport, room.get(PAGE, fields="access_token")["access_token"])
    with pytest.raises(PermissionMissing):
        page.get(f"{PAGE}/subscribed_apps")


def test_the_login_meta_checks_tokens(login: Login, transport: Transport) -> None:
    token = login.facebook(permission="pages_show_list")
    meta, client = MetaLogin(META), transport.client()
    assert meta.refresh(client, tokens(token)).scopes == frozenset(
        {"pages_show_list", "public_profile"}
    )
    login.control(f"facebook/people/{OLENA}/change-password")
    with pytest.raises(Reauthorize) as dead:
        meta.refresh(client, tokens(token))
    assert dead.value.code == "190/460"


def test_the_login_instagram_refreshes(login: Login, transport: Transport) -> None:
    token = login.instagram()
    instagram = InstagramLogin(InstagramSettings(INSTAGRAM, Secret(INSTAGRAM_SECRET)))
    login.control("clock", forward_s=90_000)
    old = tokens(token, obtained_at=datetime(2020, 1, 1, tzinfo=UTC))
    fresh = instagram.refresh(transport.client(), old)
    assert fresh.tokens.access_token.reveal() != token
    assert fresh.scopes == frozenset(
        {"instagram_business_basic", "instagram_business_manage_messages"}
    )


def test_the_login_google_and_its_services(login: Login, transport: Transport) -> None:
    scope = f"{API}calendar.readonly"
    given = login.google(scope)
    google = GoogleLogin(GoogleSettings(GOOGLE, Secret(GOOGLE_SECRET)))
    old = tokens(given["access_token"], refresh_token=given["refresh_token"])
    fresh = google.refresh(transport.client(), old)
    assert fresh.scopes == frozenset({"openid", f"{API}userinfo.email", scope})
    access = fresh.tokens.access_token
    hosts = ["www.googleapis.com", "gmail.googleapis.com"]
    client = transport.client(Bearer(access, hosts))
    items = execute(calendar(client).calendarList().list(minAccessRole="writer"), "one")["items"]
    assert [item["accessRole"] for item in items] == ["owner", "writer"]
    with pytest.raises(PermissionMissing):
        execute(gmail(client).users().getProfile(userId="me"), "one")
    login.control("trouble", kind="throttled", host="www.googleapis.com")
    with pytest.raises(Throttled):
        execute(calendar(client).calendarList().list(), "one")
    login.control(f"google/people/{SUB}/remove-app")
    with pytest.raises(Reauthorize):
        google.refresh(transport.client(), old)
