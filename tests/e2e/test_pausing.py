"""A shop that moves: what is written to it meanwhile waits, and comes in order."""

from tests.e2e.crm import Crm
from tests.e2e.provider import Provider
from tests.e2e.stack import Json, texts
from tests.e2e.visitor import connected
from tests.sandbox.stage import wait_until


def kinds(messages: list[Json]) -> list[str]:
    """Types of what the feed says of the connection, in order."""
    types = [one["type"].removeprefix("cleverbox.") for one in messages]
    return [one for one in types if one.startswith("connection.")]


def test_what_is_written_while_it_is_paused_follows(crm: Crm, provider: Provider) -> None:
    person = provider.facebook_person("Owner")
    page = provider.page(person)
    connection = connected(crm, f"shop-{page}", "facebook", person)
    phone = provider.phone(page)
    with crm.feed(f"shop-{page}") as feed:
        phone.write("before")
        feed.until(lambda found: "before" in texts(found))
        crm.pause(connection)
        feed.until(lambda found: kinds(found) == ["connection.paused"])
        words = ["one", "two", "three"]
        for word in words:
            phone.write(word)
        wait_until(lambda: "3 deliveries wait" in crm.health(connection), 30)
        assert texts(feed.pull()) == []
        crm.resume(connection)
        found = feed.until(kinds)
        assert (texts(found), kinds(found)) == (words, ["connection.resumed"])
        phone.write("after")
        feed.until(lambda found: "after" in texts(found))
    assert crm.connection(connection)["status"] == "active"
