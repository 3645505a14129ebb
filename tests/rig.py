"""The message's way without HTTP: a store, a vault and a drain, for tests of either database."""

import asyncio
import hashlib
import hmac
import itertools
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from connectors import registry
from contracts.connector import Connector, Delivery, Item
from contracts.login import Login
from contracts.messages import Message, decode
from contracts.settings import Settings
from gateway.connecting import Connecting, ManualAccount
from storage import message_id, migrate, partitions
from storage.connections import Connection, Connections
from storage.cursors import BEGINNING, Cursor
from storage.database import Database, now_ms
from storage.inbox import Inbox, NewItem, RunKey
from storage.inbox_writers import inbox_writer
from storage.lanes import lane_of
from storage.log import EVERYTHING, Filter, MessageLog
from token_vault import Purpose, RunSealer, open_vault
from workers.composition import Parts

APP_SECRET = "test-secret"
ENVIRON = {"META_APP_ID": "1", "META_APP_SECRET": APP_SECRET, "META_VERIFY_TOKEN": "verify"}

_numbers = itertools.count(1)


class Rig:
    """One deployment in this process. `put` stores deliveries as the edge does."""

    def __init__(
        self,
        database_url: str,
        folder: Path,
        logins: Mapping[str, Login] | None = None,
        *,
        kek_uri: str | None = None,
        connectors: Mapping[str, Connector] | None = None,
        sandbox_url: str | None = None,
        environ: Mapping[str, str] = ENVIRON,
    ) -> None:
        self.settings = Settings(
            data_dir=folder,
            database_url=database_url,
            kek_uri=kek_uri,
            sandbox_url=sandbox_url,
            allow_networks="127.0.0.1",  # where the tests' providers are
        )
        database = Database(database_url)
        migrate.upgrade(database)
        database.close()
        vault = open_vault(self.settings)
        vault.upgrade()
        vault.close()
        self.parts = Parts(self.settings, environ, logins, connectors)
        self.database, self.vault = self.parts.database, self.parts.vault
        self.endpoint = registry.build(ENVIRON).endpoints["meta"]
        self.log = MessageLog(self.database)
        self.sealer = self.vault.run_sealer(datetime.now(UTC).date())
        self.parts.upkeep.prepare()

    def connect(self, tenant: str, account: str) -> Connection:
        connecting = Connecting(Connections(self.database), self.vault, ("facebook",))
        return connecting.add(ManualAccount(tenant, "facebook", account), None).connection

    def put(self, *bodies: bytes) -> list[int]:
        """Store signed deliveries in one commit; returns the lanes."""
        return self.put_items([item for body in bodies for item in self.split(body)])

    def split(self, body: bytes) -> list[Item]:
        return self.endpoint.split(self.endpoint.verify(signed(body)))

    def put_items(self, items: Sequence[Item], received_at_ms: int | None = None) -> list[int]:
        at = now_ms() if received_at_ms is None else received_at_ms
        rows = [stored(self.sealer, item, at) for item in items]
        asyncio.run(self._write(rows))
        return sorted({row.lane for row in rows})

    async def _write(self, rows: Sequence[NewItem]) -> None:
        inbox = Inbox(inbox_writer(self.settings.database), lambda lanes: None)
        inbox.start()
        await inbox.put(run_key(self.sealer), rows)
        await inbox.stop()

    def drain(self, lanes: Sequence[int]) -> None:
        self.parts.drainer.drain(lanes)

    def messages(self, after: Cursor = BEGINNING, only: Filter = EVERYTHING) -> list[Message[Any]]:
        found = []
        while True:
            page = self.log.read(after, 1000, only)
            for row in page.rows:
                if row.sealed is not None:
                    keys = self.vault.tenant(row.tenant)
                    name = message_id.seal_id(row.day, row.hash)
                    found.append(decode(keys.open(Purpose.MESSAGE, name, row.sealed)))
            after = page.next
            if not page.has_more:
                return found

    def texts(self) -> list[str]:
        return [m.data.text for m in self.messages() if m.type == "cleverbox.message.received"]

    def close(self) -> None:
        self.parts.transport.close()
        self.parts.media_transport.close()
        self.database.close()
        self.vault.close()


def run_key(sealer: RunSealer) -> RunKey:
    return RunKey(sealer.id, (sealer.day - date(1970, 1, 1)).days, sealer.wrapped)


def stored(sealer: RunSealer, item: Item, at_ms: int) -> NewItem:
    n, sealed = sealer.seal(msgspec.msgpack.encode(item))
    return NewItem(lane_of(item.provider, item.route), item.provider, n, at_ms, sealed)


def signed(body: bytes) -> Delivery:
    digest = hmac.new(APP_SECRET.encode(), body, hashlib.sha256).hexdigest()
    return Delivery({"x-hub-signature-256": f"sha256={digest}"}, body)


def text(
    page: str, contact: str, words: str, *, mid: str | None = None, at: datetime | None = None
) -> bytes:
    """A Messenger delivery of one text."""
    at_ms = int((at or datetime.now(UTC)).timestamp() * 1000)
    event = {
        "sender": {"id": contact},
        "recipient": {"id": page},
        "timestamp": at_ms,
        "message": {"mid": mid or f"m_{next(_numbers)}", "text": words},
    }
    entry = {"id": page, "time": at_ms, "messaging": [event]}
    return json.dumps({"object": "page", "entry": [entry]}).encode()


def yesterday() -> int:
    """Yesterday's day number."""
    return partitions.today() - 1


def hours_ago(hours: float) -> int:
    """Unix milliseconds."""
    return int((datetime.now(UTC) - timedelta(hours=hours)).timestamp() * 1000)
