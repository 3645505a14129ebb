"""A KMS that is away: said once, asked by one caller at a time, back by itself."""

import threading
import time
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from contracts.errors import GatewayError, KeyUnavailable, Misconfigured, UnknownKey
from tests.processes import eventually
from tests.token_vault.fakes import Clock
from token_vault.kek.kms import AT_ONCE, PAUSE_S, QUEUE_S, Attended, NotThisOne


class Remote:
    """A key that answers as it is told, and counts."""

    def __init__(self) -> None:
        self.error: GatewayError | None = None
        self.calls = self.loads = 0
        self.entered = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()

    def load(self) -> "Remote":
        self.loads += 1
        if isinstance(self.error, Misconfigured):
            raise self.error
        return self

    def encrypt(self, plaintext: bytes, _: bytes) -> bytes:
        self.calls += 1
        self.entered.set()
        assert self.go_on.wait(10)
        if self.error is not None:
            raise self.error
        return plaintext

    decrypt = encrypt


@pytest.fixture
def remote() -> Iterator[Remote]:
    """Lets every thread go in the end."""
    remote = Remote()
    yield remote
    remote.go_on.set()


@pytest.fixture
def key(remote: Remote, clock: Clock) -> Attended:
    """The key under test."""
    return Attended("kms://key", remote.load, clock)


def test_nothing_is_loaded_before_it_is_used(key: Attended, remote: Remote) -> None:
    assert remote.loads == 0
    for _ in range(3):
        key.encrypt(b"x", b"")
    assert remote.loads == 1


@pytest.mark.parametrize("kind", [KeyUnavailable, Misconfigured])
def test_away_it_is_left_alone_for_a_second(
    kind: type[GatewayError], key: Attended, remote: Remote, clock: Clock
) -> None:
    key.encrypt(b"x", b"")
    remote.error = kind("away")
    for _ in range(5):
        with pytest.raises(kind, match="kms://key: away"):
            key.decrypt(b"x", b"")
    assert remote.calls == 2
    clock.pass_s(PAUSE_S)
    with pytest.raises(kind):
        key.decrypt(b"x", b"")
    assert remote.calls == 3
    remote.error = None
    clock.pass_s(PAUSE_S)
    assert key.decrypt(b"x", b"") == b"x"
    assert key.decrypt(b"x", b"") == b"x"
    assert remote.calls == 5


def test_what_could_not_be_loaded_is_loaded_again(
    key: Attended, remote: Remote, clock: Clock
) -> None:
    remote.error = Misconfigured("no credentials")
    with pytest.raises(Misconfigured):
        key.encrypt(b"x", b"")
    remote.error = None
    clock.pass_s(PAUSE_S)
    assert key.encrypt(b"x", b"") == b"x"
    assert remote.loads == 2


def test_away_one_caller_waits_and_the_others_are_refused_at_once(
    key: Attended, remote: Remote, clock: Clock
) -> None:
    remote.error = KeyUnavailable("away")
    with pytest.raises(KeyUnavailable):
        key.encrypt(b"x", b"")
    clock.pass_s(PAUSE_S)
    remote.entered.clear()
    remote.go_on.clear()
    waits = threading.Thread(target=_quietly, args=(key,))
    waits.start()
    assert remote.entered.wait(10)
    for _ in range(5):
        with pytest.raises(KeyUnavailable):
            key.encrypt(b"x", b"")
    assert remote.calls == 2
    remote.error = None
    remote.go_on.set()
    waits.join(10)
    assert key.encrypt(b"x", b"") == b"x"


def test_the_first_calls_that_hang_do_not_take_all_threads(key: Attended, remote: Remote) -> None:
    """Before anybody knows that it is away: a few wait for it, and the next take it for away."""
    remote.go_on.clear()
    hanging = [threading.Thread(target=_quietly, args=(key,)) for _ in range(AT_ONCE)]
    for thread in hanging:
        thread.start()
    eventually(lambda: remote.calls == AT_ONCE)
    began = time.monotonic()
    for _ in range(10):
        with pytest.raises(KeyUnavailable, match="too slow"):
            key.encrypt(b"x", b"")
    assert time.monotonic() - began < QUEUE_S + 1
    assert remote.calls == AT_ONCE
    remote.go_on.set()
    for thread in hanging:
        thread.join(10)
    assert key.encrypt(b"x", b"") == b"x"


def _quietly(key: Attended) -> None:
    key.encrypt(b"x", b"")


@pytest.mark.parametrize("kind", [UnknownKey, NotThisOne])
def test_a_value_that_does_not_open_stops_no_other(
    kind: type[GatewayError], key: Attended, remote: Remote
) -> None:
    for _ in range(3):
        remote.error = kind("not this one")
        with pytest.raises(kind, match="kms://key: not this one"):
            key.decrypt(b"x", b"")
        remote.error = None
        assert key.decrypt(b"x", b"") == b"x"


def test_it_is_said_when_it_goes_changes_and_comes_back(
    key: Attended, remote: Remote, clock: Clock
) -> None:
    with capture_logs() as lines:
        for error in (*[KeyUnavailable("away")] * 3, KeyUnavailable("access denied"), None):
            remote.error = error
            try:
                key.encrypt(b"x", b"")
            except KeyUnavailable:
                clock.pass_s(PAUSE_S)
    assert [(line["event"], line.get("detail")) for line in lines] == [
        ("kek.away", "kms://key: away"),
        ("kek.away", "kms://key: access denied"),
        ("kek.back", None),
    ]
