"""Opened keys vanish in time."""

from collections.abc import Callable

import pytest

from tests.token_vault.fakes import Clock
from token_vault.cache import Expiring


def test_a_value_lasts_its_time_and_no_longer() -> None:
    clock = Clock()
    cache: Expiring[str, int] = Expiring(300, clock)
    cache.put("a", 1, cache.generation)
    clock.pass_s(299)
    assert cache.get("a") == 1
    clock.pass_s(1)
    assert cache.get("a") is None


def test_reading_does_not_prolong() -> None:
    clock = Clock()
    cache: Expiring[str, int] = Expiring(10, clock)
    cache.put("a", 1, cache.generation)
    for _ in range(9):
        clock.pass_s(1)
        assert cache.get("a") == 1
    clock.pass_s(1)
    assert cache.get("a") is None


def test_vanished_values_are_let_go_of() -> None:
    clock = Clock()
    cache: Expiring[int, int] = Expiring(10, clock)
    for key in range(100):
        cache.put(key, key, cache.generation)
    clock.pass_s(10)
    cache.put(1000, 1, cache.generation)
    assert len(cache) == 1


def test_drop_and_clear_forget_at_once() -> None:
    cache: Expiring[str, int] = Expiring(10, Clock())
    cache.put("a", 1, cache.generation)
    cache.put("b", 2, cache.generation)
    cache.drop("a")
    cache.drop("never there")
    assert (cache.get("a"), cache.get("b")) == (None, 2)
    cache.clear()
    assert cache.get("b") is None


@pytest.mark.parametrize("forget", [lambda cache: cache.drop("a"), lambda cache: cache.clear()])
def test_what_was_read_before_something_was_forgotten_is_not_kept(
    forget: Callable[[Expiring[str, int]], None],
) -> None:
    """Who read a key while another thread destroyed it comes late with what it read."""
    cache: Expiring[str, int] = Expiring(10, Clock())
    before = cache.generation
    forget(cache)
    cache.put("a", 1, before)
    assert cache.get("a") is None
    cache.put("a", 2, cache.generation)
    assert cache.get("a") == 2
