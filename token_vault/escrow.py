"""Escrow: tokens that outlive their tenant's keys for some days, for the revoking saga alone."""

from datetime import date, timedelta
from typing import Final

import structlog

from contracts.errors import KeyDestroyed, UnknownKey
from token_vault import keysets
from token_vault.encoding import encode
from token_vault.keks import Keks
from token_vault.keysets import PrivateKey
from token_vault.keystore import KeyRow, KeyStore

log = structlog.get_logger()

ESCROW: Final = "escrow"
DAYS: Final = 7
"""A day's pair is destroyed at the start of the seventh day after: no token waits longer."""


class Escrow:
    """A key pair a day: who seals needs its public half alone, and so cannot open.

    The private half is never kept opened: every opening unwraps it anew and leaves a line in the
    log. Methods raise `KeyUnavailable` when the key store or the key-encryption key is away.
    """

    def __init__(self, keystore: KeyStore, keks: Keks) -> None:
        self._store = keystore
        self._keks = keks

    def seal(self, day: date, tenant: str, grant: str, token: bytes) -> bytes:
        """Seal a grant's token on `day`, today. Raises `UnknownKey` when the day has no pair yet,
        `KeyDestroyed` when it is over.
        """
        row = self._row(day)
        if row.public is None:
            raise KeyDestroyed(f"the escrow of {day} is over")
        return keysets.seal_to_public(row.public, token, _bound(day, tenant, grant))

    def open(self, day: date, tenant: str, grant: str, sealed: bytes, *, job: str) -> bytes:
        """Undo `seal`; `job` says who opens it, for the log. Raises `KeyDestroyed | UnknownKey |
        Tampered`.
        """
        pair = self._keks.unwrap(self._row(day))
        token = PrivateKey(pair).open(sealed, _bound(day, tenant, grant))
        log.info("vault.escrow_opened", job=job, tenant=tenant, grant=grant)
        return token

    def destroy_over(self, today: date) -> list[date]:
        """Shred the pairs of days whose time is over, journaled; which they were. Repeatable."""
        ended = []
        for row in self._store.of_kind(ESCROW):
            day = date.fromisoformat(row.name)
            if row.wrapped is not None and over(day) <= today:
                self._store.destroy(
                    row.name, (ESCROW,), erasure=ESCROW, tenant=None, detail=row.name
                )
                ended.append(day)
        return ended

    def _row(self, day: date) -> KeyRow:
        row = self._store.read(day.isoformat(), (ESCROW,)).get(ESCROW)
        if row is None:
            raise UnknownKey(f"the key store has no escrow key of {day}")
        return row


def over(day: date) -> date:
    """The day at whose start (UTC) what was sealed on `day` is over: 6 to 7 days later."""
    return day + timedelta(days=DAYS)


def _bound(day: date, tenant: str, grant: str) -> bytes:
    return encode(ESCROW, "token", day.isoformat(), tenant, grant)
