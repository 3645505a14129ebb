"""Tenants with Pages of one world, and the worker that revokes: for tests of what ends them."""

from typing import Any

import sqlalchemy as sa

from connectors import registry
from contracts.login import Tokens
from contracts.messages import Message
from storage import sharing
from storage.connecting_schema import grant_names
from storage.connections import Connection, Connections, Grant, new_id
from storage.database import Database, now_ms
from storage.drain import DrainStore
from storage.due import DueRows
from storage.escrow import EscrowStore
from storage.grants import Grants
from storage.revocation_steps import Revocation
from storage.revocations import REVOKE, Revocations
from storage.schema import grants
from tests.rig import ENVIRON, Rig
from tests.workers.world import World, WorldLogin, WorldPages
from token_vault.names import user_names
from workers.ending import Ending
from workers.normalizing import Normalizer
from workers.revoking import Revoker
from workers.scheduler import putting_off
from workers.token_times import lifetime_ms

SUBJECT, PAGE = "Olena", "42"


class Stage:
    """Tenants with Pages of one world, and the worker that revokes."""

    def __init__(self, rig: Rig) -> None:
        self.rig, self.world = rig, World()
        self.worker = self.another_worker()

    def another_worker(self, database: Database | None = None) -> "Worker":
        return Worker(self, database or self.rig.database)

    def connect(self, tenant: str, page: str = PAGE, subject: str = SUBJECT) -> Connection:
        """As a consent does, the subscription included."""
        made = self.rig.connect(tenant, page)
        given = self.world.consent(subject, f"token of {tenant} for {page}")
        self.world.subscribed.add(page)
        grant = self.grant(tenant, given, subject)
        Grants(self.rig.database).consented(grant, [made.id])
        ((kind, hashed),) = user_names(self.rig.vault.deployment(), "world", [subject])
        name = {"login": "world", "kind": kind, "name": hashed, "grant": grant.id}
        with self.rig.database.write() as connection:
            sharing.join(connection, self.person(subject), grant.obtained_at_ms or 0)
            sharing.join(connection, self.account(page))
            connection.execute(sa.insert(grant_names).values(name))
        return made

    def grant(self, tenant: str, given: Tokens, subject: str) -> Grant:
        id_ = new_id("gra")
        obtained_ms, ends_ms = lifetime_ms(given)
        return Grant(
            id=id_,
            tenant=tenant,
            login="world",
            subject=id_.encode()[-16:],
            scopes=["read"],
            sealed=self.rig.parts.tokens.seal(tenant, id_, given),
            version=1,
            created_at_ms=now_ms(),
            expires_at_ms=ends_ms,
            obtained_at_ms=obtained_ms,
            person=self.person(subject).person,
        )

    def person(self, subject: str = SUBJECT) -> sharing.Person:
        return sharing.Person("world", self.rig.vault.deployment().hash("person", "world", subject))

    def account(self, page: str = PAGE) -> sharing.Account:
        hashed = self.rig.vault.deployment().hash("route", "facebook", page)
        return sharing.Account("facebook", hashed)

    def order(self, made: Connection) -> Revocation:
        return Revocations(self.rig.database).order(made.id, reason="the owner asked", by="test")

    def revoke(self, made: Connection) -> Revocation:
        ordered = self.order(made)
        self.worker.work()
        return Revocations(self.rig.database).get(ordered.id)

    def status(self, made: Connection) -> str:
        return Connections(self.rig.database).get(made.id).status

    def grants(self, tenant: str) -> int:
        return count(self.rig.database, grants, grants.c.tenant == tenant)

    def said(self) -> list[Message[Any]]:
        return [m for m in self.rig.messages() if m.type == "cleverbox.connection.revoked"]


class Worker:
    """What carries revocations out, over a database of its own if need be."""

    def __init__(self, stage: Stage, database: Database) -> None:
        parts, world = stage.rig.parts, stage.world
        pages = WorldPages(registry.build(ENVIRON).connectors["facebook"].settings)
        pages.world = world
        logins = {"world": WorldLogin(world)}
        self.rows = DueRows(database)
        refresher = stage.rig.parts.refresher
        ending = Ending(
            Grants(database),
            parts.vault,
            parts.tokens,
            EscrowStore(database),
            refresher,
            parts.transport,
            logins,
            {"facebook": pages},
        )
        self.revoker = Revoker(
            Revocations(database),
            Connections(database),
            DrainStore(database),
            Normalizer(parts.vault, "http://localhost"),
            parts.vault,
            ending,
            self.rows,
            {"facebook": "messenger"},
        )

    def work(self) -> None:
        """All that is due, as the scheduler does."""
        while taken := self.rows.take([REVOKE], 5):
            for row in taken:
                try:
                    with putting_off(self.rows, row):
                        self.revoker.run(row)
                except Exception:  # noqa: BLE001, S112 - put off
                    continue


def count(database: Database, table: sa.Table, *where: sa.ColumnElement[bool]) -> int:
    with database.read() as connection:
        query = sa.select(sa.func.count()).select_from(table).where(*where)
        return connection.scalar(query) or 0
