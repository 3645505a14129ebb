"""Opened keys vanish in time."""

from tests.token_vault.fakes import Clock
from token_vault.cache import Expiring


def test_a_value_lasts_its_time_and_no_longer() -> None:
    clock = Clock()
    cache: Expiring[str, int] = Expiring(300, clock)
    cache.put("a", 1)
    clock.pass_s(299)
    assert cache.get("a") == 1
    clock.pass_s(1)
    assert cache.get("a") is None


def test_reading_does_not_prolong() -> None:
    clock = Clock()
    cache: Expiring[str, int] = Expiring(10, clock)
    cache.put("a", 1)
    for _ in range(9):
        clock.pass_s(1)
        assert cache.get("a") == 1
    clock.pass_s(1)
    assert cache.get("a") is None


def test_vanished_values_are_let_go_of() -> None:
    clock = Clock()
    cache: Expiring[int, int] = Expiring(10, clock)
    for key in range(100):
        cache.put(key, key)
    clock.pass_s(10)
    cache.put(1000, 1)
    assert len(cache) == 1


def test_drop_and_clear_forget_at_once() -> None:
    cache: Expiring[str, int] = Expiring(10, Clock())
    cache.put("a", 1)
    cache.put("b", 2)
    cache.drop("a")
    cache.drop("never there")
    assert (cache.get("a"), cache.get("b")) == (None, 2)
    cache.clear()
    assert cache.get("b") is None
