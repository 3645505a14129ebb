"""Google's signing keys: kept, and asked for seldom, whatever strangers invent."""

import pytest

from contracts.errors import BadSignature, Unavailable
from gateway.signals.google import GoogleKeys
from tests.gateway.signals.telling import Google


class Clock:
    """Stands still until it is moved."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def google() -> Google:
    return Google()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(google: Google, clock: Clock) -> GoogleKeys:
    return GoogleKeys(google.client, clock)


def fetches(google: Google) -> int:
    """Each begins with the configuration."""
    return sum("risc-configuration" in address for address in google.asked)


def test_they_are_asked_for_once_an_hour(keys: GoogleKeys, google: Google, clock: Clock) -> None:
    for _ in range(3):
        keys.key_of("known")
    assert fetches(google) == 1
    clock.now += 3_601
    keys.key_of("known")
    assert fetches(google) == 2


def test_invented_ids_have_google_asked_once_a_minute(
    keys: GoogleKeys, google: Google, clock: Clock
) -> None:
    keys.key_of("known")
    for number in range(50):
        with pytest.raises(BadSignature):
            keys.key_of(f"invented-{number}")
    assert fetches(google) == 1
    clock.now += 61
    for number in range(50):
        with pytest.raises(BadSignature):
            keys.key_of(f"invented-{number}")
    assert fetches(google) == 2


def test_while_google_is_away_kept_keys_go_on_and_nobody_hammers(
    keys: GoogleKeys, google: Google, clock: Clock
) -> None:
    keys.key_of("known")
    google.away = True
    clock.now += 3_601
    for _ in range(20):
        keys.key_of("known")
        with pytest.raises(Unavailable):  # it may be a new one
            keys.key_of("invented")
    assert fetches(google) == 2


def test_without_any_key_it_is_unavailable_and_google_is_left_alone_for_a_while(
    keys: GoogleKeys, google: Google, clock: Clock
) -> None:
    google.away = True
    for _ in range(20):
        with pytest.raises(Unavailable):
            keys.key_of("known")
    assert fetches(google) == 1
    google.away = False
    clock.now += 6
    keys.key_of("known")
