"""Tenants share a Page or a person: each gets its own, and only the last ends it."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.crm import Crm
from tests.e2e.provider import GONE, Provider
from tests.e2e.stack import say, texts
from tests.e2e.visitor import Visitor, connected
from tests.sandbox.stage import Phone

REFUSED = ("It is being disconnected just now", "The sign-in was too old")
"""What may be told to somebody who connects while the last connection ends."""


def gets(crm: Crm, tenant: str, *expected: str) -> None:
    """All that ever reached the tenant, up to the last of `expected`."""
    with crm.feed(tenant) as feed:
        found = texts(feed.until(lambda found: expected[-1] in texts(found)))
    assert found == list(expected)


def names(tenant: str, phone: Phone) -> str:
    """A tenant that no other test has."""
    return f"{tenant}-{phone.path.rpartition('/')[2]}"


@pytest.mark.parametrize("people", [1, 2], ids=["one-person", "two-persons"])
def test_a_page_of_two_tenants_ends_with_the_last(
    crm: Crm, provider: Provider, people: int
) -> None:
    persons = [provider.facebook_person(f"Owner {n}") for n in range(people)]
    page = provider.page(*persons)
    phone = provider.phone(page)
    one, other = names("one", phone), names("other", phone)
    first = connected(crm, one, "facebook", persons[0])
    phone.write("only one was there")
    gets(crm, one, "only one was there")
    second = connected(crm, other, "facebook", persons[-1])
    phone.write("both are there")
    gets(crm, one, "only one was there", "both are there")
    gets(crm, other, "both are there")

    receipt = crm.revoke(first)
    assert receipt["subscription"] == "kept"
    assert receipt["consent"] == ("kept" if people == 1 else "ended")
    assert provider.subscribed("facebook", page)
    assert provider.consent("facebook", persons[-1])[0]
    if people == 2:
        assert provider.consent("facebook", persons[0]) == GONE
    phone.write("the other is left")
    gets(crm, other, "both are there", "the other is left")
    gets(crm, one, "only one was there", "both are there")
    asks_and_is_answered(crm, provider, second, f"/{page}/subscribed_apps")

    receipt = crm.revoke(second)
    assert (receipt["subscription"], receipt["consent"]) == ("ended", "ended")
    assert provider.subscribed("facebook", page) == []
    assert [provider.consent("facebook", person) for person in persons] == [GONE] * people
    assert phone.settled(phone.write("nobody is left")["delivery"])["status"] == "dropped"


def asks_and_is_answered(crm: Crm, provider: Provider, connection: str, path: str) -> None:
    """A look at the connection calls the provider there, and finds all well."""
    before = provider.newest_call()
    crm.resync(connection)
    assert provider.answered(before, path) == 200
    assert crm.connection(connection)["status"] == "active"


def test_a_google_user_of_two_tenants_ends_with_the_last(crm: Crm, provider: Provider) -> None:
    person = provider.google_person("Olha")
    first = connected(crm, f"one-{person}", "google_calendar", person)
    second = connected(crm, f"other-{person}", "google_calendar", person)
    assert crm.revoke(first)["consent"] == "kept"
    assert provider.consent("google", person)[0]
    provider.act("clock", forward_s=3_700)  # access tokens end, so that a new one is fetched
    asks_and_is_answered(crm, provider, second, "/token")
    assert crm.revoke(second)["consent"] == "ended"
    assert provider.consent("google", person) == GONE


@pytest.mark.parametrize("step", ["pick", "allow"])
def test_a_connect_that_races_the_last_revocation_works_or_is_refused(
    crm: Crm, provider: Provider, step: str
) -> None:
    """`step`: how far the person is when the revocation is ordered."""
    ended = [race(crm, provider, step, wait_ms) for wait_ms in (-100, 0, 50, 150, 400)]
    say(f"after {step}: {ended}")


def race(crm: Crm, provider: Provider, step: str, wait_ms: int) -> str:
    """One round: the person goes on `wait_ms` after the order; returns what they are told."""
    person = provider.facebook_person("Racer")
    page = provider.page(person)
    first = connected(crm, f"one-{page}", "facebook", person)
    with Visitor(person) as visitor, ThreadPoolExecutor(1) as pool:
        visitor.open(crm.link(f"other-{page}", "facebook"))
        visitor.ask()
        if step == "pick":
            visitor.allow()
        going = pool.submit(go_on, visitor, step, max(0, wait_ms) / 1000)
        time.sleep(max(0, -wait_ms) / 1000)
        crm.order_revocation(first)
        going.result()
        told = visitor.heading
        if told == "Connected":
            works(crm, provider, page, visitor.connected[0])
        else:
            assert told in REFUSED, visitor.page.text
            assert crm.of(f"other-{page}") == []
    crm.until(first, "revoked")
    assert provider.subscribed("facebook", page) == []
    assert provider.consent("facebook", person) == GONE
    return told


def go_on(visitor: Visitor, step: str, wait_s: float) -> None:
    """To the end, or to where it is refused."""
    time.sleep(wait_s)
    if step == "allow":
        visitor.allow()
    if visitor.heading == "What shall be connected?":
        visitor.pick()


def works(crm: Crm, provider: Provider, page: str, connection: str) -> None:
    """It becomes active, and a message arrives; then it is ended as well."""
    crm.until(connection, "active")
    provider.phone(page).write("is anybody there?")
    gets(crm, f"other-{page}", "is anybody there?")
    crm.revoke(connection)
