"""The message log: cursors, filters that advance, finding by id, expired and restored cursors."""

import base64

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import CursorExpired, InvalidInput, LogRestored, NotFound
from storage.cursors import BEGINNING, Cursor, parse_cursor
from storage.database import Database
from storage.drain import DrainStore
from storage.log import SCAN_ROWS, Filter, MessageLog
from storage.partitions import today
from storage.schema import messages
from storage.turns import Append, Turn
from tests.storage.rows import add_connection, append, digest

BIGINT = st.integers(-(1 << 63), (1 << 63) - 1)


@given(st.integers(0, (1 << 63) - 1), BIGINT)
def test_a_cursor_is_read_as_it_was_written(position: int, tag: int) -> None:
    assert parse_cursor(str(Cursor(position, tag))) == Cursor(position, tag)


@given(
    st.one_of(
        st.text(max_size=30), st.binary(max_size=20).map(lambda b: base64.b64encode(b).decode())
    )
)
def test_whatever_is_no_cursor_is_refused(text: str) -> None:
    try:
        cursor = parse_cursor(text)
    except InvalidInput:
        return
    assert str(cursor) == text


def test_a_cursor_before_the_beginning_is_refused() -> None:
    with pytest.raises(InvalidInput):
        parse_cursor(str(Cursor(-1, 0)))


def _log(database: Database, *appends: Append) -> MessageLog:
    for one in appends:
        assert DrainStore(database).write(Turn(appends=[one])).added == 1
    return MessageLog(database)


def test_pages_follow_one_another(connected: Database) -> None:
    log = _log(connected, *(append() for _ in range(5)))
    first = log.read(BEGINNING, 3)
    second = log.read(first.next, 3)
    assert [len(first.rows), len(second.rows)] == [3, 2]
    assert (first.has_more, second.has_more) == (True, False)
    assert second.next == log.head()
    assert log.read(second.next, 3) == ([], second.next, False)
    assert (log.lag(first.next), log.lag(second.next)) == (2, 0)
    assert log.back(2) == first.next
    assert log.back(99) == BEGINNING


def test_an_empty_log(database: Database) -> None:
    log = MessageLog(database)
    assert log.read(BEGINNING, 10) == ([], BEGINNING, False)
    assert log.read(BEGINNING, 10, Filter(tenant="acme")) == ([], BEGINNING, False)
    assert log.head() == BEGINNING


def test_a_batch_keeps_its_order(connected: Database) -> None:
    batch = [append() for _ in range(200)]
    DrainStore(connected).write(Turn(appends=batch))
    rows = MessageLog(connected).read(BEGINNING, 1000).rows
    assert [row.hash for row in rows] == [one.hash for one in batch]


@pytest.fixture
def mixed(connected: Database) -> MessageLog:
    """Messages of two tenants and connections and two types."""
    add_connection(connected, "con_b", "other")
    theirs = append(connection="con_b", tenant="other")
    read = append(kind="message.read")
    return _log(connected, append(), theirs, read, theirs._replace(hash=digest("more")))


@pytest.mark.parametrize(
    ("only", "places"),
    [
        (Filter(tenant="acme"), [0, 2]),
        (Filter(tenant="other"), [1, 3]),
        (Filter(connection="con_b"), [1, 3]),
        (Filter(types=["message.read"]), [2]),
        (Filter(types=["message.read", "message.received"]), [0, 1, 2, 3]),
        (Filter(tenant="acme", connection="con_b"), []),
        (Filter(tenant="nobody"), []),
    ],
)
def test_a_filter_leaves_out_and_still_advances(
    mixed: MessageLog, only: Filter, places: list[int]
) -> None:
    everything = mixed.read(BEGINNING, 10).rows
    page = mixed.read(BEGINNING, 10, only)
    assert list(page.rows) == [everything[place] for place in places]
    assert page.next == mixed.head()
    assert not page.has_more


def test_a_filtered_page_that_is_full_goes_on_where_it_ended(mixed: MessageLog) -> None:
    first = mixed.read(BEGINNING, 1, Filter(tenant="acme"))
    second = mixed.read(first.next, 1, Filter(tenant="acme"))
    third = mixed.read(second.next, 1, Filter(tenant="acme"))
    assert [len(page.rows) for page in (first, second, third)] == [1, 1, 0]
    assert third.next == mixed.head()


def test_a_filtered_read_looks_at_so_many_rows_and_says_that_there_are_more(
    connected: Database,
) -> None:
    add_connection(connected, "con_b", "other")
    rare = append(connection="con_b", tenant="other")
    many = [append() for _ in range(SCAN_ROWS)]
    DrainStore(connected).write(Turn(appends=[*many, rare]))
    log, only = MessageLog(connected), Filter(tenant="other")
    first = log.read(BEGINNING, 10, only)
    assert (first.rows, first.has_more) == ([], True)
    second = log.read(first.next, 10, only)
    assert [row.hash for row in second.rows] == [rare.hash]
    assert (second.next, second.has_more) == (log.head(), False)


def test_a_message_is_found_by_its_id(connected: Database) -> None:
    wanted = [append() for _ in range(4)]
    log = _log(connected, *wanted)
    for one in wanted:
        assert log.find(one.day, one.hash).hash == one.hash
    for day, name in ((today() - 1, wanted[0].hash), (today(), digest("never"))):
        with pytest.raises(NotFound):
            log.find(day, name)


def test_a_message_whose_row_is_gone_is_not_found(connected: Database) -> None:
    wanted = append()
    log = _log(connected, wanted)
    _forget_up_to(connected, log.head().position)
    with pytest.raises(NotFound):
        log.find(wanted.day, wanted.hash)


def test_a_key_is_logged_once(connected: Database) -> None:
    once = append("the same")
    store = DrainStore(connected)
    first = store.write(Turn(appends=[once, append(), once]))
    again = store.write(Turn(appends=[append(), once]))
    assert (first.added, first.duplicate) == (2, 1)
    assert (again.added, again.duplicate) == (1, 1)
    assert len(MessageLog(connected).read(BEGINNING, 10).rows) == 3


def test_a_cursor_older_than_the_log_has_expired(connected: Database) -> None:
    log = _log(connected, *(append() for _ in range(4)))
    old = log.back(3)
    _forget_up_to(connected, old.position + 1)
    with pytest.raises(CursorExpired) as caught:
        log.read(old, 10)
    assert len(log.read(parse_cursor_or_beginning(caught.value.resume), 10).rows) == 2


def test_a_cursor_of_another_row_says_that_the_log_was_restored(connected: Database) -> None:
    log = _log(connected, append(), append())
    head = log.head()
    for strange in (Cursor(head.position, head.tag + 1), Cursor(head.position + 5, head.tag)):
        with pytest.raises(LogRestored):
            log.read(strange, 10)


def parse_cursor_or_beginning(text: str) -> Cursor:
    """As the edge reads `after`."""
    return parse_cursor(text) if text else BEGINNING


def _forget_up_to(database: Database, position: int) -> None:
    with database.write() as connection:
        connection.execute(sa.delete(messages).where(messages.c.position <= position))
