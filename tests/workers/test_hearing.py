"""What a process hears, and when a silence is unusual."""

import pytest

from contracts.errors import StoreUnavailable
from storage.activity import Activity, ActivityStore
from storage.database import Database
from tests.storage.conftest import *  # noqa: F403
from workers.hearing import Heard, Hearing, longest_ms, merged, unusual_from_ms

H, D = 3_600_000, 86_400_000
T = 20_000 * D


def habit(hours: list[float], last_ms: int = T) -> Activity:
    """One that heard something on each of the days until `last_ms`, after so many hours."""
    day = last_ms // D
    silences = {str(day - n): int(h * H) for n, h in enumerate(hours)}
    return Activity("con_a", last_ms, silences)


@pytest.mark.parametrize(
    ("hours", "unusual_h"),
    [
        ([1, 1, 1, 1], None),
        ([1, 1, 1, 1, 1], 6),
        ([1, 2.5, 1, 1, 1], 7.5),
        ([60, 1, 1, 1, 1, 1, 1], 180),
    ],
)
def test_a_silence_is_unusual_by_the_accounts_own_habit(
    hours: list[float], unusual_h: float | None
) -> None:
    at = unusual_from_ms(habit(hours))
    assert at == (None if unusual_h is None else T + int(unusual_h * H))


def test_what_is_older_than_two_weeks_is_forgotten() -> None:
    known = habit([1, 1, 1, 1, 1])
    silences = dict(known.silences) | {str(T // D - 14): 90 * H}
    known = known._replace(silences=silences)
    assert longest_ms(known) == H
    later = merged("con_a", known, Heard(T + D, T + D))
    assert str(T // D - 14) not in later.silences
    assert later.silences[str(T // D + 1)] == D


def test_silences_are_counted_on_the_day_on_which_they_end() -> None:
    known = merged("con_a", None, Heard(T, T + 2 * H, 2 * H))
    assert known == Activity("con_a", T + 2 * H, {str(T // D): 2 * H})
    known = merged("con_a", known, Heard(T + 5 * H, T + 6 * H, H))
    assert known == Activity("con_a", T + 6 * H, {str(T // D): 3 * H})
    known = merged("con_a", known, Heard(T + 7 * H, T + 7 * H))
    assert known.silences == {str(T // D): 3 * H}
    assert merged("con_a", known, Heard(T, T)) == known, "what comes late changes nothing"


class Stored:
    """Activity in memory."""

    def __init__(self) -> None:
        self.known: dict[str, Activity] = {}
        self.broken: list[str] = []
        self.away = False
        self.hearing = Hearing(lambda ids: self.known, self.put, self.broken.append)

    def put(self, heard: list[Activity]) -> None:
        if self.away:
            raise StoreUnavailable("away")
        self.known |= {one.connection: one for one in heard}


def test_what_was_heard_is_stored_once() -> None:
    stored = Stored()
    for at in (T, T + H, T + H + 999, T + 3 * H, T + H, T + 4 * H, T + 4 * H + 999):
        stored.hearing.note("con_a", at, breaks=False)
    stored.hearing.note("con_b", T, breaks=True)
    stored.hearing.flush()
    assert stored.known["con_a"] == Activity("con_a", T + 4 * H, {str(T // D): 2 * H})
    assert stored.broken == ["con_b"]
    stored.known = {}
    stored.hearing.flush()
    assert stored.known == {}
    assert stored.broken == ["con_b"]


def test_what_could_not_be_stored_is_kept() -> None:
    stored = Stored()
    stored.hearing.note("con_a", T, breaks=True)
    stored.away = True
    with pytest.raises(StoreUnavailable):
        stored.hearing.flush()
    stored.away = False
    stored.hearing.flush()
    assert stored.known["con_a"].last_at_ms == T
    assert stored.broken == ["con_a"]


def test_the_later_of_two_processes_counts(database: Database) -> None:
    store = ActivityStore(database)
    new, old = Activity("con_a", T + 1, {"1": 2}), Activity("con_a", T, {"1": 1})
    store.put([new, Activity("con_b", T, {})])
    store.put([old])
    assert store.of(["con_a", "con_b", "con_c"]) == {
        "con_a": new,
        "con_b": Activity("con_b", T, {}),
    }
    store.put([])
