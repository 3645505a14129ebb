"""Keeps what a provider told, before it is acknowledged; a worker acts on it."""

import secrets
from datetime import UTC, datetime
from typing import Final

import structlog

from contracts.errors import Unavailable
from contracts.signals import Told
from gateway.jobs import Jobs
from gateway.metrics import Metrics
from storage.connections import new_id
from storage.database import now_ms
from storage.signals import PERSON, Signal, Signals
from token_vault import DeploymentKeys, Vault

log = structlog.get_logger()

_CODE_LETTERS: Final = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
_CODE_LENGTH: Final = 20
"""About a hundred bits: nobody guesses whose it is."""


class Telling:
    """Stores signals with names hashed: none is ever kept in clear. Who asks for deletion is sealed
    until that is done, since the tenants have to be told.
    """

    def __init__(self, signals: Signals, vault: Vault, jobs: Jobs, metrics: Metrics) -> None:
        self._signals, self._vault, self._jobs = signals, vault, jobs
        self._counted = metrics.signals

    def keep(self, told: Told, *, coded: bool = False) -> Signal:
        """`told`, durable; the one that there is when it was told before. `coded`: with a code by
        which the person can ask. Raises `Unavailable`.
        """
        keys = self._vault.deployment()
        now, id_ = now_ms(), new_id("sig")
        names = [(kind, _hashed(keys, told.login, kind, name)) for kind, name in told.names]
        subject = dict(told.names).get("user") if coded else None
        if subject is not None:
            names.append((PERSON, keys.hash("person", told.login, subject)))
        new = Signal(
            id=id_,
            login=told.login,
            kind=told.kind,
            once=keys.hash("signal", told.login, told.once),
            names=names,
            code=_code() if coded else None,
            state="received",
            detail=told.detail,
            ended=0,
            at_ms=_ms(told),
            received_at_ms=now,
            finished_at_ms=None,
            sealed=None if subject is None else self._sealed(id_, now, subject),
        )
        kept = self._signals.store(new)
        self._counted.labels(told.login, told.kind, "new" if kept is new else "repeated").inc()
        if kept is new:
            self._nudge()
        return kept

    def _sealed(self, id_: str, now: int, subject: str) -> bytes:
        """Who it is, for the worker that tells the tenants; opens for a week at most."""
        day = datetime.fromtimestamp(now / 1000, UTC).date()
        self._vault.ensure_days(day, 1)
        return self._vault.escrow.seal(day, "", id_, subject.encode())

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


def is_code(text: str) -> bool:
    """Whether we could have given it; the database is not asked about any other."""
    return len(text) == _CODE_LENGTH and set(text) <= set(_CODE_LETTERS)


def _code() -> str:
    return "".join(secrets.choice(_CODE_LETTERS) for _ in range(_CODE_LENGTH))
