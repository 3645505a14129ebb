"""Key stores on both databases, vaults over a local keyring and over a fake KMS."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.token_vault.fakes import Clock, FakeKms, local
from token_vault import Keks, KeyStore, Vault


@pytest.fixture
def keystore(database_url: str) -> Iterator[KeyStore]:
    """A created key store, on SQLite and on PostgreSQL."""
    store = KeyStore(database_url)
    store.create()
    yield store
    store.close()


@pytest.fixture
def kms() -> FakeKms:
    """A KMS that can be away."""
    return FakeKms()


@pytest.fixture
def clock() -> Clock:
    """The vault's clock."""
    return Clock()


@pytest.fixture(params=["local", "kms"])
def kek(request: pytest.FixtureRequest, tmp_path: Path, kms: FakeKms) -> Keks:
    """A key-encryption key from a keyring file, and the fake one: they pass the same tests."""
    if request.param == "kms":
        return kms.keks()
    return local(tmp_path / "keyring.json")


@pytest.fixture
def vault(keystore: KeyStore, kek: Keks, clock: Clock) -> Vault:
    """A vault on every database with every key-encryption key."""
    return Vault(keystore, kek, clock=clock)
