"""A running edge on each database."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.gateway.edges import FakeJobs, World, running
from tests.gateway.lines import Site, serving
from tests.rig import Rig


@pytest.fixture
def database_url(migrated_url: str) -> str:
    """All tests here begin with today's schema."""
    return migrated_url


@pytest.fixture
def rig(database_url: str, tmp_path: Path) -> Iterator[Rig]:
    """Stores of a deployment, and its workers' part."""
    made = Rig(database_url, tmp_path / "var")
    yield made
    made.close()


@pytest.fixture
async def world(rig: Rig) -> AsyncIterator[World]:
    """A running edge over the rig."""
    async with running(rig, FakeJobs()) as world:
        yield world


@pytest.fixture
def site(sqlite_url: str, tmp_path: Path) -> Iterator[Site]:
    """An edge behind a real socket."""
    with serving(sqlite_url, tmp_path) as served:
        yield served
