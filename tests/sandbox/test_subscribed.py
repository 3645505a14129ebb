"""Webhooks go out when the app is subscribed and still allowed; Pages may be always on."""

from tests.sandbox.logins import ACCOUNT, MARCO, OLENA, Login
from tests.sandbox.stage import INSTAGRAM_SECRET, OTHER_PAGE, PAGE, Receiver, dig, wait_until

PERSON = "7000000000000001"


def wrote(login: Login, page: str, text: str = "Hello", kind: str = "message") -> dict[str, object]:
    """Let somebody write, and return what became of the webhook."""
    path = f"pages/{page}/contacts/{PERSON}/events"
    fields = {"text": text} if kind in ("message", "echo") else {}
    number = login.control(path, kind=kind, **fields)["delivery"]

    def settled() -> bool:
        return bool(record()["status"] in ("delivered", "dropped"))

    def record() -> dict[str, object]:
        document: dict[str, object] = login.http.get(f"/api/deliveries/{number}").json()
        return document

    wait_until(settled)
    return record()


def subscribe(login: Login, token: str, page: str, fields: str) -> None:
    answer = login.graph("POST", f"/{page}/subscribed_apps", token, subscribed_fields=fields)
    assert answer.is_success, answer.text


def test_a_page_that_nobody_ever_subscribed_posts_everything(login: Login) -> None:
    assert wrote(login, PAGE)["status"] == "delivered"
    login.page_token(login.facebook(), PAGE)
    assert wrote(login, PAGE)["status"] == "delivered"


def test_once_subscribed_the_fields_decide(login: Login) -> None:
    token = login.page_token(login.facebook(), PAGE)
    subscribe(login, token, PAGE, "messages")
    assert wrote(login, PAGE)["status"] == "delivered"
    echo = wrote(login, PAGE, kind="echo")
    assert (echo["status"], echo["note"]) == (
        "dropped",
        "never sent: the app is not subscribed to message_echoes",
    )
    login.graph("DELETE", f"/{PAGE}/subscribed_apps", token)
    assert wrote(login, PAGE)["status"] == "dropped"
    assert wrote(login, OTHER_PAGE)["status"] == "delivered"


def test_a_dormant_page_waits_for_its_subscription(login: Login) -> None:
    login.control("pages", id="31", name="New", dormant=True)
    assert wrote(login, "31")["status"] == "dropped"
    subscribe(login, login.page_token(login.facebook(), "31"), "31", "messages")
    assert wrote(login, "31")["status"] == "delivered"


def test_a_page_can_be_made_to_wait(login: Login) -> None:
    login.control(f"facebook/pages/{PAGE}", always_on=False)
    assert wrote(login, PAGE)["status"] == "dropped"


def test_a_subscription_is_silent_without_anybody_who_allows_it(login: Login) -> None:
    subscribe(login, login.page_token(login.facebook(), PAGE), PAGE, "messages")
    login.facebook(MARCO)
    login.control(f"facebook/people/{OLENA}/remove-app")
    assert wrote(login, PAGE)["status"] == "delivered"
    login.control(f"facebook/people/{MARCO}/lose-role", page=PAGE)
    record = wrote(login, PAGE)
    assert record["status"] == "dropped"
    assert "nobody with a role on the Page grants pages_messaging" in str(record["note"])
    assert login.state("facebook")["subscriptions"] == {PAGE: ["messages"]}


def test_a_subscription_can_vanish_silently(login: Login) -> None:
    token = login.page_token(login.facebook(), PAGE)
    subscribe(login, token, PAGE, "messages")
    login.control(f"facebook/pages/{PAGE}/unsubscribe")
    assert wrote(login, PAGE)["status"] == "dropped"
    assert login.graph("GET", f"/{PAGE}/subscribed_apps", token).json() == {"data": []}


def test_an_instagram_account_posts_when_subscribed(login: Login, told: Receiver) -> None:
    assert wrote(login, ACCOUNT)["status"] == "dropped"
    token = login.instagram()
    assert wrote(login, ACCOUNT)["status"] == "dropped"
    login.ig("POST", "/v24.0/me/subscribed_apps", token, subscribed_fields="messages")
    assert wrote(login, ACCOUNT, "Привіт")["status"] == "delivered"
    [post] = told.received
    assert post.signed_with(INSTAGRAM_SECRET)
    assert not post.signed
    assert b'"object":"instagram"' in post.body
    [entry] = post.entries
    [item] = post.items
    assert entry["id"] == ACCOUNT
    assert item["sender"] == {"id": PERSON}
    assert item["recipient"] == {"id": ACCOUNT}
    login.control(f"instagram/accounts/{ACCOUNT}/unsubscribe")
    assert wrote(login, ACCOUNT)["status"] == "dropped"
    assert login.ig("GET", "/v24.0/me/subscribed_apps", token).json() == {"data": []}


def test_instagrams_own_kinds(login: Login, told: Receiver) -> None:
    token = login.instagram()
    login.ig("POST", "/v24.0/me/subscribed_apps", token, subscribed_fields="messages")
    path = f"pages/{ACCOUNT}/contacts/{PERSON}"
    mid = login.control(f"{path}/messages", text="Oops")["mid"]
    login.control(f"{path}/events", kind="unsend", mid=mid)
    login.control(f"{path}/events", kind="read", mid=mid)
    login.control(f"{path}/events", kind="dashboard_test")
    _, unsend, read, test = told.wait_for(4)
    assert dig(unsend.items, 0, "message") == {"mid": mid, "is_deleted": True}
    assert dig(read.items, 0, "read") == {"mid": mid}
    assert test.entries[0]["id"] == "0"
    conversation = login.http.get(f"/api/{path}/conversation").json()["bubbles"]
    assert [bubble["text"] for bubble in conversation if bubble["mid"] == mid] == ["Message unsent"]
    refused = login.http.post(f"/api/{path}/events", json={"kind": "delivery"})
    assert refused.status_code == 422


def test_batches_hold_one_object(login: Login, told: Receiver) -> None:
    login.ig("POST", "/v24.0/me/subscribed_apps", login.instagram(), subscribed_fields="messages")
    wrote(login, PAGE, "to the Page")
    wrote(login, ACCOUNT, "to the account")
    login.control("misbehave", kind="rebatch", count=2)
    again = told.wait_for(4)[2:]
    assert sorted(post.texts for post in again) == [["to the Page"], ["to the account"]]
    assert sorted(post.signed for post in again) == [False, True]
