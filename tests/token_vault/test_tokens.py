"""The tokens of grants: sealed and bound, and every opening counted."""

import threading
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest

from contracts.errors import KeyDestroyed, StoreUnavailable, Tampered, UnknownKey
from contracts.login import Tokens
from contracts.tokens import Opening, Secret
from tests.token_vault.fakes import Clock
from token_vault import GrantTokens, Openings, Purpose, Vault

AT = datetime(2026, 11, 25, 3, 30, tzinfo=UTC)
TOKENS = Tokens(Secret("access-secret"), AT, AT + timedelta(hours=1), Secret("refresh-secret"))


class Sealed(NamedTuple):
    """A stored grant, as far as opening goes."""

    id: str
    tenant: str
    sealed: bytes


class Ledger:
    """Where openings are stored; can be away."""

    def __init__(self) -> None:
        self.rows: dict[tuple[object, ...], Opening] = {}
        self.away = False

    def put(self, rows: Sequence[Opening]) -> None:
        if self.away:
            raise StoreUnavailable("away")
        self.rows.update({row[:4]: row for row in rows})

    def counts(self) -> dict[tuple[str, int, str], int]:
        return {(row.grant, row.minute, row.job): row.times for row in self.rows.values()}


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def openings(ledger: Ledger, clock: Clock) -> Openings:
    return Openings(ledger.put, clock=clock)


@pytest.fixture
def tokens(vault: Vault, openings: Openings) -> GrantTokens:
    for tenant in ("acme", "other"):
        vault.create_tenant(tenant)
    return GrantTokens(vault, openings)


def test_what_is_sealed_opens_as_it_was(tokens: GrantTokens) -> None:
    sealed = tokens.seal("acme", "gra_1", TOKENS)
    opened = tokens.open(Sealed("gra_1", "acme", sealed), job="test")
    assert opened.access_token.reveal() == "access-secret"
    assert opened.refresh_token is not None
    assert opened.refresh_token.reveal() == "refresh-secret"
    assert (opened.obtained_at, opened.expires_at) == (TOKENS.obtained_at, TOKENS.expires_at)
    assert b"secret" not in sealed


def test_it_opens_for_its_tenant_and_grant_alone(tokens: GrantTokens) -> None:
    sealed = tokens.seal("acme", "gra_1", TOKENS)
    with pytest.raises(Tampered):
        tokens.open(Sealed("gra_2", "acme", sealed), job="test")
    with pytest.raises((Tampered, UnknownKey)):
        tokens.open(Sealed("gra_1", "other", sealed), job="test")
    with pytest.raises(Tampered):
        tokens.open(Sealed("gra_1", "acme", sealed[:-1] + b"\x00"), job="test")
    with pytest.raises(Tampered):
        tokens.open(Sealed("gra_1", "acme", b""), job="test")


def test_a_tenant_that_was_erased(tokens: GrantTokens, vault: Vault) -> None:
    sealed = tokens.seal("acme", "gra_1", TOKENS)
    vault.destroy_tenant("acme")
    with pytest.raises(KeyDestroyed):
        tokens.open(Sealed("gra_1", "acme", sealed), job="test")


@pytest.mark.parametrize(
    "plain", [b"no-secret-json", b'{"access_token":"a-secret"}', b'{"access_token":""}', b"[]"]
)
def test_bytes_in_another_form_say_nothing_of_themselves(
    tokens: GrantTokens, vault: Vault, plain: bytes
) -> None:
    sealed = vault.tenant("acme").seal(Purpose.TOKEN, b"gra_1", plain)
    with pytest.raises(Tampered) as raised:
        tokens.open(Sealed("gra_1", "acme", sealed), job="test")
    told = traceback.TracebackException.from_exception(raised.value, capture_locals=True)
    assert "-secret" not in "".join(
        line
        for line in told.format()
        if "tests/" not in line  # the test itself knows it
    )


def test_every_opening_is_counted_by_job_grant_and_minute(
    tokens: GrantTokens, openings: Openings, ledger: Ledger, clock: Clock
) -> None:
    one = Sealed("gra_1", "acme", tokens.seal("acme", "gra_1", TOKENS))
    for job in ("send", "send", "refresh"):
        tokens.open(one, job=job)
    openings.flush()
    minute = int(clock()) // 60
    assert ledger.counts() == {("gra_1", minute, "send"): 2, ("gra_1", minute, "refresh"): 1}
    assert {row.tenant for row in ledger.rows.values()} == {"acme"}
    tokens.open(one, job="send")
    openings.flush()
    openings.flush()
    assert ledger.counts()["gra_1", minute, "send"] == 3, "a count is told whole, not added"
    clock.now += 60
    tokens.open(one, job="send")
    openings.flush()
    assert ledger.counts()["gra_1", minute + 1, "send"] == 1
    assert ledger.counts()["gra_1", minute, "send"] == 3


def test_one_that_does_not_open_is_counted_as_well(
    tokens: GrantTokens, openings: Openings, ledger: Ledger
) -> None:
    with pytest.raises(Tampered):
        tokens.open(Sealed("gra_1", "acme", tokens.seal("acme", "x", TOKENS)), job="test")
    openings.flush()
    assert list(ledger.counts().values()) == [1]


def test_counts_wait_for_a_store_that_is_away(
    tokens: GrantTokens, openings: Openings, ledger: Ledger, clock: Clock
) -> None:
    one = Sealed("gra_1", "acme", tokens.seal("acme", "gra_1", TOKENS))
    tokens.open(one, job="send")
    ledger.away = True
    with pytest.raises(StoreUnavailable):
        openings.flush()
    clock.now += 120
    tokens.open(one, job="send")
    with pytest.raises(StoreUnavailable):
        openings.flush()
    ledger.away = False
    openings.flush()
    assert sorted(ledger.counts().values()) == [1, 1]
    assert len(openings._counts) == 1, "minutes that are over and stored are let go"


def test_an_opening_at_the_end_of_a_minute_is_not_lost(ledger: Ledger, clock: Clock) -> None:
    """While it looks at the clock, the minute ends and is stored: told whole, a count that began
    anew would be the smaller one.
    """

    def read() -> float:
        now = clock()
        if threading.current_thread() is not flushing and ends:
            ends.pop()
            clock.pass_s(60)
            flushing.start()
            flushing.join(0.3)
        return now

    ends: list[bool] = []
    openings = Openings(ledger.put, clock=read)
    flushing = threading.Thread(target=openings.flush)
    openings.count("send", "acme", "gra_1")
    ends.append(True)
    openings.count("send", "acme", "gra_1")
    flushing.join()
    openings.flush()
    assert list(ledger.counts().values()) == [2]
