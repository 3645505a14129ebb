"""The API says what is wrong; the site brings nothing from elsewhere."""

import re

import pytest

from sandbox.app import STATIC
from sandbox.entries import EXAMPLES
from tests.sandbox.stage import PAGE, Phone, Receiver

JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/api/pages/999/contacts/1/messages", '{"text":"a"}', 404),
        (f"/api/pages/{PAGE}/contacts/x1/messages", '{"text":"a"}', 422),
        (f"/api/pages/{PAGE}/contacts/1/messages", '{"text":', 400),
        (f"/api/pages/{PAGE}/contacts/1/messages", "[" * 100_000, 400),
        (f"/api/pages/{PAGE}/contacts/1/messages", "[]", 400),
        (f"/api/pages/{PAGE}/contacts/1/messages", '"' + "a" * 1_100_000 + '"', 413),
        (f"/api/pages/{PAGE}/contacts/1/events", "{}", 422),
        ("/api/deliveries/77/repeat", "{}", 404),
    ],
)
def test_errors_in_words(phone: Phone, path: str, body: str, status: int) -> None:
    answer = phone.http.post(path, content=body, headers=JSON)
    assert answer.status_code == status
    assert answer.json()["error"]


def test_only_json_is_taken(phone: Phone) -> None:
    for path in (f"{phone.path}/messages", "/api/handshake", "/api/misbehave"):
        assert phone.http.post(path, data={"text": "from a form"}).status_code == 415


@pytest.mark.parametrize("query", ["after=x", "wait=31", "limit=0.5e9", "wait=nan", "after=-1"])
def test_bad_queries_are_refused(phone: Phone, query: str) -> None:
    assert phone.http.get(f"/api/deliveries?{query}").status_code == 422


def test_every_kind_travels(phone: Phone, receiver: Receiver) -> None:
    kinds = phone.http.get("/api/kinds").json()["kinds"]
    assert set(kinds) == set(EXAMPLES)
    for kind, given in kinds.items():
        phone.happen(kind, **given)
    posts = receiver.wait_for(len(kinds))
    assert all(post.signed for post in posts)


def test_people_and_pages_can_be_added(phone: Phone) -> None:
    assert phone.post("/api/pages", id="31", name="New")["id"] == "31"
    person = phone.post("/api/pages/31/contacts", name="Ada 🌷")
    assert phone.post("/api/pages/31/contacts", name="Ada 🌷") == person
    pages = phone.http.get("/api/pages").json()["pages"]
    assert person in next(page for page in pages if page["id"] == "31")["contacts"]


def test_the_conversation_follows_edits_and_reactions(phone: Phone) -> None:
    mid = phone.write("Helo")["mid"]
    phone.happen("echo", text="Hi", reply_to=mid)
    phone.happen("message_edit", mid=mid, text="Hello")
    phone.happen("reaction", mid=mid, reaction="love")
    phone.happen("postback", title="Prices", payload="PRICES")
    hello, echo, postback = phone.bubbles()
    assert (hello["text"], hello["edits"], hello["reaction"]) == ("Hello", 1, "❤️")
    assert (echo["author"], echo["reply_to"]) == ("page", mid)
    assert (postback["author"], postback["text"]) == ("note", "postback: Prices")
    phone.happen("reaction", mid=mid, action="unreact", reaction="love")
    assert phone.bubbles()[0]["reaction"] is None


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_graph_refuses_in_its_own_shape(phone: Phone, method: str) -> None:
    answer = phone.http.request(method, "/v24.0/me/horoscope")
    assert answer.status_code == 404
    assert answer.headers["facebook-api-version"] == "v24.0"
    error = answer.json()["error"]
    assert (error["type"], error["code"]) == ("OAuthException", 2500)
    assert "/me/horoscope" in error["message"]
    assert error["fbtrace_id"]


def test_health(phone: Phone) -> None:
    assert phone.http.get("/healthz").json() == {"status": "ok"}


def test_the_site_is_whole_and_strict(phone: Phone) -> None:
    page = phone.http.get("/")
    assert page.headers["content-security-policy"].startswith("default-src 'self'")
    for path in re.findall(r'(?:src|href)="(/[^"]+)"', page.text):
        assert phone.http.get(path).is_success, path
    for name in ("photo.jpg", "voice.wav", "clip.webm", "menu.pdf", "sticker.png"):
        assert phone.http.get(f"/media/{name}").is_success


def test_nothing_comes_from_elsewhere_and_nothing_is_inline() -> None:
    for path in STATIC.glob("*.*"):
        text = path.read_text("utf-8").replace("http://www.w3.org/", "")
        assert not re.search(r"https?://|//cdn", text), path
    page = (STATIC / "index.html").read_text("utf-8")
    assert "<style" not in page
    assert not re.search(r"\son\w+=|style=|<script(?![^>]*src=)", page)
