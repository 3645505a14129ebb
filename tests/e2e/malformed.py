"""Bodies and entries in every shape that no provider should send."""

import json

from tests.e2e.wire import entry, now_ms, update
from tests.sandbox.stage import PAGE

DEEP = 100_000

BODIES: dict[str, bytes] = {
    "empty": b"",
    "blank": b" \r\n\t ",
    "null": b"null",
    "a list": b"[]",
    "an empty object": b"{}",
    "a string": b'"page"',
    "a huge number": b"1e99999",
    "many digits": b"9" * 100_000,
    "NUL bytes": b"\x00" * 100,
    "no JSON": b"<xml/>",
    "UTF-16": '{"object":"page","entry":[]}'.encode("utf-16"),
    "not UTF-8": b"\xff\xfe\xfd",
    "deep lists": b"[" * DEEP + b"]" * DEEP,
    "deep lists, never closed": b"[" * DEEP,
    "deep objects": b'{"entry":' * DEEP + b"1" + b"}" * DEEP,
    "closing brackets": b"]}" * DEEP,
    "quotes": b'"' * (DEEP + 1),
    "backslashes": b'{"object":"page","entry":["' + b"\\" * DEEP,
    "a megabyte of commas": b'{"object":"page","entry":[' + b"," * (1 << 20) + b"]}",
    "no entry": b'{"object":"page"}',
    "no object": b'{"entry":[]}',
    "entry is null": b'{"object":"page","entry":null}',
    "entry is an object": b'{"object":"page","entry":{"id":"1"}}',
    "entry is text": b'{"object":"page","entry":"1"}',
    "entry is a number": b'{"object":"page","entry":1}',
    "entry holds no objects": b'{"object":"page","entry":[null,1,true,"x",[],{},1.5]}',
    "object is a number": b'{"object":1,"entry":[]}',
    "object is null": b'{"object":null,"entry":[{"id":"1"}]}',
    "object is a list": b'{"object":["page"],"entry":[{"id":"1"}]}',
    "an object of another product": b'{"object":"planet","entry":[{"id":"1","time":1}]}',
    "an object with a strange name": b'{"object":"\\ud800/../\\u0000","entry":[{"id":"1"}]}',
    "two documents": b'{"object":"page","entry":[]}{"object":"page","entry":[]}',
    "entries of nobody": b'{"object":"page","entry":[{"id":"0"},{"id":""},{"id":" "}]}',
}


def an(**fields: object) -> bytes:
    """An entry of the demo Page whose fields are replaced; `Ellipsis` leaves one out."""
    whole = {"id": PAGE, "time": now_ms(), "messaging": [update("1", {"mid": "m", "text": "?"})]}
    return json.dumps({k: v for k, v in {**whole, **fields}.items() if v is not ...}).encode()


def one(**fields: object) -> bytes:
    """An entry with one message whose update's fields are replaced."""
    whole = update("1", {"mid": "m_one", "text": "?"})
    return entry([{k: v for k, v in {**whole, **fields}.items() if v is not ...}])


def said(**fields: object) -> bytes:
    """An entry with one message whose own fields are replaced."""
    return one(message={"mid": "m_said", "text": "?", **fields})


ENTRIES: dict[str, bytes] = {
    "null": b"null",
    "a number": b"-1.5e3",
    "text": b'"entry"',
    "a list": b'[{"id":"1"}]',
    "no id": an(id=...),
    "id is null": an(id=None),
    "id is a number": an(id=int(PAGE)),
    "id is a fraction": an(id=1.5),
    "id is huge": b'{"id":1e400,"messaging":[]}',
    "id has many digits": b'{"id":%b,"messaging":[]}' % (b"9" * 5000),
    "id is true": an(id=True),
    "id is a list": an(id=[PAGE]),
    "id is an object": an(id={"id": PAGE}),
    "id is empty": an(id=""),
    "id is long": an(id="1" * 100_000),
    "id is half a character": an(id="\ud800"),
    "id with NUL": an(id="\x00"),
    "id is another Page's": an(id="404"),
    "id twice": b'{"id":"404","id":"%b","messaging":[]}' % PAGE.encode(),
    "no time": an(time=...),
    "time is text": an(time="yesterday"),
    "time is huge": b'{"id":"%b","time":%b,"messaging":[{"x":1}]}' % (PAGE.encode(), b"9" * 5000),
    "no messaging": an(messaging=...),
    "messaging is null": an(messaging=None),
    "messaging is a number": an(messaging=7),
    "messaging is text": an(messaging="hello"),
    "messaging is an object": an(messaging=update("1", {"mid": "m", "text": "?"})),
    "messaging holds no objects": an(messaging=[None, 1, True, "x", [], {}]),
    "changes of a Page": an(messaging=..., changes=[{"field": "feed", "value": {"item": "x"}}]),
    "changes is a number": an(changes=1),
    "no sender": one(sender=...),
    "sender is text": one(sender="1"),
    "sender's id is a list": one(sender={"id": ["1"]}),
    "recipient is a number": one(recipient=1),
    "no timestamp": one(timestamp=...),
    "timestamp is true": one(timestamp=True),
    "timestamp is text": one(timestamp="soon"),
    "timestamp is before Christ": one(timestamp=-99_999_999_999_999),
    "timestamp is huge": one(timestamp=10**30),
    "timestamp is endless": entry([]).replace(b"[]", b'[{"timestamp":1e999,"message":{}}]'),
    "message is a list": one(message=[1]),
    "message is text": one(message="hello"),
    "message is null": one(message=None),
    "no mid": one(message={"text": "?"}),
    "mid is a list": said(mid=["m"]),
    "mid is empty": said(mid=""),
    "mid is half a character": said(mid="\udfff"),
    "text is a number": said(text=1),
    "text is an object": said(text={"a": 1}),
    "attachments is text": said(attachments="photo"),
    "attachments holds numbers": said(attachments=[1, None, "x", []]),
    "reply_to is a list": said(reply_to=[1]),
    "a kind with a wrong value": one(message=..., reaction={"action": 5}),
    "a kind that is new": one(message=..., hologram={"depth": [[[1]]]}),
    "two kinds at once": one(read={"watermark": now_ms()}),
    "deep object": b'{"id":"%b","x":%b1%b}' % (PAGE.encode(), b'{"a":' * DEEP, b"}" * DEEP),
    "deep messaging": entry("@").replace(b'"@"', b"[" * DEEP + b"]" * DEEP),
    "deep text": said(text="@").replace(b'"@"', b"[" * DEEP + b"]" * DEEP),
    "text is not UTF-8": said(text="@").replace(b"@", b"\xff\xc3\x28\xed\xa0\x80"),
    "a key is not UTF-8": said(text="x").replace(b'"text"', b'"te\xffxt"'),
    "control characters": said(text="@").replace(b"@", b"\x01\x02\n\t\x1f"),
    "a wrong escape": said(text="@").replace(b"@", b"\\x41\\u12"),
    "not JSON": b"{'id': undefined, NaN, +1}",
    "a number that is none": said(text="@").replace(b'"@"', b"-.e+"),
    "a text of two megabytes": said(text="x" * (2 << 20)),
    "ten thousand fields": said(**{f"f{n}": n for n in range(10_000)}),
}
