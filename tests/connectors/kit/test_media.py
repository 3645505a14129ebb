"""Opening media: only from the provider's own hosts, however often an answer leads elsewhere."""

from collections.abc import Callable

import httpx
import pytest

from connectors.kit.media import opened
from connectors.kit.meta.media import CDN, PublicMedia
from connectors.kit.transport.within import Within
from contracts.errors import AddressRefused, Permanent, ProviderError, Retryable
from contracts.media import Media
from tests.connectors.kit.loopback import Answer, raw, serving, transport

PICTURE = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 4\r\n\r\nabcd"


def moved(to: str) -> Answer:
    return raw(f"HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n".encode())


def client(sandbox_url: str) -> httpx.Client:
    return transport(sandbox_url=sandbox_url).client(only=CDN)


def test_it_is_opened_and_not_read_yet() -> None:
    with serving(raw(PICTURE)) as server:
        media = Media(attachment="att_1", place=f"{server.url}/a.png")
        answer = PublicMedia.open(Meta(), client(server.url), media)
        assert b"".join(answer.iter_bytes()) == b"abcd"
        assert b"authorization" not in server.heads[0].lower()


def test_a_redirect_is_followed_as_far_as_the_client_reaches() -> None:
    with serving(raw(PICTURE)) as picture, serving(moved(f"{picture.url}/there")) as server:
        with pytest.raises(AddressRefused):
            opened(client(server.url), f"{server.url}/a.png")
        assert picture.heads == []


@pytest.mark.parametrize("location", ["//[::1", "http://a b/", "ftp://x", "/again"])
def test_a_redirect_that_leads_nowhere_is_refused(location: str) -> None:
    with serving(moved(location)) as server, pytest.raises(Permanent):
        opened(client(server.url), f"{server.url}/a.png")


@pytest.mark.parametrize("place", ["", "att 1", "http://", "file:///etc/passwd", "//[", "a\0b"])
def test_a_place_that_is_no_url_is_refused(place: str) -> None:
    with pytest.raises(Permanent):
        opened(client("http://127.0.0.1:9"), place)


@pytest.mark.parametrize(
    ("status", "error"), [(403, Permanent), (404, Permanent), (204, Permanent), (503, Retryable)]
)
def test_what_is_no_200_is_an_error(status: int, error: type[ProviderError]) -> None:
    with (
        serving(raw(f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode())) as server,
        pytest.raises(error),
    ):
        opened(client(server.url), server.url)


@pytest.mark.parametrize(
    ("url", "reached"),
    [
        ("https://scontent.xx.fbcdn.net/v/a.jpg", True),
        ("https://FBCDN.net/a", True),
        ("https://lookaside.fbsbx.com/ig_messaging_cdn/?asset_id=1", True),
        ("http://scontent.xx.fbcdn.net/a.jpg", False),
        ("https://scontent.xx.fbcdn.net:8443/a.jpg", False),
        ("https://evilfbcdn.net/a", False),
        ("https://fbcdn.net.example/a", False),
        ("https://fbcdn.net@example.com/a", False),
        ("https://example.com/fbcdn.net", False),
        ("https://127.0.0.1/a", False),
    ],
)
def test_hosts_are_told_by_their_whole_name(url: str, reached: bool) -> None:
    check: Callable[[httpx.URL], None] = Within(CDN).check
    if reached:
        check(httpx.URL(url))
    else:
        with pytest.raises(AddressRefused):
            check(httpx.URL(url))


class Meta(PublicMedia):
    """Nothing beside."""
