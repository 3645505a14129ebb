"""Keeps what a provider told, before it is acknowledged; a worker acts on it."""

import secrets
from typing import Final

import structlog

from contracts.errors import Unavailable
from contracts.signals import Told
from gateway.jobs import Jobs
from gateway.metrics import Metrics
from storage.connections import new_id
from storage.database import now_ms
from storage.signals import Signal, Signals
from token_vault import DeploymentKeys, Vault

log = structlog.get_logger()

_CODE_LETTERS: Final = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
_CODE_LENGTH: Final = 20
"""About a hundred bits: nobody guesses whose it is."""


class Telling:
    """Stores signals with names hashed: none is ever kept in clear."""

    def __init__(self, signals: Signals, vault: Vault, jobs: Jobs, metrics: Metrics) -> None:
        self._signals, self._vault, self._jobs = signals, vault, jobs
        self._counted = metrics.signals

    def keep(self, told: Told, *, coded: bool = False) -> Signal:
        """`told`, durable; the one that there is when it was told before. `coded`: with a code by
        which the person can ask. Raises `Unavailable`.
        """
        keys = self._vault.deployment()
        now = now_ms()
        new = Signal(
            id=new_id("sig"),
            login=told.login,
            kind=told.kind,
            once=keys.hash("signal", told.login, told.once),
            names=[(kind, _hashed(keys, told.login, kind, name)) for kind, name in told.names],
            code=_code() if coded else None,
            state="received",
            detail=told.detail,
            ended=0,
            at_ms=_ms(told),
            received_at_ms=now,
            finished_at_ms=None,
        )
        kept = self._signals.store(new)
        self._counted.labels(told.login, told.kind, "new" if kept is new else "repeated").inc()
        if kept is new:
            self._nudge()
        return kept

    def _nudge(self) -> None:
        try:
            self._jobs.due()
        except Unavailable:
            log.warning("signal.not_nudged")  # a worker finds the row by itself


def _hashed(keys: DeploymentKeys, login: str, kind: str, name: str) -> bytes:
    """As `token_vault.names` hashes them when a grant is made."""
    return keys.hash("name", login, kind, name)


def _ms(told: Told) -> int:
    """To the end of its second: providers say no more, and a consent of that second is older."""
    return int(told.at.timestamp()) * 1000 + 999


def _code() -> str:
    return "".join(secrets.choice(_CODE_LETTERS) for _ in range(_CODE_LENGTH))
