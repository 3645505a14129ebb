"""What every login, and every connector whose accounts are connected through one, must keep; a new
one gets these tests by its line in the registry.
"""

from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from pytest_httpx import HTTPXMock

from connectors.kit.transport.hosts import HOSTS
from connectors.kit.transport.transport import Transport
from connectors.registry import build
from contracts.accounts import Offers, Subscribes
from contracts.connector import Connector, Receives
from contracts.errors import OutcomeUnknown, Permanent
from contracts.login import (
    Code,
    Consent,
    OAuthLogin,
    RedirectLogin,
    WindowLogin,
    redirect_uri,
)
from contracts.tokens import Secret
from tests.connectors.kit.oauth import tokens
from tests.connectors.samples import ENVIRON

REGISTRY = build(ENVIRON)
OFFERING = [one for one in REGISTRY.connectors.values() if isinstance(one, Offers)]
SUBSCRIBING = [one for one in OFFERING if isinstance(one, Subscribes)]
every_login = pytest.mark.parametrize("login", REGISTRY.logins.values(), ids=lambda one: one.name)
REDIRECTING = [one for one in REGISTRY.logins.values() if isinstance(one, RedirectLogin)]
OPENING = [one for one in REGISTRY.logins.values() if isinstance(one, WindowLogin)]
every_redirect = pytest.mark.parametrize("login", REDIRECTING, ids=lambda one: one.name)
every_window = pytest.mark.parametrize("login", OPENING, ids=lambda one: one.name)
OWNERS = {"whatsapp": "meta"}
"""Logins whose hosts are called otherwise."""
every_offer = pytest.mark.parametrize("connector", OFFERING, ids=lambda one: one.name)
PUBLIC_URL = "https://gw.example"


def _consent(login: OAuthLogin, *scopes: str, again: bool = False) -> Consent:
    return Consent(
        state=Secret("STATE-1_x~"),
        redirect_uri=redirect_uri(PUBLIC_URL, login.name),
        scopes=frozenset(scopes),
        challenge="CHALLENGE1" if login.takes_pkce else None,
        again=again,
    )


def _asked(url: str) -> dict[str, list[str]]:
    return parse_qs(urlsplit(url).query, keep_blank_values=True)


# -- logins ----------------------------------------------------------------------------------------


def test_all_are_on_and_named_as_the_registry_names_them() -> None:
    assert not REGISTRY.logins_off
    assert all(name == login.name for name, login in REGISTRY.logins.items())
    assert all(login.title for login in REGISTRY.logins.values())


@every_redirect
@pytest.mark.parametrize("again", [False, True])
def test_a_dialog_is_the_providers_own_and_names_us_and_nothing_secret(
    login: RedirectLogin, again: bool
) -> None:
    url = login.consent_url(_consent(login, "scope.one", "scope.two", again=again))
    asked = _asked(url)
    assert urlsplit(url).scheme == "https"
    assert urlsplit(url).hostname in HOSTS
    assert asked["client_id"] == [ENVIRON[_id_of(login)]]
    assert asked["response_type"] == ["code"]
    assert asked["state"] == ["STATE-1_x~"]
    assert asked["redirect_uri"] == [f"https://gw.example/oauth/{login.name}/callback"]
    assert {"scope.one", "scope.two"} <= set(asked["scope"][0].replace(",", " ").split())
    secrets = (value for name, value in ENVIRON.items() if name.endswith(("SECRET", "TOKEN")))
    assert not [secret for secret in secrets if secret in url]


def _id_of(login: OAuthLogin) -> str:
    return f"{login.name.upper()}_{'CLIENT' if login.name == 'google' else 'APP'}_ID"


@every_redirect
def test_who_was_asked_already_is_asked_once_more_only_on_request(login: RedirectLogin) -> None:
    usual, again = (login.consent_url(_consent(login, "a", again=a)) for a in (False, True))
    assert usual != again or "prompt=consent" in usual


@every_redirect
def test_a_challenge_is_told_where_the_provider_takes_one(login: RedirectLogin) -> None:
    asked = _asked(login.consent_url(_consent(login, "a")))
    assert asked.get("code_challenge") == (["CHALLENGE1"] if login.takes_pkce else None)
    assert asked.get("code_challenge_method") == (["S256"] if login.takes_pkce else None)


@every_window
def test_a_window_is_the_providers_own_and_gets_nothing_secret(login: WindowLogin) -> None:
    window = login.window(_consent(login, "scope.one"))
    assert urlsplit(window.script).scheme == "https"
    assert {urlsplit(url).hostname for url in (window.script, window.origins[0])} <= HOSTS.keys()
    secrets = [v for n, v in ENVIRON.items() if n.endswith(("SECRET", "TOKEN"))]
    told = repr(window)
    assert not [secret for secret in (*secrets, "STATE-1_x~") if secret in told]


@every_window
def test_a_code_of_a_window_is_sent_once_and_names_no_redirect(
    login: WindowLogin, httpx_mock: HTTPXMock
) -> None:
    httpx_mock.add_exception(httpx.ReadTimeout("CODE1"))
    with pytest.raises(OutcomeUnknown):
        login.exchange(Transport().client(), Code(Secret("CODE1"), None))
    (sent,) = httpx_mock.get_requests()
    form = parse_qs(sent.content.decode())
    assert form["code"] == ["CODE1"]
    assert "redirect_uri" not in form
    assert sent.url.query == b""


@every_redirect
def test_a_code_is_sent_once_with_the_same_redirect_uri_and_never_in_an_address(
    login: RedirectLogin, httpx_mock: HTTPXMock
) -> None:
    httpx_mock.add_exception(httpx.ReadTimeout("CODE1"))
    uri = redirect_uri(PUBLIC_URL, login.name)
    code = Code(Secret("CODE1"), uri, Secret("VERIFIER1") if login.takes_pkce else None)
    with pytest.raises(OutcomeUnknown) as caught:
        login.exchange(Transport().client(), code)
    (sent,) = httpx_mock.get_requests()
    form = parse_qs(sent.content.decode())
    assert (form["code"], form["redirect_uri"]) == (["CODE1"], [uri])
    assert form.get("code_verifier") == (["VERIFIER1"] if login.takes_pkce else None)
    assert sent.url.query == b""
    assert "CODE1" not in str(caught.value)


@every_login
@pytest.mark.parametrize(
    "url", ["https://evil.example/me", "http://graph.facebook.com/me", "https://127.0.0.1/me"]
)
def test_a_token_is_carried_to_the_providers_own_hosts_alone(
    login: OAuthLogin, url: str, httpx_mock: HTTPXMock
) -> None:
    client = Transport().client(login.carry(tokens()))
    with pytest.raises(Permanent, match="not for this host"):
        client.get(url)
    assert httpx_mock.get_requests() == []


@every_login
@pytest.mark.parametrize("other", REGISTRY.logins.values(), ids=lambda one: one.name)
def test_no_token_reaches_another_provider(
    login: OAuthLogin, other: OAuthLogin, httpx_mock: HTTPXMock
) -> None:
    refused = {host for host, whose in HOSTS.items() if whose != OWNERS.get(login.name, login.name)}
    assert refused
    client = Transport().client(login.carry(tokens()))
    for host in refused:
        with pytest.raises(Permanent, match="not for this host"):
            client.get(f"https://{host}/{other.name}")
    assert httpx_mock.get_requests() == []


@every_login
def test_a_login_does_not_show_its_secrets(login: OAuthLogin) -> None:
    shown = repr(login) + repr(vars(login))
    assert not [v for n, v in ENVIRON.items() if n.endswith("SECRET") and v in shown]


# -- connectors ------------------------------------------------------------------------------------


@every_offer
def test_accounts_are_offered_through_a_login_of_the_registry(connector: Offers) -> None:
    assert connector.login in REGISTRY.logins


@every_offer
def test_a_name_of_a_feature_may_stand_in_the_key_of_a_text(connector: Connector) -> None:
    """`feature.<provider>.<name>` says on the connect page what is read, and why."""
    assert all(feature.name.isidentifier() for feature in connector.features)
    assert connector.name.isidentifier()


@every_offer
def test_what_receives_can_be_subscribed(connector: Connector) -> None:
    """An account that nobody subscribes would be connected and silent."""
    assert isinstance(connector, Receives) == isinstance(connector, Subscribes)


@pytest.mark.parametrize("connector", SUBSCRIBING, ids=lambda one: one.name)
def test_each_feature_has_something_delivered(connector: Connector, httpx_mock: HTTPXMock) -> None:
    """But for one that brings nothing: it only allows more to be sent."""
    assert isinstance(connector, Subscribes)
    httpx_mock.add_response(json={"data": []}, is_reusable=True)
    for feature in connector.features:
        found = connector.inspect(Transport().client(), "1", [feature.name])
        assert not found.on
        assert bool(found.missing) == bool(feature.brings)
