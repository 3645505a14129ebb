"""Our own transport, SDK adapters and logins, against the providers as the sandbox plays them."""

from base64 import urlsafe_b64encode
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256

import httpx
import pytest

from connectors import registry
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
from connectors.kit.transport.hosts import rerouted
from connectors.kit.transport.transport import Transport
from contracts.accounts import Offers, Subscribes
from contracts.errors import Permanent, PermissionMissing, Reauthorize, Retryable, Throttled
from contracts.login import Code, Consent, RedirectLogin, Tokens
from contracts.tokens import Secret
from sandbox.settings import Settings
from tests.sandbox.logins import (
    ACCOUNT,
    API,
    APPS,
    FACEBOOK,
    GOOGLE,
    GOOGLE_SECRET,
    INSTAGRAM,
    OLENA,
    SUB,
    Login,
    query_of,
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


ENVIRON = {
    "META_APP_ID": FACEBOOK,
    "META_APP_SECRET": SECRET,
    "META_VERIFY_TOKEN": VERIFY_TOKEN,
    "INSTAGRAM_APP_ID": INSTAGRAM,
    "INSTAGRAM_APP_SECRET": INSTAGRAM_SECRET,
    "GOOGLE_CLIENT_ID": GOOGLE,
    "GOOGLE_CLIENT_SECRET": GOOGLE_SECRET,
}
VERIFIER = "v" * 64
CHALLENGE = urlsafe_b64encode(sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()


@pytest.mark.parametrize(
    ("provider", "person", "account"),
    [
        ("facebook", OLENA, PAGE),
        ("instagram", ACCOUNT, ACCOUNT),
        ("google_calendar", SUB, "olena@example.com"),
        ("gmail", SUB, "olena@example.com"),
    ],
)
def test_every_account_is_connected_subscribed_and_let_go(
    login: Login, transport: Transport, provider: str, person: str, account: str
) -> None:
    built = registry.build(ENVIRON)
    connector = built.connectors[provider]
    assert isinstance(connector, Offers)
    consenting = built.logins[connector.login]
    assert isinstance(consenting, RedirectLogin)
    scopes = frozenset(scope for feature in connector.features for scope in feature.scopes)
    redirect_uri = login.redirect_uri(connector.login)
    pkce = consenting.takes_pkce
    consent = Consent(Secret("s1"), redirect_uri, scopes, CHALLENGE if pkce else None)
    page = f"{rerouted(consenting.consent_url(consent), login.address)}&sandbox_person={person}"
    assert login.http.get(page).status_code == 200
    ticked = {"permission": sorted(scopes), "page": PAGE}
    form = ticked if connector.login == "meta" else {"scope": sorted(scopes)}
    if connector.login == "instagram":
        form = {"scope": sorted(scopes - {"instagram_business_basic"})}
    back = query_of(login.http.post(page, data={"decision": "continue", **form}))
    assert back["state"] == "s1"
    code = Code(Secret(back["code"]), redirect_uri, Secret(VERIFIER) if pkce else None)
    granted = consenting.exchange(transport.client(), code)
    assert granted.scopes >= scopes
    with transport.client(consenting.carry(granted.tokens)) as client:
        [choice] = connector.accounts(client, granted)
    assert choice.account == account
    if isinstance(connector, Subscribes):
        own = tokens((choice.token or granted.tokens.access_token).reveal())
        features = [feature.name for feature in connector.features]
        with transport.client(consenting.carry(own)) as client:
            connector.subscribe(client, account, features)
            assert connector.inspect(client, account, features).on
            assert not connector.inspect(client, account, features).missing
            connector.unsubscribe(client, account)
            assert not connector.inspect(client, account, features).on
    at = {"meta": "facebook"}.get(consenting.name, consenting.name)
    assert not login.state(at).get("subscriptions")
    if connector.login == "instagram":  # it has no call that ends a consent
        return
    consenting.revoke(transport.client(), granted.tokens)
    state = login.state(at)
    assert state["live_tokens"] == 0
    assert not any(one["connected"] for one in state["people"])
