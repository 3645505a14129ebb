"""Sends, their outcomes and media at the sandbox, which was written from Meta's pages and not from
ours.
"""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest

from connectors.kit.meta.auth import GraphAuth
from connectors.kit.meta.settings import MetaSettings
from connectors.kit.transport.transport import Transport
from connectors.whatsapp import WhatsApp
from contracts import content
from contracts.connector import Event
from contracts.errors import Permanent, Reauthorize, Throttled
from contracts.media import Media
from contracts.sending import Outgoing
from contracts.tokens import Secret
from sandbox.settings import Settings
from sandbox.whatsapp.payloads import EXAMPLES
from tests.connectors.samples import BENCHES
from tests.sandbox.logins import APPS, Login
from tests.sandbox.stage import (
    FINAL,
    SECRET,
    VERIFY_TOKEN,
    Receiver,
    sandbox_server,
    serving,
    wait_until,
)
from tests.sandbox.whatsapp import ANNA, NUMBER, Business

BENCH = BENCHES["whatsapp"]
WHATSAPP = WhatsApp(MetaSettings(app_secret=Secret(SECRET), verify_token=Secret(VERIFY_TOKEN)))


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[Login, Receiver]]:
    receiver = Receiver()
    with serving(receiver.server()) as told:
        settings = Settings(f"{told}/webhooks/meta", SECRET, VERIFY_TOKEN, **APPS)
        with serving(sandbox_server(settings, ())) as address:
            login = Login(address, told)
            yield login, receiver
            login.http.close()


@pytest.fixture
def business(shared: tuple[Login, Receiver]) -> Business:
    login, receiver = shared
    wait_until(lambda: all(status in FINAL for status in login.statuses()))
    login.control("reset")
    receiver.received.clear()
    return Business(login, receiver).set_up()


@pytest.fixture
def client(business: Business) -> Iterator[httpx.Client]:
    transport = Transport(sandbox_url=business.login.address)
    yield transport.client(GraphAuth(Secret(business.token), Secret(SECRET)))
    transport.close()


def outgoing(**fields: Any) -> Outgoing:
    whole = {"id": "snd_1", "account": NUMBER, "what": "message", "to": ANNA} | fields
    return msgspec.convert(whole, Outgoing)


def told(business: Business) -> list[Event]:
    """What our connector makes of everything that came in."""
    bodies = [post.body for post in business.told.received]
    return [event for body in bodies for event in BENCH.events(body)]


def wait_for(business: Business, kind: type[content.Content]) -> Any:
    """The content of the first such message."""
    wait_until(lambda: any(isinstance(event.content, kind) for event in told(business)))
    return next(event.content for event in told(business) if isinstance(event.content, kind))


CHOICES = [{"title": f"No. {n}", "payload": f"N{n}"} for n in range(5)]


@pytest.mark.parametrize(
    "fields",
    [
        {"text": "Grüße 😀" + "x" * 4_000},
        {"text": "This one", "attachments": [{"kind": "image", "url": "photo.jpg"}]},
        {"attachments": [{"kind": "file", "url": "menu.pdf", "name": "A.pdf"}]},
        {"text": "Which?", "quick_replies": CHOICES[:3]},
        {"text": "Which?", "quick_replies": CHOICES},
        {"template": {"name": "hello_world", "language": {"code": "en_US"}}},
    ],
)
def test_what_we_send_is_taken_and_told_to_have_arrived(
    fields: dict[str, Any], business: Business, client: httpx.Client
) -> None:
    asked = business.happen("message", text="Bread?")["mid"]
    media = f"{business.login.address}/media"  # which WhatsApp fetches
    files = [{**one, "url": f"{media}/{one['url']}"} for one in fields.get("attachments", ())]
    sent = WHATSAPP.send(client, outgoing(reply_to=asked, **{**fields, "attachments": files}))
    received = wait_for(business, content.MessageReceived)
    delivered = wait_for(business, content.MessageDelivered)
    assert delivered.message_ids == (sent.message_id,)
    assert delivered.conversation == received.conversation
    assert business.bubbles()[-1]["mid"] == sent.message_id


def test_a_contact_is_written_to_by_the_id_that_its_message_brought(
    business: Business, client: httpx.Client
) -> None:
    business.happen("message", text="Bread?")
    contact = wait_for(business, content.MessageReceived).sender
    assert contact.id.startswith("DE.")
    sent = WHATSAPP.send(client, outgoing(to=contact.id, text="Yes"))
    assert business.bubbles()[-1]["mid"] == sent.message_id


def test_outside_of_the_window_it_is_taken_and_fails(
    business: Business, client: httpx.Client
) -> None:
    sent = WHATSAPP.send(client, outgoing(text="Hello?"))
    failed = wait_for(business, content.MessageFailed)
    assert (failed.message_ids, failed.error.code) == ((sent.message_id,), "131047")


@pytest.mark.parametrize(
    ("code", "kind"), [(131056, Throttled), (130429, Throttled), (131026, Permanent)]
)
def test_what_is_refused_is_of_the_class_of_its_code(
    code: int, kind: type[Exception], business: Business, client: httpx.Client
) -> None:
    business.login.control("whatsapp/sends", kind="refuse", code=code)
    with pytest.raises(kind):
        WHATSAPP.send(client, outgoing(text="Hello"))


def test_a_token_that_is_none_wants_its_owner(business: Business) -> None:
    transport = Transport(sandbox_url=business.login.address)
    other = transport.client(GraphAuth(Secret("nobodys"), Secret(SECRET)))
    with pytest.raises(Reauthorize):
        WHATSAPP.send(other, outgoing(text="Hello"))
    transport.close()


def test_a_medium_that_came_in_is_fetched(business: Business, client: httpx.Client) -> None:
    business.happen("message", attachments=[{"type": "image"}], text="Look")
    wait_for(business, content.MessageReceived)
    (event,) = told(business)
    (media,) = event.media
    answer = WHATSAPP.open(client, media)
    assert hashlib.sha256(answer.read()).hexdigest() == media.sha256
    answer.close()
    with pytest.raises(Permanent):
        WHATSAPP.open(client, Media(attachment="a", place="404"))


def test_nothing_that_the_sandbox_can_tell_is_strange_to_us(business: Business) -> None:
    business.happen("message", text="Bread?")
    sent = business.send().json()["messages"][0]["id"]
    for kind, example in EXAMPLES.items():
        fields: dict[str, Any] = {name: value or sent for name, value in example.items()}
        business.happen(kind, **fields)
    business.values(len(EXAMPLES) + 3)
    strange = (content.ProviderUnrecognized,)
    assert [event for event in told(business) if isinstance(event.content, strange)] == []
    for post in business.told.received:
        BENCH.check([result for _, some in BENCH.results(post.body) for result in some])
        assert b"unreadable" not in json.dumps(BENCH.outcome(post.body)).encode()
