"""The paths of errors: parts that die or are away, and settings that are wrong."""

import json
import time
from typing import Final

import sqlalchemy as sa

from storage import schema
from storage.connections import Connections
from tests.kms.transit import VaultProcess
from tests.leaks.backends import Backend
from tests.leaks.grants import TENANT, opened
from tests.leaks.paths import Play
from tests.leaks.stage import EDGE, PATIENCE_S, WORKER
from tests.processes import eventually

CACHE_S: Final = 2


def worker_killed(play: Play) -> None:
    """What waits is in the broker; a worker whose connector fails on it parks it; it is replayed
    by one that does not. From then on logs are for people.
    """
    stage = play.stage
    stage.kill(WORKER)
    play.deliver(play.contact.writes("late text"))
    stage.look()
    said = _faulty(play, "faulty")
    assert [line["event"] for line in said] == ["normalize.failed", "uncaught", "uncaught"]
    stage.kill(EDGE)
    stage.start(EDGE, WORKER, GATEWAY_LOG_FORMAT="console")
    stage.command("deliveries", "replay", "--status", "parked")
    play.arrives("late text")


def _faulty(play: Play, name: str, *arguments: str) -> list[dict[str, str]]:
    """What a worker with a faulty connector logged until it failed itself."""
    log = play.stage.folder / "logs" / f"{name}.log"
    with play.stage.run(log, "tests.leaks.faulty", *arguments) as faulty:
        assert faulty.wait(PATIENCE_S) == 1
        return [json.loads(line) for line in faulty.output().splitlines()]


def leaking(play: Play) -> None:
    """The control: a connector that logs what it reads."""
    play.stage.kill(WORKER)
    play.deliver(play.contact.writes("leaked text"))
    assert "faulty" in [line["event"] for line in _faulty(play, "leaking", "leak")]


def kms_away(play: Play, kms: VaultProcess) -> None:
    """Nothing opens once what is known has run out; accepting goes on."""
    stage = play.stage
    kms.kill()
    time.sleep(CACHE_S)
    play.deliver(play.contact.writes("text without a KMS"))
    with stage.client(play.crm) as client:
        assert client.get("/v1/messages").status_code == 503
    stage.command("connections", "list", expect=1)
    stage.command("check", expect=1)
    kms.start()
    play.arrives("text without a KMS")


def broker_away(play: Play, backend: Backend) -> None:
    """Workers find by themselves what nobody tells them."""
    stage = play.stage
    with backend.without_broker():
        play.deliver(play.contact.writes("text without a broker"))
        play.arrives("text without a broker")
        add = ("connections", "add", "--tenant", "other", "--provider", "facebook", "--account")
        stage.command(*add, play.page)
        stage.command("check", expect=1)


def database_away(play: Play, backend: Backend) -> None:
    """Refused with 503 until it is back."""
    stage = play.stage
    with backend.without_database():
        play.deliver(play.contact.writes("refused text"), expect=503)
    eventually(stage.is_ready, PATIENCE_S)
    play.deliver(play.contact.writes("text after the outage"))
    play.arrives("text after the outage")


def wrong_settings(play: Play) -> None:
    """URLs that lead nowhere or are none, with their passwords; a database that is none."""
    stage, password = play.stage, play.planted.secret("password of a wrong URL")
    for name, url in (
        ("GATEWAY_DATABASE_URL", f"mysql://me:{password}@127.0.0.1/x"),
        ("GATEWAY_DATABASE_URL", f"postgresql://me:{password}@127.0.0.1:1/x"),
        ("GATEWAY_DATABASE_URL", f"postgresql://me:{password}@[127/x"),
        ("GATEWAY_DATABASE_URL", f"postgresql://127.0.0.1:1/x?password={password}&sslmode=x"),
        ("GATEWAY_BROKER_URL", f"amqp://me:{password}@127.0.0.1:1//"),
        ("GATEWAY_BROKER_URL", f"redis://:{password}@127.0.0.1:1/0"),
        ("GATEWAY_BROKER_URL", f"{password}://127.0.0.1/"),
        ("GATEWAY_KEK_URI", f"hcvault://{password}"),
        ("GATEWAY_RAW_DAYS", password),
    ):
        stage.command("check", expect=1, **{name: url})
    (stage.folder / "none.db").write_text("no database" * 1000)
    none = {"GATEWAY_DATABASE_URL": f"sqlite:///{stage.folder / 'none.db'}"}
    stage.command("keys", "list", expect=1, **none)


def faults(play: Play, backend: Backend) -> None:
    """What nobody expects: the edge answers 500, a worker ends at once."""
    stage = play.stage
    with opened(stage.settings) as (database, _), database.write() as connection:
        connection.execute(sa.update(schema.consumers).values(types=1))
    with stage.client(play.crm) as client:
        client.headers["cookie"] = play.planted.secret("misplaced")
        assert client.get("/v1/consumers/crm").status_code == 500
    assert "http.fault" in stage.output(EDGE)
    wrong = backend.wrong_broker(play.planted.secret("password of a wrong URL"))
    log = stage.folder / "logs" / "worker-without-broker.log"
    with stage.run(log, "gateway", "worker", GATEWAY_BROKER_URL=wrong) as worker:
        worker.wait_for("Cannot connect", PATIENCE_S)


def revoked(play: Play) -> None:
    """While the provider is away."""
    revoke = ("connections", "revoke", play.carried, "--json")
    play.stage.command(*revoke, "--reason", "x")
    eventually(
        lambda: json.loads(play.stage.command(*revoke))["state"] == "done", PATIENCE_S, every_s=1
    )


def erased(play: Play) -> None:
    """A backup is restored, and whoever was erased since is erased again."""
    stage = play.stage
    with opened(stage.settings) as (database, vault):
        found = Connections(database).get(play.connection)
        contact = vault.tenant(TENANT).hash("contact", found.provider, play.contact.id)
        vault.record_erasure("contact", TENANT, contact.hex())
    stage.command("db", "restored", "--force")
    assert not [x for x in play.pull(tenant=TENANT) if "text" in x["data"]]
    with opened(stage.settings) as (_, vault):
        vault.destroy_tenant(TENANT)
    eventually(lambda: not play.pull(tenant=TENANT), CACHE_S + PATIENCE_S, 0.5)
    play.deliver(play.contact.writes("text of an erased tenant"))
    assert stage.is_ready()
