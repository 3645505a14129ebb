"""What `connections explain` says after something was taken away at the provider itself."""

from tests.e2e.crm import WITHIN_S, Crm
from tests.e2e.provider import GONE, Provider
from tests.e2e.stack import Json, Run
from tests.e2e.visitor import connected
from tests.sandbox.stage import wait_until


def explained(run: Run, connection: str) -> list[str]:
    """What the command says of a connection."""
    told = run.command("connections", "explain", connection)
    return [f"{one['says']} {one['do']}".strip() for one in told]


def gap(message: Json) -> list[str]:
    """Reason and stream of a gap; nothing of any other message."""
    said = message["data"] if message["type"] == "cleverbox.connection.gap" else {}
    return [said[name] for name in ("reason", "stream") if name in said]


def test_a_subscription_that_vanished_in_silence_is_said_and_mended(
    run: Run, crm: Crm, provider: Provider
) -> None:
    person = provider.facebook_person("Owner")
    page = provider.page(person)
    connection = connected(crm, f"bakery-{page}", "facebook", person)
    path = f"/{page}/subscribed_apps"
    provider.act("trouble", kind="unavailable", method="POST", path=path)
    provider.act(f"facebook/pages/{page}/unsubscribe")
    crm.resync(connection)
    wait_until(lambda: "The last look at it failed" in crm.health(connection), WITHIN_S)
    provider.act("trouble/clear")
    crm.resync(connection)
    with crm.feed(f"bakery-{page}") as feed:
        found = feed.until(lambda found: any(gap(one) for one in found))
    assert [gap(one) for one in found if gap(one)] == [["unsubscribed", "messages"]]
    assert provider.subscribed("facebook", page)
    says = explained(run, connection)
    assert says[0] == "It works."
    assert any(one.startswith("Its subscription was found whole at ") for one in says)
    assert not any("failed" in one for one in says)


def test_who_removes_the_app_ends_the_connection_and_it_says_why(
    run: Run, crm: Crm, provider: Provider
) -> None:
    person = provider.facebook_person("Owner")
    page = provider.page(person)
    connection = connected(crm, f"bakery-{page}", "facebook", person)
    told = provider.act(f"facebook/people/{person}/remove-app")
    assert told["deauthorize"]["status"] == 200
    crm.until(connection, "revoked")
    assert provider.consent("facebook", person) == GONE
    [says] = explained(run, connection)
    assert says == (
        "It has ended, and its tokens are destroyed. The reason given: the app was removed in the "
        "account's own settings. Its owner may connect it again."
    )


def test_google_tells_that_tokens_were_revoked_and_its_owner_is_asked_again(
    run: Run, crm: Crm, provider: Provider
) -> None:
    """Signed and posted by another process, with keys that the edge has to fetch."""
    person = provider.google_person("Owner")
    connection = connected(crm, f"salon-{person}", "google_calendar", person)
    path = f"google/people/{person}/event"
    forged = provider.act(path, event="tokens-revoked", forge=True)["risc"]
    assert forged["status"] == 400
    assert crm.connection(connection)["status"] == "active"
    told = provider.act(f"google/people/{person}/remove-app")["risc"]
    assert told["status"] == 202
    crm.until(connection, "needs_reauth")
    assert crm.connection(connection)["calls_out"] is False, "its tokens are destroyed"
    says = explained(run, connection)
    assert says[0] == "It does not work until its owner connects it again."
    assert any("Have its owner connect again: http" in one for one in says)
