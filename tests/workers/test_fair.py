"""The fair share keeps each account's order and reaches everybody."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from workers.fair import share

WINDOWS = st.lists(st.sampled_from("abc"), max_size=40)


def test_a_flood_alone_is_cut_not_deferred() -> None:
    portion = share("a" * 10, 3, used=Counter(), held=(), is_full=False)
    assert portion == ([0, 1, 2], [], 3)


def test_a_flood_is_deferred_as_far_as_others_need() -> None:
    portion = share("aaaaabaa", 2, used=Counter(), held=(), is_full=False)
    assert portion == ([0, 1, 5], [2, 3, 4], 6)


def test_a_full_window_is_passed_whole() -> None:
    portion = share("aaaa", 2, used=Counter(), held=(), is_full=True)
    assert portion == ([0, 1], [2, 3], 4)


def test_what_is_held_goes_behind_what_was_put_off_before() -> None:
    portion = share("ab", 2, used=Counter(), held=("a",), is_full=True)
    assert portion == ([1], [0], 2)


def test_deferred_items_count_against_the_turn() -> None:
    portion = share("aaa", 3, used=Counter(a=2), held=(), is_full=True)
    assert portion == ([0], [1, 2], 3)


@given(
    window=WINDOWS, each=st.integers(1, 5), held=st.sets(st.sampled_from("abc")), full=st.booleans()
)
def test_every_item_is_taken_deferred_or_left(
    window: list[str], each: int, held: set[str], full: bool
) -> None:
    portion = share(window, each, used=Counter(), held=held, is_full=full)
    assert sorted([*portion.take, *portion.defer]) == list(range(portion.end))
    for account in "abc":
        taken = [i for i in portion.take if window[i] == account]
        later = [i for i in range(len(window)) if window[i] == account and i not in taken]
        assert len(taken) <= each
        assert not taken or not later or max(taken) < min(later)
        assert not (account in held and taken)
    if full:
        assert portion.end == len(window)
