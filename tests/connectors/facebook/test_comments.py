"""Edits of comments, told apart."""

import json

from tests.connectors.samples import BENCHES

FIRST, LATER = 1_795_338_000, 1_795_338_600


def key(message: str, created_time: int, *, verb: str = "edited", delivered: int = LATER) -> str:
    """The key of one edit."""
    value = {"item": "comment", "verb": verb, "post_id": "10_1", "comment_id": "1_9"}
    value |= {"message": message}
    change = {"field": "feed", "value": {**value, "created_time": created_time}}
    entry = {"id": "10", "time": delivered, "changes": [change]}
    (event,) = BENCHES["facebook"].events(json.dumps({"object": "page", "entry": [entry]}).encode())
    return event.key


def test_an_edit_back_to_an_earlier_text_is_another() -> None:
    assert key("a", FIRST) != key("a", LATER)
    assert key("a", FIRST) != key("b", FIRST)


def test_an_edit_that_is_delivered_again_is_the_same() -> None:
    again = key("a", FIRST, verb="edit", delivered=LATER + 60)
    assert key("a", FIRST) == again
