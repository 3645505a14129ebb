"""One account, connected by Facebook's login, by Instagram's own, or by both."""

import hashlib
import hmac
import json
from typing import Any

import pytest

from contracts.connector import Delivery, Event
from tests.connectors.samples import ACCOUNT, BENCHES, ENVIRON

BENCH = BENCHES["instagram"]
IG, USER = "17841400000000001", "8765432109876543"
MESSAGE = {
    "sender": {"id": USER},
    "recipient": {"id": IG},
    "timestamp": 1795338000123,
    "message": {"mid": "aWdf_1", "text": "Hi"},
}
COMMENT = {"text": "Hi", "from": {"id": USER, "username": "ada.l"}, "media": {"id": "M1"}}
BY_FACEBOOK = [
    {"messaging": [MESSAGE]},
    {"changes": [{"field": "comments", "value": {"comment_id": "C1", **COMMENT}}]},
]
BY_INSTAGRAM = [
    {"messaging": [MESSAGE]},
    {"field": "comments", "value": {"id": "C1", **COMMENT}},
]


def delivered(part: dict[str, Any], secret: str) -> list[tuple[str, Event]]:
    """Route and event of each, through the signature."""
    entry = {"id": IG, "time": 1795338001, **part}
    body = json.dumps({"object": "instagram", "entry": [entry]}).encode()
    digest = hmac.new(ENVIRON[secret].encode(), body, hashlib.sha256).hexdigest()
    delivery = Delivery({"x-hub-signature-256": f"sha256={digest}"}, body)
    return [
        (item.route, event)
        for item in BENCH.endpoint.split(BENCH.endpoint.verify(delivery))
        for event in BENCH.connector.normalize(item, ACCOUNT)
        if isinstance(event, Event)
    ]


@pytest.mark.parametrize(
    ("by_facebook", "by_instagram"), list(zip(BY_FACEBOOK, BY_INSTAGRAM, strict=True))
)
def test_both_logins_deliver_the_same_happening(
    by_facebook: dict[str, Any], by_instagram: dict[str, Any]
) -> None:
    (one,) = delivered(by_facebook, "META_APP_SECRET")
    (other,) = delivered(by_instagram, "INSTAGRAM_APP_SECRET")
    assert one == other
    assert one[0] == IG
