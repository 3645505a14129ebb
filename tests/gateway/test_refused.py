"""The memory of what was refused, and what a kill does not take of it."""

import stat
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from contracts.errors import StoreUnavailable
from gateway.refused import ELSEWHERE, LONGEST_MS, MOST_ROUTES, QUIET_MS, UNREAD_MS, Refused, Span
from gateway.spans import HashedSpans, SpanFile
from storage.gaps import Gap, Gaps
from storage.schema import gaps
from tests.rig import Rig


class Store:
    """Keeps spans, unless it is away."""

    def __init__(self) -> None:
        self.away = False
        self.spans: list[Span] = []

    def add(self, spans: Sequence[Span]) -> None:
        if self.away:
            raise StoreUnavailable("away")
        self.spans += spans


class Notes:
    """Remembers what it was told to note."""

    def __init__(self) -> None:
        self.lines: list[Span] = []

    def add(self, spans: Iterable[Span]) -> None:
        self.lines += spans

    def clear(self) -> None:
        self.lines.clear()

    def tell_left(self, until_ms: int) -> None:
        """Nobody has left anything."""


class Clock:
    """A time that the test moves."""

    def __init__(self) -> None:
        self.now = 1_000_000

    def __call__(self) -> int:
        return self.now


@pytest.mark.anyio
async def test_a_span_is_told_when_it_is_over() -> None:
    store, clock = Store(), Clock()
    refused = Refused(store.add, clock, Notes())
    refused.note("facebook", "1", clock.now)
    clock.now += 500
    refused.note("facebook", "1", clock.now)
    assert await refused.flush()
    assert store.spans == []
    clock.now += QUIET_MS
    assert await refused.flush()
    assert store.spans == [Span("facebook", "1", 1_000_000, 1_000_500, 2)]
    assert len(refused) == 0


@pytest.mark.anyio
async def test_a_span_waits_for_the_store_and_goes_on_growing() -> None:
    store, clock = Store(), Clock()
    store.away = True
    refused = Refused(store.add, clock, Notes())
    refused.note("facebook", "1", clock.now)
    clock.now += QUIET_MS
    assert not await refused.flush()
    refused.note("facebook", "1", clock.now)
    store.away = False
    assert await refused.flush(ended=True)
    assert store.spans == [Span("facebook", "1", 1_000_000, 1_000_000 + QUIET_MS, 2)]


@pytest.mark.anyio
async def test_a_long_span_is_told_in_parts() -> None:
    store, clock = Store(), Clock()
    refused = Refused(store.add, clock, Notes())
    refused.note("facebook", "1", clock.now)
    clock.now += LONGEST_MS
    refused.note("facebook", "1", clock.now)
    assert await refused.flush()
    assert [span.refused for span in store.spans] == [2]


@pytest.mark.anyio
async def test_an_unexpected_error_forgets_no_span() -> None:
    clock, told = Clock(), []

    def odd(spans: Sequence[Span]) -> None:
        told.append(spans)
        raise ValueError("odd")

    refused = Refused(odd, clock, Notes())
    refused.note("facebook", "1", clock.now)
    for _ in range(2):
        with pytest.raises(ValueError, match="odd"):
            await refused.flush(ended=True)
    assert told[0] == told[1] != []


def test_memory_is_bounded() -> None:
    refused = Refused(Store().add, Clock(), Notes())
    for n in range(MOST_ROUTES + 500):
        refused.note("facebook", str(n), n)
    assert len(refused) == MOST_ROUTES + 1
    assert refused._spans[ELSEWHERE] == [MOST_ROUTES, MOST_ROUTES + 499, 500]


@pytest.mark.anyio
async def test_a_route_is_noted_once_until_all_is_told() -> None:
    store, clock, notes = Store(), Clock(), Notes()
    refused = Refused(store.add, clock, notes)
    for _ in range(3):
        refused.note("facebook", "1", clock.now)
        await refused.keep()
    assert notes.lines == [Span("facebook", "1", 1_000_000, 1_000_000, 1)]
    assert await refused.flush(ended=True)
    await refused.keep()
    assert notes.lines == []


@pytest.mark.anyio
async def test_notes_are_bounded() -> None:
    notes = Notes()
    refused = Refused(Store().add, Clock(), notes)
    refused.note("facebook", "first", 1)
    await refused.keep()
    for n in range(MOST_ROUTES + 5):
        refused.note("facebook", str(n), n + 2)
    for _ in range(2):
        await refused.keep()
    assert [line[:3] for line in notes.lines] == [("facebook", "first", 1), (*ELSEWHERE, 2)]


@pytest.fixture
def spans(rig: Rig) -> HashedSpans:
    return HashedSpans(rig.vault, Gaps(rig.database))


def _gaps(rig: Rig) -> list[Gap]:
    with rig.database.read() as connection:
        return [Gap(*row) for row in connection.execute(sa.select(gaps).order_by(gaps.c.from_ms))]


_FROM = 1_795_338_000_123
REFUSED = [
    Span("facebook", "100", _FROM, _FROM + 5, 2),
    Span(*ELSEWHERE, _FROM + 1, _FROM + 9, 7),
]


def test_what_a_dead_edge_has_left_is_told_once_by_the_next(
    rig: Rig, spans: HashedSpans, tmp_path: Path
) -> None:
    folder = tmp_path / "refused"
    dead = SpanFile(folder, spans)
    dead.add(REFUSED[:1])
    dead.add(REFUSED[1:])
    SpanFile(folder, spans).tell_left(_FROM + 100)
    assert _gaps(rig) == [], "it lives"
    dead.close()
    for _ in range(2):
        SpanFile(folder, spans).tell_left(_FROM + 100)
    route = rig.vault.deployment().hash("route", "facebook", "100")
    told = [(it.route, it.from_ms, it.until_ms, it.reason) for it in _gaps(rig)]
    assert told == [
        (route, _FROM, _FROM + 100, "refused"),
        (None, _FROM + 1, _FROM + 100, "refused"),
    ]
    assert list(folder.iterdir()) == []


def test_a_file_holds_no_name_and_is_for_its_owner_alone(
    spans: HashedSpans, tmp_path: Path
) -> None:
    file = SpanFile(tmp_path / "refused", spans)
    file.add([Span("facebook", "100200300", _FROM, _FROM, 1)])
    (path,) = (tmp_path / "refused").iterdir()
    assert b"100200300" not in path.read_bytes()
    assert b"facebook" not in path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    file.clear()
    assert list((tmp_path / "refused").iterdir()) == []
    file.add(REFUSED)
    assert len(list((tmp_path / "refused").iterdir())) == 1
    file.close()


def test_two_threads_that_note_for_the_first_time_write_one_file(
    rig: Rig, spans: HashedSpans, tmp_path: Path
) -> None:
    """As at shutdown, where the note under way goes on beside the last one."""
    dead = SpanFile(tmp_path / "refused", spans)
    with ThreadPoolExecutor(8) as threads:
        spans_ = [[Span("facebook", str(n), _FROM, _FROM, 1)] for n in range(8)]
        noted = [threads.submit(dead.add, some) for some in spans_]
        for one in noted:
            one.result(timeout=10)
    assert len(list((tmp_path / "refused").iterdir())) == 1
    dead.close()
    SpanFile(tmp_path / "refused", spans).tell_left(_FROM + 100)
    assert len(_gaps(rig)) == 8


@pytest.mark.parametrize("torn", [b"\n0123456789abcdef", b"\n- 17953380", b"\xff\xff", b""])
def test_a_line_that_was_cut_off_spoils_no_other(
    rig: Rig, spans: HashedSpans, tmp_path: Path, torn: bytes
) -> None:
    dead = SpanFile(tmp_path / "refused", spans)
    dead.add(REFUSED[:1])
    (path,) = (tmp_path / "refused").iterdir()
    with path.open("ab") as file:
        file.write(torn)
    dead.add(REFUSED[1:])
    with path.open("ab") as file:
        file.write(torn)
    dead.close()
    SpanFile(tmp_path / "refused", spans).tell_left(_FROM + 100)
    assert [it.from_ms for it in _gaps(rig)] == [_FROM, _FROM + 1]


def test_what_is_left_stays_while_the_store_is_away(
    rig: Rig, spans: HashedSpans, tmp_path: Path
) -> None:
    dead = SpanFile(tmp_path / "refused", spans)
    dead.add(REFUSED)
    dead.close()

    class Away(HashedSpans):
        def add_left(self, left: Sequence[object], until_ms: int) -> None:
            raise StoreUnavailable("away")

    with pytest.raises(StoreUnavailable):
        SpanFile(tmp_path / "refused", Away(rig.vault, Gaps(rig.database))).tell_left(_FROM)
    SpanFile(tmp_path / "refused", spans).tell_left(_FROM + 100)
    assert len(_gaps(rig)) == 2


@pytest.mark.anyio
async def test_a_file_that_cannot_be_read_holds_up_no_other_and_is_said(
    rig: Rig, spans: HashedSpans, tmp_path: Path
) -> None:
    """Until it can be: who mends it need not start the edge again."""
    folder = tmp_path / "refused"
    odd = folder / "0.spans"
    odd.mkdir(parents=True)
    dead = SpanFile(folder, spans)
    dead.add(REFUSED)
    dead.close()
    clock = Clock()
    refused = Refused(Store().add, clock, SpanFile(folder, spans))
    with capture_logs() as logs:
        for _ in range(2):
            await refused.look()
    assert len(_gaps(rig)) == 2
    (line,) = (it for it in logs if it["event"] == "refused.left_unread")
    assert line["file"] == str(odd)
    odd.rmdir()
    odd.write_text(f"\n- {_FROM}\n")
    clock.now += UNREAD_MS
    await refused.look()
    assert len(_gaps(rig)) == 3
    assert list(folder.iterdir()) == []


@pytest.mark.anyio
async def test_a_disk_that_takes_nothing_stops_nothing(spans: HashedSpans, tmp_path: Path) -> None:
    (tmp_path / "refused").write_text("in the way")
    store, clock = Store(), Clock()
    refused = Refused(store.add, clock, SpanFile(tmp_path / "refused", spans))
    refused.note("facebook", "1", clock.now)
    await refused.keep()
    assert await refused.flush(ended=True)
    assert len(store.spans) == 1
