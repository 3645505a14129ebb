"""A real edge in a thread, over a rig that can be drained."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import uvicorn

from gateway.app import create_app
from gateway.client import Gateway
from gateway.serve import Server
from storage.api_keys import ApiKeys
from tests.processes import eventually
from tests.rig import ENVIRON, Rig, text


class Edge(NamedTuple):
    """Where the edge listens, a key of all tenants, and the rig behind it."""

    url: str
    key: str
    rig: Rig

    def receive(self, *words: str, contact: str = "7") -> None:
        """Messages of a contact, received and drained."""
        self.rig.drain(self.rig.put(*(text("42", contact, one) for one in words)))


@pytest.fixture
def database_url(migrated_url: str) -> str:
    """All tests here begin with today's schema."""
    return migrated_url


@pytest.fixture
def edge(database_url: str, tmp_path: Path, free_port: int) -> Iterator[Edge]:
    rig = Rig(database_url, tmp_path / "var")
    rig.connect("acme", "42")
    app = create_app(rig.settings, ENVIRON)
    config = uvicorn.Config(app, host="127.0.0.1", port=free_port, log_config=None, ws="none")
    server = Server(config, app)
    thread = threading.Thread(target=server.run)
    thread.start()
    eventually(lambda: server.started)
    _, key = ApiKeys(rig.database).create("crm", None, "test")
    yield Edge(f"http://127.0.0.1:{free_port}", key, rig)
    server.should_exit = True
    thread.join()
    rig.close()


@pytest.fixture
def client(edge: Edge) -> Iterator[Gateway]:
    with Gateway(edge.url, edge.key, patience_s=5) as client:
        yield client
