"""A migrated database of each kind."""

from collections.abc import AsyncIterator, Iterator

import pytest

from storage import migrate
from storage.database import Database
from storage.inbox import InboxWriter
from storage.inbox_writers import inbox_writer
from tests.storage.inbox_writers import Ledger, MemoryWriter, stored
from tests.storage.rows import add_connection


@pytest.fixture
def database_url(migrated_url: str) -> str:
    """All tests here begin with today's schema."""
    return migrated_url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """An empty database at today's schema, once of each kind."""
    database = Database(database_url, pool_size=12)
    migrate.upgrade(database)
    yield database
    database.close()


@pytest.fixture
def postgres(migrated_postgres_url: str) -> Iterator[Database]:
    """An empty PostgreSQL database at today's schema."""
    database = Database(migrated_postgres_url, pool_size=12)
    migrate.upgrade(database)
    yield database
    database.close()


@pytest.fixture
def sqlite_database(sqlite_url: str) -> Iterator[Database]:
    """An empty SQLite database at today's schema."""
    database = Database(sqlite_url, pool_size=12)
    migrate.upgrade(database)
    yield database
    database.close()


@pytest.fixture
def connected_postgres(postgres: Database) -> None:
    """The PostgreSQL database with the active connection `con_a` of tenant `acme`."""
    add_connection(postgres, "con_a", "acme")


@pytest.fixture
def connected(database: Database) -> Database:
    """The database with the active connection `con_a` of tenant `acme`."""
    add_connection(database, "con_a", "acme")
    return database


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[tuple[InboxWriter, Ledger]]:
    """Each writer, and what it has stored."""
    if request.param == "memory":
        memory = MemoryWriter()
        yield memory, lambda: memory.rows
        return
    name = {"sqlite": "sqlite_url", "postgresql": "migrated_postgres_url"}[request.param]
    database = Database(request.getfixturevalue(name))
    migrate.upgrade(database)
    writer = inbox_writer(database.url)
    yield writer, lambda: stored(database)
    database.close()
