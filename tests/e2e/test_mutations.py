"""Property: whatever a signed delivery says, it is answered 200 and all of it can be found again.

Every update carries a token. A token that was in an acknowledged body is afterwards in a message,
in a parked item or in an unrouted one.
"""

import itertools
import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from anyio.from_thread import start_blocking_portal
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import message_id
from storage.cursors import BEGINNING
from storage.drain import DrainStore
from storage.log import EVERYTHING
from storage.schema import inbox, parked, unrouted
from storage.turns import Park, StoredItem
from tests.gateway.edges import FakeJobs, running
from tests.rig import Rig
from token_vault import Purpose
from workers.normalizing import Normalizer
from workers.opening import ItemOpener

PAGE, STRANGER = "1234567890", "404"
NOW_MS = 1_795_000_000_000
DEEP = 5_000

_numbers = itertools.count(1)


Deliver = Callable[[bytes], int]


class Aftermath:
    """The drain of one store, and everything that becomes of deliveries there."""

    def __init__(self, folder: Path) -> None:
        self.rig = Rig(f"sqlite:///{folder / 'gateway.db'}", folder / "var")
        self.rig.connect("acme", PAGE)
        self.acme = self.rig.vault.tenant("acme")
        self._store = DrainStore(self.rig.database)
        self._opener = ItemOpener(self._store, self.rig.vault)
        self._normalizer = Normalizer(self.rig.vault, "http://localhost")
        self._cursor, self._seen = BEGINNING, 0

    def drained(self) -> bytes:
        """Drain, and return all that was added since the last call."""
        with self.rig.database.read() as connection:
            query = sa.select(inbox.c.id, inbox.c.lane).where(inbox.c.id > self._seen)
            came = connection.execute(query).all()
        lanes = {lane for _, lane in came}
        self.rig.drain(sorted(lanes))
        assert not self._store.has_waiting(lanes)
        found = [*self._messages(), *self._parked(), *self._unrouted()]
        self._seen = max([self._seen, *(number for number, _ in came)])
        return b"\n".join(found)

    def _messages(self) -> Iterator[bytes]:
        page = self.rig.log.read(self._cursor, 1000, EVERYTHING)
        assert not page.has_more
        self._cursor = page.next
        for row in page.rows:
            assert row.sealed is not None
            yield self.acme.open(Purpose.MESSAGE, message_id.seal_id(row.day, row.hash), row.sealed)

    def _parked(self) -> Iterator[bytes]:
        columns = [parked.c[name] for name in Park._fields]
        with self.rig.database.read() as connection:
            rows = connection.execute(sa.select(*columns).where(parked.c.item > self._seen)).all()
        return (self._normalizer.unpark(Park(*row)).raw for row in rows)

    def _unrouted(self) -> Iterator[bytes]:
        columns: list[Any] = [inbox.c[name] for name in StoredItem._fields]
        query = sa.select(*columns).join(unrouted, unrouted.c.item == inbox.c.id)
        with self.rig.database.read() as connection:
            rows = connection.execute(query.where(inbox.c.id > self._seen)).all()
        return (self._opener.open(StoredItem(*row)).raw for row in rows)


@pytest.fixture(scope="module")
def aftermath(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aftermath]:
    """One store for all examples, which differ in their tokens."""
    built = Aftermath(tmp_path_factory.mktemp("mutations"))
    yield built
    built.rig.close()


@pytest.fixture(scope="module")
def deliver(aftermath: Aftermath) -> Iterator[Deliver]:
    """POST a signed body to an edge in a thread of this process; returns the status."""
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(running(aftermath.rig, FakeJobs())) as world,
    ):
        yield lambda body: portal.call(world.deliver, body).status_code


# Deliveries as Meta sends them


def _message(token: str) -> object:
    return {"mid": token, "text": "Hello", "attachments": [{"type": "image"}]}


KINDS: dict[str, Callable[[str], object]] = {
    "message": _message,
    "message_edit": lambda token: {"mid": token, "text": "Hello", "num_edit": 1},
    "reaction": lambda token: {"mid": token, "action": "react", "emoji": "👍"},
    # These need no id of a message, so what stands for a token in them may be left out unseen.
    "postback": lambda _: {"title": "Prices", "payload": "PRICES"},
    "read": lambda _: {"watermark": NOW_MS},
    "hologram": lambda token: {"mid": token, "depth": 3},
}


@st.composite
def updates(draw: st.DrawFn, page: str) -> object:
    kind = draw(st.sampled_from(sorted(KINDS)))
    contact = draw(st.sampled_from(["71", "72"]))
    ends = {"sender": {"id": contact}, "recipient": {"id": page}}
    return {**ends, "timestamp": NOW_MS, kind: KINDS[kind]("TOKEN")}


@st.composite
def entries(draw: st.DrawFn) -> object:
    page = draw(st.sampled_from([PAGE, PAGE, STRANGER]))
    channel = draw(st.sampled_from(["messaging", "messaging", "standby"]))
    return {"id": page, "time": NOW_MS, channel: draw(st.lists(updates(page), max_size=3))}


DELIVERIES = st.fixed_dictionaries(
    {"object": st.just("page"), "entry": st.lists(entries(), min_size=1, max_size=4)}
)


# What goes wrong with them

JUNK: list[object] = [
    None, True, False, 0, -1, 1.5, 10**30, "", "x", "\x00", "\ud800", "\udfff\u0001", "9" * 400,
    [], {}, [[]], [None], {"id": None}, {"": {}}, [1, "a", {"b": []}],
]  # fmt: skip
BYTES = [
    b"", b",", b":", b'"', b"{", b"}", b"[", b"]", b"\\", b"\x00", b"\xff", b"null", b"1e999",
    b'\\ud800', b"{}", b"[]", b'"x":1,', b'"entry":[],', b'"messaging":[],', b'"id":"1",',
    b"\xed\xa0\x80", b"[" * DEEP, b"]" * DEEP, b'{"a":' * DEEP,
]  # fmt: skip


def places(value: object, here: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Paths to everything inside."""
    inner: Any = ()
    if isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list):
        inner = enumerate(value)
    for key, each in inner:
        yield (*here, key)
        yield from places(each, (*here, key))


def change(draw: st.DrawFn, delivery: Any) -> None:
    """One change of what the delivery says, in place."""
    found = list(places(delivery))
    if not found:
        return
    path: tuple[Any, ...] = draw(st.sampled_from(found))
    *way, last = path
    holder: Any = delivery
    for step in way:
        holder = holder[step]
    how = draw(st.sampled_from(["replace", "remove", "wrap", "twice", "rename"]))
    if how == "replace":
        holder[last] = deepcopy(draw(st.sampled_from(JUNK)))
    elif how == "remove":
        del holder[last]
    elif how == "wrap":
        holder[last] = draw(st.sampled_from([[holder[last]], {"x": holder[last]}]))
    elif isinstance(holder, list):
        holder.append(deepcopy(holder[last]))
    else:
        holder[draw(st.sampled_from(["x", "id", "message", "time", "changes"]))] = holder.pop(last)


def spoil(draw: st.DrawFn, body: bytes) -> bytes:
    """One change of the bytes."""
    at = draw(st.integers(0, len(body)))
    match draw(st.sampled_from(["insert", "insert", "delete", "flip", "cut"])):
        case "insert":
            return body[:at] + draw(st.sampled_from(BYTES)) + body[at:]
        case "delete":
            return body[:at] + body[at + draw(st.integers(1, 20)) :]
        case "flip":
            return body[:at] + bytes([draw(st.integers(0, 255))]) + body[at + 1 :]
        case _:
            return body[:at]


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    delivery = json.loads(json.dumps(draw(DELIVERIES)))
    for _ in range(draw(st.integers(0, 3))):
        change(draw, delivery)
    body = json.dumps(delivery).encode()
    for _ in range(draw(st.integers(0, 3))):
        body = spoil(draw, body)
    return body


def with_tokens(body: bytes) -> tuple[bytes, list[bytes]]:
    """`body` with a token of its own in each place, and the tokens."""
    first, *rest = body.split(b"TOKEN")
    tokens = [b"tok%08dkot" % next(_numbers) for _ in rest]
    return b"".join([first, *(t + part for t, part in zip(tokens, rest, strict=True))]), tokens


@settings(max_examples=150)
@given(template=bodies())
def test_all_that_was_acknowledged_can_be_found(
    aftermath: Aftermath, deliver: Deliver, template: bytes
) -> None:
    body, tokens = with_tokens(template)
    assert deliver(body) == 200
    found = aftermath.drained()
    assert [token for token in tokens if token not in found] == [], body
