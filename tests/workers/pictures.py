"""Messages with media of a provider on loopback, and what a worker does about them."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from contracts.messages import Message
from storage.connections import Connection
from storage.due import Taken
from storage.media import MEDIA, MediaRow, MediaRows
from storage.objects import ObjectStore
from tests.connectors.kit.loopback import Answer, Server, raw, serving
from tests.rig import Rig, hours_ago
from token_vault import ObjectKey, open_media, span

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 700
"""Of more than two chunks."""


def served(body: bytes, kind: str = "image/png") -> Answer:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return raw(head.encode() + body)


def picture(url: str, *, mid: str = "m_1", kind: str = "image") -> bytes:
    """A Messenger delivery with one attachment."""
    at_ms = hours_ago(0)
    event = {
        "sender": {"id": "7"},
        "recipient": {"id": "10"},
        "timestamp": at_ms,
        "message": {"mid": mid, "attachments": [{"type": kind, "payload": {"url": url}}]},
    }
    entry = {"id": "10", "time": at_ms, "messaging": [event]}
    return json.dumps({"object": "page", "entry": [entry]}).encode()


class Gallery:
    """A rig whose provider is on loopback."""

    def __init__(self, rig: Rig, server: Server) -> None:
        self.rig, self.server = rig, server
        self.rows = MediaRows(rig.database)

    def receive(self, *, mid: str = "m_1", kind: str = "image") -> list[MediaRow]:
        """A message with a picture arrives; its rows."""
        self.rig.drain(self.rig.put(picture(f"{self.server.url}/{mid}", mid=mid, kind=kind)))
        return self.all()

    def all(self) -> list[MediaRow]:
        import sqlalchemy as sa

        from storage.media_schema import media

        with self.rig.database.read() as connection:
            return [MediaRow(*row) for row in connection.execute(sa.select(media))]

    def take(self) -> Sequence[Taken]:
        return self.rows.due.take([MEDIA], 10)

    def work(self) -> None:
        """All that is due."""
        for row in self.take():
            self.rig.parts.media.run(row)

    def make_due(self) -> None:
        """As if the time of every row had come."""
        for row in self.all():
            self.rows.due.schedule(MEDIA, row.id, 1)

    def updates(self) -> list[Message[Any]]:
        return [m for m in self.rig.messages() if m.type == "cleverbox.attachment.updated"]

    def opened(self, row: MediaRow) -> bytes:
        """What is stored, in clear."""
        keys = self.rig.vault.tenant(row.tenant)
        details = open_media(keys, row.id, row.sealed)
        assert details.key is not None
        assert row.size is not None
        assert row.object is not None
        at = span(row.size, 0, row.size)
        sealed = self.rig.parts.objects.read(row.object, at.start, at.length)
        key = ObjectKey(details.key, row.tenant, row.id)
        return b"".join(key.open(sealed, row.size, 0, row.size))

    def objects(self) -> set[str]:
        return {found.name for found in self.rig.parts.objects.names("")}


class Interrupted:
    """An object store where something happens after each object was written."""

    def __init__(self, objects: ObjectStore, then: Callable[[], object]) -> None:
        self.read, self.delete, self.names = objects.read, objects.delete, objects.names
        self._objects, self._then = objects, then

    def put(self, name: str, pieces: Iterable[bytes]) -> None:
        self._objects.put(name, pieces)
        self._then()


@contextmanager
def gallery(database_url: str, folder: Path, answer: Answer) -> Iterator[Gallery]:
    with serving(answer) as server:
        rig = Rig(database_url, folder, sandbox_url=server.url)
        try:
            yield Gallery(rig, server)
        finally:
            rig.close()


def connected(here: Gallery, *tenants: str) -> list[Connection]:
    return [here.rig.connect(tenant, "10") for tenant in tenants]
