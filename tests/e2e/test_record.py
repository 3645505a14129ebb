"""The judge of the day: what is missing, doubled or out of order is named."""

import json
from typing import Any

from tests.e2e.record import Happening, Thread, difference, posted, talks, told

ANNA = Thread("facebook", "1", "7")
ONE, TWO = (Happening("message.received", (mid,), ("Hi", (), None)) for mid in ("m_1", "m_2"))


def post(number: int, mid: str, at: str | None, signature: str = "valid") -> dict[str, Any]:
    """A line of the wire log; `at`: when it was answered 200."""
    update = {
        "sender": {"id": "7"},
        "recipient": {"id": "1"},
        "message": {"mid": mid, "text": "Hi"},
    }
    body = {"object": "page", "entry": [{"id": "1", "messaging": [update]}]}
    tries = [{"at": "2026-11-28T10:00:00.000Z", "status": 503}]
    tries += [{"at": at, "status": 200}] if at else []
    return {"id": number, "attempts": tries, "signature": signature, "body": json.dumps(body)}


def test_what_was_taken_happened_once_in_the_order_of_being_taken() -> None:
    later, earlier = "2026-11-28T10:00:02.000Z", "2026-11-28T10:00:01.000Z"
    posts = [post(1, "m_1", later), post(2, "m_2", earlier), post(3, "m_2", later)]
    posts += [post(4, "m_never", None), post(5, "m_forged", earlier, "forged")]
    assert talks(posted(posts, {})) == {ANNA: [TWO, ONE]}


def test_what_is_wrong_with_the_feed_is_named() -> None:
    assert difference({ANNA: [ONE, TWO]}, {ANNA: [ONE, TWO]}) == []
    (missing,) = difference({ANNA: [ONE, TWO]}, {ANNA: [ONE]})
    assert missing.startswith("facebook/1/7: missing: ")
    assert "m_2" in missing
    assert all("too much: " in line for line in difference({ANNA: [ONE]}, {ANNA: [ONE, ONE]}))
    (swapped,) = difference({ANNA: [ONE, TWO]}, {ANNA: [TWO, ONE]})
    assert "out of order: " in swapped


def test_a_message_of_the_feed_is_read() -> None:
    data: dict[str, Any] = {"message_id": "m_1", "text": "Hi", "attachments": [], "reply_to": None}
    data |= {"from": {"id": "7", "role": "contact"}, "to": [{"id": "1", "role": "business"}]}
    message = {"type": "cleverbox.message.received", "source": "/facebook/1", "data": data}
    assert told(message) == (ANNA, ONE)
