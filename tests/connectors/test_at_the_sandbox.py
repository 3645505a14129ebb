"""A consent from the dialog to its end, at the sandbox, which was written from the providers' pages
and not from ours.
"""

import hashlib
import re
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import closing
from urllib.parse import parse_qs, urlsplit

import httpx
import msgspec
import pytest

from connectors.kit.transport.transport import Transport
from connectors.registry import Registry, build
from contracts.accounts import Choice, Offers, Subscribes
from contracts.content import LeadCreated
from contracts.errors import Permanent, Reauthorize
from contracts.login import Code, Consent, Granted, OAuthLogin, RedirectLogin, Tokens, redirect_uri
from contracts.lookups import Completes
from contracts.profiles import TellsProfiles
from contracts.tokens import Secret
from sandbox.settings import Settings
from tests.sandbox.logins import APPS
from tests.sandbox.stage import SECRET, VERIFY_TOKEN, sandbox_server, serving

PUBLIC_URL = "http://localhost:8080"
ENVIRON = {
    "META_APP_ID": APPS["app_id"],
    "META_APP_SECRET": SECRET,
    "META_VERIFY_TOKEN": VERIFY_TOKEN,
    "INSTAGRAM_APP_ID": APPS["instagram_app_id"],
    "INSTAGRAM_APP_SECRET": APPS["instagram_app_secret"],
    "GOOGLE_CLIENT_ID": APPS["google_client_id"],
    "GOOGLE_CLIENT_SECRET": APPS["google_client_secret"],
}
VERIFIER = "v" * 43
CHALLENGE = urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")
_BOX = re.compile(r'type="checkbox" name="(\w+)" value="([^"]+)"(?: checked)?>')
"""A box that can be ticked; a disabled one is not sent."""
every_provider = pytest.mark.parametrize(
    "provider", ["facebook", "instagram", "google_calendar", "gmail"]
)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[str]:
    settings = Settings(f"{PUBLIC_URL}/webhooks/meta", SECRET, VERIFY_TOKEN, **APPS)
    with serving(sandbox_server(settings, ())) as address:
        yield address


class Visit:
    """Somebody's visit to the dialog of a provider's login, and what follows from it."""

    def __init__(self, sandbox: str, provider: str) -> None:
        registry: Registry = build(ENVIRON)
        self.connector = registry.connectors[provider]
        assert isinstance(self.connector, Offers)
        self.offers: Offers = self.connector
        self.login: OAuthLogin = registry.logins[self.offers.login]
        self.uri = redirect_uri(PUBLIC_URL, self.login.name)
        self.transport = Transport(sandbox_url=sandbox)
        self.plain = self.transport.client()
        self._browser = httpx.Client(base_url=sandbox, trust_env=False)
        self.scopes = frozenset(s for f in self.connector.features for s in f.scopes)
        self.features = [feature.name for feature in self.connector.features]

    def close(self) -> None:
        self._browser.close()
        self.transport.close()

    def consent(self) -> Granted:
        return self.login.exchange(self.plain, self.code())

    def code(self) -> Code:
        """Say yes to everything that is asked."""
        pkce = self.login.takes_pkce
        asked = Consent(Secret("S1"), self.uri, self.scopes, CHALLENGE if pkce else None)
        assert isinstance(self.login, RedirectLogin)
        where = urlsplit(self.login.consent_url(asked))
        people = self._browser.get(f"{where.path}?{where.query}").text
        (dialog, *_) = re.findall(r'href="([^"]+\?[^"]+)"', people)
        dialog = dialog.replace("&amp;", "&")
        ticks: dict[str, list[str]] = {"decision": ["continue"]}
        for name, value in _BOX.findall(self._browser.get(dialog).text):
            ticks.setdefault(name, []).append(value)
        back = self._browser.post(dialog, data=ticks).headers["location"]
        assert back.startswith(f"{self.uri}?")
        query = parse_qs(urlsplit(back).query)
        assert query["state"] == ["S1"]
        return Code(Secret(query["code"][0]), self.uri, Secret(VERIFIER) if pkce else None)

    def account(self, granted: Granted) -> tuple[Choice, Tokens]:
        """The first account of the consent, and the tokens that a connection of it would have."""
        (choice, *_) = self.offers.accounts(self.calling(granted.tokens), granted)
        assert not choice.hindrance
        own = choice.token or granted.tokens.access_token
        return choice, msgspec.structs.replace(granted.tokens, access_token=own)

    def calling(self, tokens: Tokens) -> httpx.Client:
        return self.transport.client(self.login.carry(tokens))


@pytest.fixture
def visit(sandbox: str, provider: str) -> Iterator[Visit]:
    with closing(Visit(sandbox, provider)) as visit:
        yield visit


@every_provider
def test_a_consent_gives_what_was_asked_and_an_account(visit: Visit) -> None:
    granted = visit.consent()
    assert granted.scopes >= visit.scopes
    assert not granted.declined
    assert granted.tokens.subject in granted.ids
    choice, tokens = visit.account(granted)
    assert choice.account
    told = visit.login.permissions(visit.plain, tokens)
    assert told is None or told >= visit.scopes


@every_provider
def test_a_code_is_good_once(visit: Visit) -> None:
    code = visit.code()
    visit.login.exchange(visit.plain, code)
    with pytest.raises(Reauthorize):
        visit.login.exchange(visit.plain, code)


@pytest.mark.parametrize("provider", ["facebook", "instagram"])
def test_an_account_is_subscribed_and_unsubscribed(visit: Visit) -> None:
    choice, tokens = visit.account(visit.consent())
    client, account = visit.calling(tokens), choice.account
    assert isinstance(visit.connector, Subscribes)
    assert not visit.connector.inspect(client, account, visit.features).on
    for _ in range(2):
        visit.connector.subscribe(client, account, visit.features)
    found = visit.connector.inspect(client, account, visit.features)
    assert (found.on, found.missing) == (True, frozenset())
    for _ in range(2):
        visit.connector.unsubscribe(client, account)
    assert not visit.connector.inspect(client, account, visit.features).on


@pytest.mark.parametrize("provider", ["facebook", "google_calendar"])
def test_a_consent_ends_with_its_tokens_and_may_be_ended_twice(visit: Visit) -> None:
    _, tokens = visit.account(visit.consent())
    visit.login.refresh(visit.plain, tokens)
    for _ in range(2):
        visit.login.revoke(visit.plain, tokens)
    with pytest.raises(Reauthorize):
        visit.login.refresh(visit.plain, tokens)


@pytest.mark.parametrize("provider", ["instagram"])
def test_instagrams_consent_goes_on_after_we_say_that_it_cannot_be_ended(visit: Visit) -> None:
    granted = visit.consent()
    with pytest.raises(Permanent):
        visit.login.revoke(visit.plain, granted.tokens)
    assert visit.login.permissions(visit.plain, granted.tokens) is None


@pytest.mark.parametrize("provider", ["facebook"])
def test_a_lead_is_completed_with_what_was_filled_in(visit: Visit, sandbox: str) -> None:
    choice, tokens = visit.account(visit.consent())
    made = httpx.post(
        f"{sandbox}/api/facebook/pages/{choice.account}/leads", json={"fields": {"name": "Ada"}}
    ).json()
    assert isinstance(visit.connector, Completes)
    bare = LeadCreated(lead_id=made["id"])
    whole = visit.connector.complete(visit.calling(tokens), choice.account, bare)
    assert isinstance(whole, LeadCreated)
    assert whole.fields == {"name": ("Ada",)}


@pytest.mark.parametrize("provider", ["facebook", "instagram"])
def test_who_writes_is_told_by_name_and_picture(visit: Visit, sandbox: str) -> None:
    choice, tokens = visit.account(visit.consent())
    contacts = f"{sandbox}/api/pages/{choice.account}/contacts"
    httpx.post(contacts, json={"name": "Ada Lovelace", "psid": "4242"}).raise_for_status()
    assert isinstance(visit.connector, TellsProfiles)
    known = visit.connector.profile(visit.calling(tokens), choice.account, "4242")
    assert known.name == "Ada Lovelace"
    assert known.picture.startswith("https://")
