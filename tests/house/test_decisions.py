"""Decisions of docs/adr that the shape of the code keeps, and no behaviour would show soon."""

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import sqlalchemy as sa

from storage import schema
from storage.database import Database
from storage.migrate import upgrade
from workers.normalizing import event_day

ROOT: Final = Path(__file__).parents[2]
PACKAGES: Final = ("contracts", "storage", "token_vault", "connectors", "workers", "gateway")
DAY_MS: Final = 86_400_000
TODAY: Final = 20_779


def _modules(*packages: str) -> Iterator[tuple[str, ast.Module]]:
    for package in packages:
        for file in sorted((ROOT / package).rglob("*.py")):
            yield str(file.relative_to(ROOT)), ast.parse(file.read_text(encoding="utf-8"))


def _imports(tree: ast.Module) -> set[str]:
    plain = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    return plain | {n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}


def _texts(tree: ast.Module) -> str:
    nodes = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return "\n".join(value for value in nodes if isinstance(value, str))


def test_messages_have_no_second_index(sqlite_url: str) -> None:
    """ADR 6: a message is found by the hint in its deduplication row."""
    assert schema.messages.indexes == set()
    database = Database(sqlite_url)
    upgrade(database)
    with database.read() as connection:
        assert sa.inspect(connection).get_indexes("messages") == []
    database.close()


def test_writes_begin_in_their_turn_alone() -> None:
    """ADR 7: whoever begins a write on the main database's SQLite file holds the turn."""
    beginning = {
        name for name, tree in _modules("storage", "workers", "gateway") if "BEGIN" in _texts(tree)
    }
    assert beginning == {"storage/database.py", "storage/sqlite_writer.py"}
    for name, tree in _modules("storage"):
        if name in beginning:
            assert "storage.turn" in _imports(tree)


def test_asyncpg_is_for_the_event_loop_alone() -> None:
    """ADR 9: the inbox's writer and the listener; everything else goes through SQLAlchemy."""
    users = {name for name, tree in _modules(*PACKAGES) if "asyncpg" in _imports(tree)}
    assert users == {"storage/inbox_writers.py", "gateway/wake.py"}


@pytest.mark.parametrize(
    ("day", "counts_as"),
    [
        (TODAY, TODAY),
        (TODAY + 2, TODAY + 2),
        (TODAY + 3, 0),
        (TODAY + 30_000, 0),
        (TODAY - 5_000, TODAY - 5_000),
        (0, 0),
    ],
)
def test_days_from_the_future_are_day_0(day: int, counts_as: int) -> None:
    """ADR 14: and days of the past stay as they are."""
    assert event_day(day * DAY_MS + 5, TODAY * DAY_MS) == counts_as
    assert event_day(day * DAY_MS + 5, TODAY * DAY_MS + DAY_MS - 1) == counts_as


def test_calls_go_out_through_the_one_transport() -> None:
    """ADR 27: nobody else of those who call providers makes a client, a session or a connection."""
    makers = {
        "Client",
        "AsyncClient",
        "HTTPTransport",
        "AsyncHTTPTransport",
        "ConnectionPool",
        "Session",
        "Http",
        "HTTPConnection",
        "HTTPSConnection",
        "urlopen",
        "create_connection",
    }
    found = {
        (name, node.func.attr)
        for name, tree in _modules("contracts", "connectors", "workers")
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in makers
    }
    kit = "connectors/kit"
    assert found == {
        (f"{kit}/transport/transport.py", "Client"),
        (f"{kit}/transport/transport.py", "ConnectionPool"),
        (f"{kit}/meta/graph.py", "Session"),  # carried over a client
    }


def test_routes_are_made_in_few_places() -> None:
    """ADR 17: from the table of operations; for pages of people; for what providers tell, and what
    they fetch.
    """
    makers = {
        name
        for name, tree in _modules("gateway")
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "Route"
    }
    assert makers == {
        "gateway/operations.py",
        "gateway/pages.py",
        "gateway/connect/pages.py",
        "gateway/media/calls.py",
        "gateway/signals/deletions.py",
        "gateway/signals/google.py",
        "gateway/signals/meta.py",
    }


def test_the_main_database_is_opened_in_one_place() -> None:
    """ADR 20: who opens it elsewhere would leave things in a pooler's sessions."""
    opening = {
        name
        for name, tree in _modules(*PACKAGES)
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name)
        if call.func.id == "Database"
    }
    assert opening == {"storage/pooler.py"}


def test_no_two_classes_of_the_contracts_share_a_name() -> None:
    """Whoever reads one in a connector knows which it is without looking at the imports."""
    names = Counter(
        one.name
        for _, tree in _modules("contracts")
        for one in tree.body
        if isinstance(one, ast.ClassDef)
    )
    assert [name for name, times in names.items() if times > 1] == []
