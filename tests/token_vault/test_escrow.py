"""Tokens in escrow outlive their tenant's keys, and nothing outlives their day's."""

from datetime import date, timedelta

import pytest
import structlog

from contracts.errors import KeyDestroyed, KeyUnavailable, Tampered, UnknownKey
from tests.token_vault.fakes import FakeKms
from token_vault import KeyStore, Vault
from token_vault.escrow import over

DAY = date(2026, 11, 22)
TOKEN = b"EAAB-very-secret"


@pytest.fixture
def sealed(vault: Vault) -> bytes:
    """A token of `acme` in escrow."""
    vault.create_tenant("acme")
    vault.ensure_days(DAY, 2)
    return vault.escrow.seal(DAY, "acme", "grt_1", TOKEN)


def test_it_opens_after_the_tenants_keys_are_destroyed(vault: Vault, sealed: bytes) -> None:
    vault.destroy_tenant("acme")
    assert vault.escrow.open(DAY, "acme", "grt_1", sealed, job="revoke") == TOKEN
    assert TOKEN not in sealed


def test_each_opening_is_told_without_the_token(vault: Vault, sealed: bytes) -> None:
    with structlog.testing.capture_logs() as lines:
        vault.escrow.open(DAY, "acme", "grt_1", sealed, job="revoke cns_1")
    assert lines == [
        {
            "event": "vault.escrow_opened",
            "log_level": "info",
            "job": "revoke cns_1",
            "tenant": "acme",
            "grant": "grt_1",
        }
    ]


@pytest.mark.parametrize(
    ("day", "tenant", "grant"),
    [(DAY, "beta", "grt_1"), (DAY, "acme", "grt_2"), (DAY, "ac", "megrt_1")],
)
def test_it_opens_only_for_its_grant(
    vault: Vault, sealed: bytes, day: date, tenant: str, grant: str
) -> None:
    with pytest.raises(Tampered):
        vault.escrow.open(day, tenant, grant, sealed, job="revoke")


def test_another_days_key_does_not_open(vault: Vault, sealed: bytes) -> None:
    for day in (DAY + timedelta(days=1), DAY + timedelta(days=9)):
        with pytest.raises(UnknownKey):
            vault.escrow.open(day, "acme", "grt_1", sealed, job="revoke")


def test_a_changed_byte_is_noticed(vault: Vault, sealed: bytes) -> None:
    changed = sealed[:-1] + bytes([sealed[-1] ^ 1])
    with pytest.raises(Tampered) as caught:
        vault.escrow.open(DAY, "acme", "grt_1", changed, job="revoke")
    assert TOKEN.decode() not in str(caught.value)


def test_after_its_time_it_is_gone_for_good(
    vault: Vault, keystore: KeyStore, sealed: bytes
) -> None:
    assert vault.escrow.destroy_over(over(DAY) - timedelta(days=1)) == []
    assert vault.escrow.open(DAY, "acme", "grt_1", sealed, job="revoke") == TOKEN
    assert vault.escrow.destroy_over(over(DAY)) == [DAY]
    assert vault.escrow.destroy_over(over(DAY)) == []
    with pytest.raises(KeyDestroyed):
        vault.escrow.open(DAY, "acme", "grt_1", sealed, job="revoke")
    with pytest.raises(KeyDestroyed):
        vault.escrow.seal(DAY, "acme", "grt_1", TOKEN)
    vault.ensure_days(DAY, 1)
    with pytest.raises(KeyDestroyed):
        vault.escrow.seal(DAY, "acme", "grt_1", TOKEN)
    assert [(line.kind, line.detail) for line in vault.erasures()] == [("escrow", "2026-11-22")]
    assert keystore.read("2026-11-22", ["day"])["day"].wrapped, "raw items have a pair of their own"


def test_sealing_needs_no_kms_and_opening_does(keystore: KeyStore, kms: FakeKms) -> None:
    vault = Vault(keystore, kms.keks())
    vault.ensure_days(DAY, 1)
    kms.away = True
    elsewhere = Vault(keystore, kms.keks())
    sealed = elsewhere.escrow.seal(DAY, "acme", "grt_1", TOKEN)
    with pytest.raises(KeyUnavailable):
        elsewhere.escrow.open(DAY, "acme", "grt_1", sealed, job="revoke")
    kms.away = False
    assert elsewhere.escrow.open(DAY, "acme", "grt_1", sealed, job="revoke") == TOKEN
