"""A row that does not open blocks nobody; a key store that opens nothing stops everybody."""

from collections.abc import Callable

import pytest
import sqlalchemy as sa

from contracts.errors import KeyDestroyed, UnknownKey
from gateway.fit import REMEMBERED_S, Fit
from storage import message_id
from storage.database import Database
from storage.schema import connections, messages
from tests.gateway.edges import FakeJobs, World, running
from tests.gateway.test_messages import DAY, Log, words
from tests.rig import Rig
from tests.storage.rows import digest
from token_vault import TenantKeys

pytestmark = pytest.mark.anyio

Break = Callable[[Rig, bytes], bytes]


@pytest.fixture
def log(rig: Rig) -> Log:
    return Log(rig)


def keys_of(rig: Rig) -> Database:
    """The key store, opened past the vault."""
    return Database(rig.settings.keystore)


def flipped(_: Rig, sealed: bytes) -> bytes:
    return sealed[:-1] + bytes([sealed[-1] ^ 1])


def another_key(rig: Rig, sealed: bytes) -> bytes:
    return bytes([sealed[0], sealed[1] ^ 1]) + sealed[2:]


def cut(_: Rig, sealed: bytes) -> bytes:
    return sealed[:3]


def forget_tenant(rig: Rig, tenant: str) -> None:
    database = keys_of(rig)
    with database.write() as connection:
        connection.execute(sa.text("DELETE FROM keys WHERE name = :n"), {"n": tenant})
    database.close()


def change(rig: Rig, position: int, how: Break) -> None:
    with rig.database.write() as connection:
        row = messages.c.position == position
        sealed = connection.scalar(sa.select(messages.c.sealed).where(row))
        assert sealed is not None
        connection.execute(sa.update(messages).where(row).values(sealed=how(rig, sealed)))


@pytest.mark.parametrize("how", [flipped, another_key, cut])
async def test_a_broken_row_is_passed_over_and_counted(world: World, log: Log, how: Break) -> None:
    log.add("acme", "a", "b", "c")
    change(world.rig, 2, how)
    page = (await world.get("/v1/messages")).json()
    assert words(page["messages"]) == ["a", "c"]
    counted = [
        world.counted("pull_unreadable_total", reason=reason)
        for reason in ("tampered", "unknown-key")
    ]
    assert sum(counted) == 1
    broken = message_id.pack(DAY, digest("acme", log.connections["acme"], "b"))
    answer = await world.get(f"/v1/messages/{broken}")
    assert (answer.status_code, answer.json()["type"]) == (410, "urn:cleverbox:problem:tampered")


async def test_a_tenant_whose_keys_are_lost_blocks_no_other(rig: Rig, log: Log) -> None:
    log.add("zeta", "z")
    log.add("acme", "a")
    forget_tenant(rig, "zeta")
    async with running(rig, FakeJobs()) as world:
        page = (await world.get("/v1/messages")).json()
        assert words(page["messages"]) == ["a"]
        assert world.counted("pull_unreadable_total", reason="unknown-key") == 1
        listed = (await world.get("/v1/connections", "operator")).json()["connections"]
        assert {c["tenant"]: c["account"] for c in listed} == {"acme": "1", "zeta": None}


async def test_a_key_store_of_another_database_is_said_and_nothing_is_skipped(
    rig: Rig, log: Log
) -> None:
    log.add("zeta", "z")
    log.add("acme", "a")
    for tenant in ("acme", "zeta"):
        forget_tenant(rig, tenant)
    async with running(rig, FakeJobs()) as world:
        lost = message_id.pack(DAY, digest("acme", log.connections["acme"], "a"))
        for path, role in (
            ("/v1/messages", "crm"),
            (f"/v1/messages/{lost}", "crm"),
            ("/v1/connections", "operator"),
        ):
            answer = await world.get(path, role)
            assert answer.status_code == 503
            assert answer.json()["type"] == "urn:cleverbox:problem:unknown-key"


async def test_one_broken_connection_leaves_the_others_in_the_list(world: World, log: Log) -> None:
    with world.rig.database.write() as connection:
        broken = sa.update(connections).where(connections.c.tenant == "acme")
        connection.execute(broken.values(sealed=b"nonsense"))
    listed = (await world.get("/v1/connections", "operator")).json()["connections"]
    assert {c["tenant"]: c["account"] for c in listed} == {"acme": None, "zeta": "2"}


class FakeVault:
    """Knows of one destroyed tenant; counts how often it is looked at."""

    def __init__(self) -> None:
        self.looks = 0

    def check(self) -> None:
        self.looks += 1

    def tenant(self, tenant: str) -> TenantKeys:
        if tenant == "destroyed":
            raise KeyDestroyed("gone")
        raise UnknownKey("no keys")


def test_a_fit_is_remembered_for_a_while() -> None:
    now, vault = [0.0], FakeVault()
    fit = Fit(vault, lambda _: ["lost", "destroyed"], lambda: now[0])
    fit.check()
    fit.check()
    assert vault.looks == 1
    now[0] = REMEMBERED_S
    fit.check()
    assert vault.looks == 2


def test_a_misfit_is_not_remembered() -> None:
    vault = FakeVault()
    fit = Fit(vault, lambda _: ["lost"])
    for _ in range(2):
        with pytest.raises(UnknownKey):
            fit.check()
    assert vault.looks == 2
