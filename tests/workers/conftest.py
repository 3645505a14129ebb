"""A rig on each database."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.rotations import Rotations
from tests.rig import Rig


@pytest.fixture
def database_url(migrated_url: str) -> str:
    """All tests here begin with today's schema."""
    return migrated_url


@pytest.fixture
def rig(database_url: str, tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(database_url, tmp_path / "var")
    yield rig
    rig.close()


@pytest.fixture
def orders(rig: Rig) -> Rotations:
    return Rotations(rig.database)
