"""Numbers from the signup to their end, at the sandbox, which was written from Meta's pages and not
from ours.
"""

import html
import re
from collections.abc import Iterator

import httpx
import msgspec
import pytest

from connectors.kit.meta.login import EmbeddedSignup
from connectors.kit.transport.transport import Transport
from connectors.registry import build
from connectors.whatsapp import WhatsApp
from contracts.accounts import Choice
from contracts.errors import Permanent, PermissionMissing, Reauthorize
from contracts.login import Code, Granted, Tokens
from contracts.tokens import Secret
from sandbox.settings import Settings
from tests.connectors.kit.oauth import NOW
from tests.sandbox.logins import APPS, MARCO, OLENA, Login
from tests.sandbox.stage import SECRET, VERIFY_TOKEN, sandbox_server, serving
from tests.sandbox.whatsapp import NUMBER, WABA, signed_up

GATEWAY = "http://localhost:8080"
BUILT = build(
    {
        "META_APP_ID": APPS["app_id"],
        "META_APP_SECRET": SECRET,
        "META_VERIFY_TOKEN": VERIFY_TOKEN,
        "META_SIGNUP_CONFIG_ID": "7",
    }
)
FEATURES = ["messages"]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    settings = Settings(f"{GATEWAY}/webhooks/meta", SECRET, VERIFY_TOKEN, **APPS)
    with serving(sandbox_server(settings, ())) as served:
        yield served


class Meta:
    """WhatsApp at the sandbox, as our connector and our login see it."""

    def __init__(self, address: str) -> None:
        self.sandbox = Login(address, GATEWAY)
        self.sandbox.control("reset")
        self.transport = Transport(sandbox_url=address)
        login, connector = BUILT.logins["whatsapp"], BUILT.connectors["whatsapp"]
        assert isinstance(login, EmbeddedSignup)
        assert isinstance(connector, WhatsApp)
        self.login, self.connector = login, connector

    def close(self) -> None:
        self.sandbox.http.close()
        self.transport.close()

    def code(self, person: str, **ticked: str) -> Code:
        """Somebody goes through the signup."""
        page = signed_up(self.sandbox, person, **ticked).text
        found = re.search(r'data-code="(.+?)"', page)
        assert found, page
        return Code(Secret(html.unescape(found[1])), None)

    def granted(self, person: str = OLENA, **ticked: str) -> tuple[Granted, httpx.Client]:
        """What a signup gave, and a client that carries it."""
        granted = self.login.exchange(self.transport.client(), self.code(person, **ticked))
        return granted, self.transport.client(self.login.carry(granted.tokens))

    def by_hand(self, *wabas: str) -> httpx.Client:
        """A client with a token that an admin made."""
        made = self.sandbox.control("whatsapp/tokens", wabas=wabas)["access_token"]
        return self.transport.client(self.login.carry(Tokens(Secret(made), NOW)))

    def number(self, number: str) -> dict[str, object]:
        """What WhatsApp knows of a number."""
        numbers = self.sandbox.state("whatsapp")["numbers"]
        found: dict[str, object] = next(one for one in numbers if one["id"] == number)
        return found


@pytest.fixture
def meta(address: str) -> Iterator[Meta]:
    made = Meta(address)
    yield made
    made.close()


def test_a_number_from_the_signup_to_its_end(meta: Meta) -> None:
    granted, client = meta.granted()
    assert granted.tokens.expires_at is None
    assert granted.tokens.subject == "202290129340398"
    choices = meta.connector.accounts(client, granted)
    assert choices == [Choice(NUMBER, "Demo Bakery, +1 555 010 0001", parent=WABA)]
    meta.connector.register(client, NUMBER)
    meta.connector.register(client, NUMBER)
    assert meta.number(NUMBER)["registered"]
    assert not meta.connector.inspect(client, WABA, FEATURES).on
    meta.connector.subscribe(client, WABA, FEATURES)
    assert meta.connector.inspect(client, WABA, FEATURES).on
    meta.connector.unsubscribe(client, WABA)
    meta.connector.unsubscribe(client, WABA)
    assert not meta.connector.inspect(client, WABA, FEATURES).on
    plain = meta.transport.client()
    meta.login.revoke(plain, granted.tokens)
    meta.login.revoke(plain, granted.tokens)
    with pytest.raises(Reauthorize, match="the app was removed"):
        meta.login.refresh(plain, granted.tokens)


def test_what_the_window_says_was_chosen_is_not_asked(meta: Meta) -> None:
    meta.sandbox.control("switches", signup_lies=True)
    granted, client = meta.granted()
    assert [one.account for one in meta.connector.accounts(client, granted)] == [NUMBER]
    paths = [call["path"] for call in meta.sandbox.http.get("/api/calls").json()["calls"]]
    assert not [path for path in paths if "888888888888888" in path or "999999999999999" in path]


def test_a_code_that_waited_for_half_a_minute_is_too_old(meta: Meta) -> None:
    code = meta.code(OLENA)
    meta.sandbox.control("clock", forward_s=30)
    with pytest.raises(Reauthorize):
        meta.login.exchange(meta.transport.client(), code)


def test_a_number_of_the_business_app_stays_there(meta: Meta) -> None:
    meta.sandbox.control("whatsapp/wabas", id="900", name="Corner", managers=[MARCO])
    added = {"id": "901", "waba": "900", "display": "+49 30 1", "name": "Corner", "on_app": True}
    meta.sandbox.control("whatsapp/numbers", **added)
    _, client = meta.granted(MARCO, number="901")
    meta.connector.register(client, "901")
    assert meta.number("901")["on_app"]
    assert not meta.number("901")["has_pin"]


def test_a_pin_that_is_not_ours_is_its_owners_to_mend(meta: Meta) -> None:
    meta.sandbox.control("whatsapp/wabas", id="900", name="Corner")
    added = {"id": "901", "waba": "900", "display": "+49 30 1", "name": "Corner", "pin": "000000"}
    meta.sandbox.control("whatsapp/numbers", **added)
    with pytest.raises(PermissionMissing, match="another PIN") as caught:
        meta.connector.register(meta.by_hand("900"), "901")
    assert caught.value.code == "133005"


def test_our_pin_is_the_same_every_time_and_another_for_every_number(meta: Meta) -> None:
    pins = [meta.connector.pin(number) for number in (NUMBER, NUMBER, "901")]
    assert all(re.fullmatch(r"\d{6}", pin) for pin in pins)
    assert pins[0] == pins[1] != pins[2]


def test_a_token_by_hand_does_with_the_number_alone(meta: Meta) -> None:
    client = meta.by_hand(WABA)
    meta.connector.subscribe(client, NUMBER, FEATURES)
    assert meta.connector.inspect(client, NUMBER, FEATURES).on
    assert meta.connector.parent(client, NUMBER) == WABA
    more = {"id": "902", "waba": WABA, "display": "+1 555 010 0002", "name": "Second"}
    meta.sandbox.control("whatsapp/numbers", **more)
    with pytest.raises(Permanent, match="has other numbers"):
        meta.connector.unsubscribe(client, NUMBER)
    meta.connector.unsubscribe(client, WABA)
    assert not meta.connector.inspect(client, NUMBER, FEATURES).on


def test_a_waba_that_may_not_be_asked_is_shown_all_the_same(meta: Meta) -> None:
    granted, client = meta.granted()
    targets = {"whatsapp_business_management": frozenset({"900", WABA})}
    choices = meta.connector.accounts(client, msgspec.structs.replace(granted, targets=targets))
    assert [(one.account, one.hindrance) for one in choices] == [
        (NUMBER, ""),
        ("900", "no-access"),
    ]
