"""`gateway connections`: by hand, sealed, and routed."""

from storage.connections import ADOPT_MS, Connections
from storage.database import now_ms
from storage.due import DueRows
from storage.grants import RECONCILE, Grants
from storage.schema import grants
from tests.gateway.cli.conftest import Gateway
from tests.rig import Rig, text
from tests.workers.granted import run_due
from token_vault import GrantTokens, Openings

ADD = ("connections", "add", "--tenant", "acme", "--provider", "facebook")


def test_without_a_token_it_receives_and_says_that_it_cannot_call_out(
    rig: Rig, gateway: Gateway
) -> None:
    ran = gateway(*ADD, "--account", "42", "--name", "My Page", "--json")
    assert ran.code == 0
    assert "cannot call out" in ran.err
    assert (ran.json["account"], ran.json["name"]) == ("42", "My Page")
    assert (ran.json["status"], ran.json["calls_out"]) == ("active", False)
    stored = Connections(rig.database).get(ran.json["id"])
    assert b"42" not in stored.account + stored.sealed
    assert abs(now_ms() - ADOPT_MS - stored.receives_from_ms) < 60_000
    route = rig.vault.deployment().hash("route", "facebook", "42")
    assert list(Connections(rig.database).by_route([route])) == [route]


def test_what_concerns_its_parent_is_routed_to_it_too(rig: Rig, gateway: Gateway) -> None:
    ran = gateway(*ADD[:-1], "whatsapp", "--account", "42", "--parent", "7", "--json")
    assert (ran.code, ran.json["account"]) == (0, "42")
    routes = [rig.vault.deployment().hash("route", "whatsapp", key) for key in ("7", "42", "8")]
    found = Connections(rig.database).by_route(routes)
    assert {key: one.id for key, (one,) in found.items()} == dict.fromkeys(
        routes[:2], ran.json["id"]
    )
    assert gateway(*ADD, "--account", "43", "--parent", "\n").code == 2


def test_a_token_comes_on_standard_input_and_is_sealed(rig: Rig, gateway: Gateway) -> None:
    ran = gateway(*ADD, "--account", "42", "--token-stdin", "--json", stdin="EAAsecret\n")
    assert (ran.code, ran.json["calls_out"]) == (0, True)
    assert ran.json["token_obtained_at"] == ran.json["created_at"]
    assert ran.json["token_expires_at"] is None, "nobody said when"
    assert "EAAsecret" not in ran.out + ran.err
    with rig.database.read() as connection:
        grant = connection.execute(grants.select()).one()
    assert b"EAAsecret" not in grant.sealed
    tokens = GrantTokens(rig.vault, Openings(lambda _: None)).open(grant, job="test")
    assert tokens.access_token.reveal() == "EAAsecret"
    assert (tokens.expires_at, tokens.refresh_token) == (None, None)


def test_openings_of_its_tokens_are_listed(rig: Rig, gateway: Gateway) -> None:
    added = gateway(*ADD, "--account", "42", "--token-stdin", "--json", stdin="EAAsecret\n").json
    (id_,) = Grants(rig.database).carrying(added["id"])
    assert gateway("connections", "openings", added["id"], "--json").json == []
    rig.parts.tokens.open(Grants(rig.database).get(id_), job="send")
    rig.parts.openings.flush()
    (line,) = gateway("connections", "openings", added["id"], "--json").json
    assert (line["job"], line["times"], line["grant"]) == ("send", 1, id_)
    assert line["minute"].endswith(":00.000Z")
    assert "send" in gateway("connections", "openings", added["id"]).out
    assert gateway("connections", "openings", "con_none").code == 1


def test_standard_input_without_a_token_is_wrong_usage(rig: Rig, gateway: Gateway) -> None:
    ran = gateway(*ADD, "--account", "42", "--token-stdin", stdin="\n")
    assert (ran.code, "no token" in ran.err) == (2, True)


def test_twice_is_a_conflict(rig: Rig, gateway: Gateway) -> None:
    gateway(*ADD, "--account", "42")
    ran = gateway(*ADD, "--account", "42")
    assert (ran.code, "already connected" in ran.err) == (1, True)


def test_what_cannot_be_an_account_is_refused(rig: Rig, gateway: Gateway) -> None:
    assert gateway(*ADD, "--account", "").code == 2
    assert gateway(*ADD, "--account", "4\x002").code == 2
    assert gateway(*ADD, "--account", "4" * 257).code == 2
    assert gateway(*ADD[:3], "No", *ADD[4:], "--account", "42").code == 2
    assert gateway(*ADD[:5], "myspace", "--account", "42").code == 2
    assert gateway("connections", "list", "--json").json == []


def test_listed_and_shown(rig: Rig, gateway: Gateway) -> None:
    first = gateway(*ADD, "--account", "1", "--json").json
    second = gateway(*ADD[:3], "other", *ADD[4:], "--account", "1", "--json").json
    listed = gateway("connections", "list", "--json").json
    assert listed == [first, second]
    assert gateway("connections", "list", "--tenant", "other", "--json").json == [second]
    assert gateway("connections", "list", "--status", "revoked", "--json").json == []
    assert gateway("connections", "show", first["id"], "--json").json == first
    assert first["id"] in gateway("connections", "list").out
    assert gateway("connections", "show", "con_none").code == 1


def test_a_destroyed_tenant_is_listed_without_its_account(rig: Rig, gateway: Gateway) -> None:
    added = gateway(*ADD, "--account", "42", "--json").json
    rig.vault.destroy_tenant("acme")
    shown = gateway("connections", "show", added["id"], "--json").json
    assert (shown["id"], shown["account"]) == (added["id"], None)
    again = gateway(*ADD, "--account", "43")
    assert (again.code, "destroyed" in again.err) == (1, True)


def test_a_dry_run_says_what_would_end_and_changes_nothing(rig: Rig, gateway: Gateway) -> None:
    id_ = gateway(*ADD, "--account", "42", "--token-stdin", "--json", stdin="EAAsecret").json["id"]
    ran = gateway("connections", "revoke", id_, "--dry-run")
    assert (ran.code, "Nothing was changed" in ran.err) == (0, True)
    assert "would be done" in ran.out
    assert Connections(rig.database).get(id_).status == "active"
    assert gateway("connections", "revoke", "con_none", "--dry-run").code == 1


def test_revoking_shows_how_far_it_is_until_it_is_done(rig: Rig, gateway: Gateway) -> None:
    id_ = gateway(*ADD, "--account", "42", "--token-stdin", "--json", stdin="EAAsecret").json["id"]
    ran = gateway("connections", "revoke", id_, "--reason", "it ended", "--json")
    assert (ran.code, ran.json["state"], ran.json["reason"]) == (0, "running", "it ended")
    assert Connections(rig.database).get(id_).status == "revoking"
    run_due(rig)
    again = gateway("connections", "revoke", id_)
    assert (again.code, "It is revoked" in again.err) == (0, True)
    assert gateway("connections", "revoke", id_, "--json").json["id"] == ran.json["id"]
    assert gateway("connections", "list", "--status", "revoked", "--json").json[0]["id"] == id_


def test_the_sick_are_found_and_explained(rig: Rig, gateway: Gateway) -> None:
    well, ill, gone = (rig.connect("acme", account) for account in ("1", "2", "3"))
    connections = Connections(rig.database)
    cause = "the provider shows none, although we asked for it"
    connections.set_status(ill.id, "degraded", f"subscription: {cause}", {"subscription": cause})
    connections.set_status(gone.id, "needs_reauth", "190/460", {"refused:gra_1": "190/460"})
    listed = gateway("connections", "list", "--ill", "--json").json
    assert [(one["id"], one["cause"]) for one in listed] == [
        (ill.id, "not subscribed"),
        (gone.id, "consent refused"),
    ]
    told = gateway("connections", "explain", ill.id)
    lines = told.out.splitlines()
    assert lines[:2] == [
        "It works in part.",
        f"The provider does not deliver what it should: {cause}.",
    ]
    assert lines[2].startswith("  → ")
    (says, *_) = gateway("connections", "explain", well.id, "--json").json
    assert says == {"says": "It works.", "do": ""}
    assert gateway("connections", "explain", "con_none").code == 1


def test_a_look_is_ordered(rig: Rig, gateway: Gateway) -> None:
    page = rig.connect("acme", "1")
    assert gateway("connections", "resync", page.id).code == 0
    assert DueRows(rig.database).standing(RECONCILE, page.id) is not None
    Connections(rig.database).set_status(page.id, "revoked", "")
    ran = gateway("connections", "resync", page.id)
    assert (ran.code, "revoked" in ran.err) == (1, True)


def test_it_is_paused_and_goes_on(rig: Rig, gateway: Gateway) -> None:
    page = rig.connect("acme", "1")
    paused = gateway("connections", "pause", page.id, "--reason", "moving")
    assert (paused.code, Connections(rig.database).get(page.id).status) == (0, "paused")
    rig.drain(rig.put(text("1", "7", "hello")))
    told = gateway("connections", "explain", page.id).out
    assert "It was paused: what comes in waits. The reason given: moving." in told
    assert "1 deliveries wait" not in told
    assert "1 delivery waits; it came in at " in told
    (waits,) = gateway("deliveries", "list", "--json").json
    assert (waits["status"], waits["connection"]) == ("paused", page.id)
    assert gateway("deliveries", "replay", "--status", "paused").code == 2
    assert gateway("connections", "resume", page.id).code == 0
    assert "It is being resumed" in gateway("connections", "explain", page.id).out
    run_due(rig)
    assert rig.texts() == ["hello"]
    assert "not paused" in gateway("connections", "resume", page.id).err
    assert gateway("connections", "pause", "con_none").code == 1
