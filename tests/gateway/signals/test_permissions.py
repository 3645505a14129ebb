"""Meta's `permissions` and `user` objects: the person's connections are looked at."""

import json

import anyio.to_thread
import pytest
import sqlalchemy as sa

from storage.connecting_schema import grant_names
from storage.drain import DrainStore
from storage.grants import RECONCILE, Grants
from storage.schema import due
from tests.gateway.edges import World
from tests.workers.stage import Stage
from token_vault import user_names

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("kind", "entry"),
    [
        ("permissions", {"id": "0", "uid": "77"}),
        ("permissions", {"id": "0", "uid": 77}),
        ("permissions", {"id": "77"}),
        ("user", {"id": "77", "uid": "77"}),
    ],
)
async def test_a_changed_consent_has_its_connections_looked_at(
    world: World, kind: str, entry: dict[str, object]
) -> None:
    stage = Stage(world.rig)
    made, _ = stage.connect("acme", "42"), stage.connect("beta", "43", "Petro")
    (grant,) = Grants(world.rig.database).of_connection(made.id)
    ((named, hashed),) = user_names(world.rig.vault.deployment(), "meta", ["77"])
    row = {"login": "meta", "kind": named, "name": hashed, "grant": grant.id}
    with world.rig.database.write() as connection:
        connection.execute(sa.insert(grant_names).values(row))
    change = {"field": "pages_messaging", "value": {"verb": "revoked", "target_ids": ["42"]}}
    whole = {**entry, "time": 1790000000, "changes": [change]}
    body = json.dumps({"object": kind, "entry": [whole]}).encode()
    assert (await world.deliver(body)).status_code == 200
    lanes = DrainStore(world.rig.database).overdue_lanes()
    await anyio.to_thread.run_sync(world.rig.drain, lanes)
    with world.rig.database.read() as connection:
        looked_at = connection.scalars(sa.select(due.c.key).where(due.c.kind == RECONCILE)).all()
        unrouted = connection.exec_driver_sql("SELECT count(*) FROM unrouted").scalar()
    assert (looked_at, unrouted) == ([made.id], 0)
