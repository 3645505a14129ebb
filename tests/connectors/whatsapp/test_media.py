"""How a medium of WhatsApp is named, and fetched in two steps."""

import base64
import hashlib
from typing import Any

import httpx
import pytest
from pytest_httpx import HTTPXMock

from connectors.kit.meta.auth import GraphAuth
from connectors.kit.meta.settings import MetaSettings
from connectors.kit.transport.transport import Transport
from connectors.whatsapp import WhatsApp
from connectors.whatsapp.media import to_fetch
from contracts.content import Attachment
from contracts.errors import Permanent, ProviderError, Retryable, Throttled
from contracts.media import Media
from contracts.tokens import Secret
from tests.connectors.samples import BENCHES, fixtures

SECRET = Secret("SECRET3")
WHATSAPP = WhatsApp(MetaSettings(app_secret=SECRET, verify_token=Secret("v"), app_id="3"))
MEDIUM = Media(attachment="att_1", place="1003383421387256")
ADDRESS = "https://lookaside.fbsbx.com/whatsapp_business/attachments/?mid=1&hash=h"


@pytest.fixture
def client() -> httpx.Client:
    return Transport().client(GraphAuth(Secret("TOKEN1"), SECRET))


def test_the_id_tells_an_address_and_both_get_the_token(
    client: httpx.Client, httpx_mock: HTTPXMock
) -> None:
    httpx_mock.add_response(json={"url": ADDRESS, "mime_type": "image/jpeg", "id": "1"})
    httpx_mock.add_response(content=b"picture")
    answer = WHATSAPP.open(client, MEDIUM)
    assert answer.read() == b"picture"
    answer.close()
    asked, fetched = httpx_mock.get_requests()
    assert (asked.url.host, asked.url.path) == ("graph.facebook.com", "/v24.0/1003383421387256")
    assert fetched.url == ADDRESS
    assert [one.headers["authorization"] for one in (asked, fetched)] == ["Bearer TOKEN1"] * 2
    assert "appsecret_proof" not in fetched.url.params


@pytest.mark.parametrize(
    ("status", "answer", "kind"),
    [
        (400, {"error": {"code": 100, "error_subcode": 33}}, Permanent),
        (400, {"error": {"code": 80007}}, Throttled),
        (500, {}, Retryable),
        (200, {"id": "1"}, Retryable),
        (200, {"url": "https://evil.example/1"}, Permanent),
    ],
)
def test_what_answers_mean(
    status: int,
    answer: dict[str, Any],
    kind: type[ProviderError],
    client: httpx.Client,
    httpx_mock: HTTPXMock,
) -> None:
    httpx_mock.add_response(status, json=answer)
    with pytest.raises(kind):
        WHATSAPP.open(client, MEDIUM)


@pytest.mark.parametrize("place", ["", "../me", "1?fields=x", "1/2", "x" * 200, "\n1"])
def test_an_id_that_is_none_is_not_asked_for(place: str, client: httpx.Client) -> None:
    with pytest.raises(Permanent):
        WHATSAPP.open(client, Media(attachment="att_1", place=place))


def test_what_a_message_tells_of_a_medium() -> None:
    digest = hashlib.sha256(b"picture")
    attached = Attachment(id="att_1", kind="image", mime_type="image/jpeg")
    told = {"id": 77, "sha256": base64.b64encode(digest.digest()).decode()}
    assert to_fetch(attached, told) == (
        Media(attachment="att_1", place="77", mime_type="image/jpeg", sha256=digest.hexdigest()),
    )
    for strange in ("a==", "no base64", "", 7, None):
        (media,) = to_fetch(attached, {"id": "77", "sha256": strange})
        assert media.sha256 is None
    none: tuple[dict[str, Any], ...] = ({}, {"id": ""}, {"id": True}, {"id": {}})
    for no_id in none:
        assert to_fetch(attached, no_id) == ()


@pytest.mark.parametrize("kind", ["image", "video", "audio", "document", "sticker"])
def test_every_kind_of_medium_is_fetched(kind: str) -> None:
    bench = BENCHES["whatsapp"]
    path = next(one for one in fixtures(bench.fixtures) if one.stem.startswith(f"messages.{kind}"))
    (event,) = bench.events(path.read_bytes())
    assert [media.place for media in event.media]
