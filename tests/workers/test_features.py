"""Tenants share an account's subscription: each gets what it chose, and no more."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
import sqlalchemy as sa

from contracts.connector import Account, Event, Item, Receives, Unreadable
from contracts.messages import Conversation
from storage.connections import Connection
from storage.database import now_ms
from storage.schema import connections
from tests.connectors.samples import BENCHES
from tests.rig import Rig, text

SECONDS = now_ms() // 1000
COMMENT: dict[str, Any] = {"item": "comment", "verb": "add", "post_id": "10_1", "comment_id": "1_9"}
COMMENT |= {"from": {"id": "7", "name": "Ada"}, "message": "hi", "created_time": SECONDS}


def change(value: Mapping[str, Any], field: str = "feed") -> bytes:
    """A delivery of one change of the Page."""
    entry = {"id": "10", "time": SECONDS, "changes": [{"field": field, "value": value}]}
    return json.dumps({"object": "page", "entry": [entry]}).encode()


def chosen(rig: Rig, tenant: str, *features: str) -> Connection:
    page = rig.connect(tenant, "10")
    with rig.database.write() as open_:
        mine = sa.update(connections).where(connections.c.id == page.id)
        open_.execute(mine.values(features=list(features)))
    return page


@pytest.fixture
def tenants(rig: Rig) -> None:
    chosen(rig, "both", "messages", "comments")
    chosen(rig, "talk", "messages")
    chosen(rig, "posts", "comments")
    chosen(rig, "hand")


EVERYBODY = {"both", "talk", "posts", "hand"}


@pytest.mark.usefixtures("tenants")
@pytest.mark.parametrize(
    ("body", "kind", "told"),
    [
        (text("10", "7", "hello"), "message.received", {"both", "talk", "hand"}),
        (change(COMMENT), "comment.created", {"both", "posts", "hand"}),
        (change({"item": "album"}), "provider.unrecognized", {"both", "posts", "hand"}),
        (change({"a": 1}, "messages_new"), "provider.unrecognized", EVERYBODY),
    ],
)
def test_each_tenant_gets_what_it_chose(rig: Rig, body: bytes, kind: str, told: set[str]) -> None:
    rig.drain(rig.put(body))
    assert {(m.tenant, m.type) for m in rig.messages()} == {(t, f"cleverbox.{kind}") for t in told}


@pytest.mark.usefixtures("tenants")
def test_what_cannot_be_read_is_not_parked_for_who_did_not_choose_it(rig: Rig) -> None:
    rig.drain(rig.put(change(COMMENT | {"verb": "unknown"})))
    with rig.database.read() as open_:
        parked = open_.execute(sa.text("SELECT tenant FROM parked")).scalars().all()
    assert set(parked) == {"both", "posts", "hand"}


@pytest.mark.parametrize(
    ("update", "feature"),
    [
        ({"messaging": [{"sender": {"id": "7"}, "timestamp": SECONDS, "new": {}}]}, "messages"),
        ({"changes": [{"field": "live_comments", "value": {"odd": 1}}]}, "comments"),
        ({"changes": [{"field": "comments", "value": 7}]}, "comments"),
        ({"changes": [{"field": "story_insights", "value": {}}]}, None),
    ],
)
def test_what_instagram_switches_on_beside_belongs_to_its_feature(
    update: Mapping[str, Any], feature: str | None
) -> None:
    connector: Receives = BENCHES["instagram"].connector
    entry = json.dumps({"id": "10", "time": SECONDS} | dict(update)).encode()
    account = Account("10", Conversation)
    (found,) = connector.normalize(Item("instagram", "10", entry), account)
    assert isinstance(found, Event | Unreadable)
    assert connector.feature_of(found) == feature


def test_what_is_passed_over_is_counted_and_nothing_else(rig: Rig) -> None:
    rig.connect("acme", "10")
    rig.drain(rig.put(change({"item": "like", "verb": "add"}), change(COMMENT)))
    assert [m.type for m in rig.messages()] == ["cleverbox.comment.created"]
    labels = {"provider": "facebook", "kind": "feed.like"}
    counted = rig.parts.metrics.registry.get_sample_value(
        "gateway_happenings_ignored_total", labels
    )
    assert counted == 1


def test_a_feature_that_is_reviewed_apart_is_nobodys_who_did_not_name_it() -> None:
    facebook = BENCHES["facebook"].connector
    assert "leads" in {feature.name for feature in facebook.features}
    assert "leads" not in facebook.usual_features()
