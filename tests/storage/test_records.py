"""Consumers, API keys and connections: small rows with their rules."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from contracts.errors import Conflict, InvalidInput, NotFound, Unauthenticated
from storage.api_keys import ApiKeys
from storage.connections import Connection, Connections, new_id
from storage.consumers import Consumers
from storage.cursors import BEGINNING, Cursor
from storage.database import Database, now_ms
from tests.storage.rows import add_connection, digest

AT_ONCE = 8


def test_a_consumer_is_made_once_and_found_again(database: Database) -> None:
    consumers = Consumers(database)
    made, is_new = consumers.put("", "crm", Cursor(5, 7), None, ["b", "a", "a"])
    assert is_new
    assert (made.cursor, list(made.types)) == (Cursor(5, 7), ["a", "b"])
    again, is_new = consumers.put("", "crm", BEGINNING, None, ["a", "b"])
    assert not is_new
    assert again == made, "putting it again does not move it"
    assert consumers.get("", "crm") == made


def test_a_consumer_is_not_changed_by_putting_another(database: Database) -> None:
    consumers = Consumers(database)
    consumers.put("", "crm", BEGINNING, None, [])
    for tenant, types in (("acme", []), (None, ["message.read"])):
        with pytest.raises(Conflict):
            consumers.put("", "crm", BEGINNING, tenant, types)


def test_names_are_unique_within_a_tenant(database: Database) -> None:
    consumers = Consumers(database)
    consumers.put("acme", "crm", Cursor(1, 1), "acme", [])
    consumers.put("other", "crm", Cursor(2, 2), "other", [])
    assert consumers.get("acme", "crm").cursor == Cursor(1, 1)
    with pytest.raises(NotFound):
        consumers.get("", "crm")


def test_a_commit_goes_forward_and_back_only_when_it_is_said(database: Database) -> None:
    consumers = Consumers(database)
    consumers.put("", "crm", BEGINNING, None, [])
    assert consumers.commit("", "crm", Cursor(9, 3), rewind=False).cursor == Cursor(9, 3)
    assert consumers.commit("", "crm", Cursor(9, 3), rewind=False).cursor == Cursor(9, 3)
    with pytest.raises(Conflict):
        consumers.commit("", "crm", Cursor(8, 2), rewind=False)
    assert consumers.get("", "crm").cursor == Cursor(9, 3)
    assert consumers.commit("", "crm", Cursor(8, 2), rewind=True).cursor == Cursor(8, 2)
    with pytest.raises(NotFound):
        consumers.commit("", "nobody", BEGINNING, rewind=True)


def test_of_commits_at_once_the_furthest_stays(database: Database) -> None:
    consumers = Consumers(database)
    consumers.put("", "crm", BEGINNING, None, [])

    def commit(position: int) -> None:
        with suppress(Conflict):
            consumers.commit("", "crm", Cursor(position, position), rewind=False)

    with ThreadPoolExecutor(AT_ONCE) as threads:
        list(threads.map(commit, range(1, 41)))
    assert consumers.get("", "crm").cursor == Cursor(40, 40)


def _at_once(database: Database, what: Callable[[int], object]) -> list[object]:
    """What came of it, or the error, in each thread; all begin together, with open connections."""
    together = threading.Barrier(AT_ONCE)

    def one(number: int) -> object:
        with database.read():
            together.wait()
        together.wait()
        try:
            return what(number)
        except (Conflict, NotFound) as error:
            return error

    with ThreadPoolExecutor(AT_ONCE) as threads:
        return list(threads.map(one, range(AT_ONCE)))


def test_of_consumers_put_at_once_one_is_new(database: Database) -> None:
    consumers = Consumers(database)
    put = _at_once(database, lambda _: consumers.put("", "crm", BEGINNING, None, [])[1])
    assert sorted(map(str, put)) == ["False"] * (AT_ONCE - 1) + ["True"]


def test_of_connections_added_at_once_one_is_there(database: Database) -> None:
    row = add_connection(database, "con_a", "acme")._replace(account=digest("another account"))
    added = _at_once(
        database, lambda n: Connections(database).add(row._replace(id=f"con_{n}"), [], None)
    )
    assert sum(isinstance(one, Connection) for one in added) == 1
    assert sum(isinstance(one, Conflict) for one in added) == AT_ONCE - 1


def test_of_tenants_that_connect_an_account_at_once_one_is_given_what_came_before(
    database: Database,
) -> None:
    row = add_connection(database, "con_a", "acme")

    def add(number: int) -> Connection:
        mine = row._replace(id=f"con_{number}", tenant=f"tenant_{number}", receives_from_ms=0)
        return Connections(database).add(mine, [digest("a Page of many")], None)

    added = _at_once(database, add)
    assert [x.receives_from_ms for x in added if isinstance(x, Connection)].count(0) == 1


def test_a_key_opens_until_it_is_revoked(database: Database) -> None:
    keys = ApiKeys(database)
    made, clear = keys.create("crm", "acme", "inbox")
    assert clear.startswith("cbg_")
    assert keys.authenticate(clear) == made
    assert keys.list() == [made]
    revoked = keys.revoke(made.id)
    assert revoked.revoked_at_ms is not None
    assert keys.revoke(made.id) == revoked, "revoking again changes nothing"
    for text in (clear, "", "cbg_", clear[:-1], "' OR 1=1 --"):
        with pytest.raises(Unauthenticated):
            keys.authenticate(text)


def test_keys_are_refused_for_unknown_roles_and_ids(database: Database) -> None:
    keys = ApiKeys(database)
    with pytest.raises(InvalidInput):
        keys.create("root", None, "")
    with pytest.raises(NotFound):
        keys.revoke("key_none")


def test_a_keys_clear_text_is_not_in_the_database(sqlite_database: Database) -> None:
    _, clear = ApiKeys(sqlite_database).create("admin", None, "")
    path = Path(sqlite_database.engine.url.database or "")
    sqlite_database.close()
    assert clear.encode() not in path.read_bytes()


def test_an_account_is_connected_once_for_a_tenant(database: Database) -> None:
    row = add_connection(database, "con_a", "acme")
    with pytest.raises(Conflict):
        Connections(database).add(row._replace(id=new_id("con")), [], None)
    other = row._replace(id="con_b", tenant="other", receives_from_ms=0, created_at_ms=now_ms())
    added = Connections(database).add(other, [digest("con_a")], None)
    assert added.receives_from_ms == added.created_at_ms, "another tenant had this route before"
    assert [x.id for x in Connections(database).by_route([digest("con_a")])[digest("con_a")]] == [
        "con_a",
        "con_b",
    ]


def test_a_status_that_changes(connected: Database) -> None:
    connections = Connections(connected)
    before = connections.get("con_a")
    connections.set_status("con_a", "degraded", "a scope is missing")
    after = connections.get("con_a")
    assert (after.status, after.status_reason) == ("degraded", "a scope is missing")
    assert after.changed_at_ms >= before.changed_at_ms
    assert connections.list(status="active") == []
    assert [x.id for x in connections.list(tenant="acme", provider="facebook")] == ["con_a"]
    with pytest.raises(NotFound):
        connections.set_status("con_none", "active", "")
    with pytest.raises(NotFound):
        connections.get("con_none")
