"""Carries out rotations of tenants' data keys: a new key first, then the rows, in rounds."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import sqlalchemy as sa
import structlog

from contracts.errors import KeyDestroyed, KeyUnavailable, LeaseLost, Tampered, UnknownKey
from storage.database import now_ms
from storage.leases import Lease, Leases
from storage.resealing import Old, Resealed, SealedRows
from storage.rotations import LEASE, Rotation, Rotations, Round, State
from storage.sealed import SEALED, Sealed
from token_vault import CACHE_S, Openings, Purpose, TenantKeys, Vault

log = structlog.get_logger()

JOB: Final = "reseal"
"""For which openings of tokens are counted."""
TENANTS: Final = 50
"""Tenants whose keys are changed between two looks at the lease."""
LOOKS: Final = 5
"""How often rows of a span are tried that others have changed or locked."""
LOOK_S: Final = 0.05
SPARE_S: Final = 60.0
"""On top of the times below, for clocks and scheduling."""


class Resealer:
    """One worker at a time does it, with as much pause as work: everything else goes on beside it.

    Nothing is lost by ending it anywhere: a key is renewed and a row replaced by compare-and-swap,
    and how far a round has come is written down with the rows themselves. A tenant whose keys do
    not open is held, and the others go on.
    """

    def __init__(
        self,
        rotations: Rotations,
        rows: SealedRows,
        leases: Leases,
        vault: Vault,
        openings: Openings,
    ) -> None:
        """`openings` counts the tokens of grants that are opened on the way."""
        self._rotations = rotations
        self._rows = rows
        self._leases = leases
        self._vault = vault
        self._openings = openings
        self._stopping = threading.Event()
        self._extend_at = 0.0

    @property
    def settle_s(self) -> float:
        """How long after a new key was made some process may still write what the old one sealed:
        it keeps opened keys so long, and computes so long on what it then writes.
        """
        return CACHE_S + 2 * self._leases.seconds + SPARE_S

    def run(self) -> None:
        """Do what is due, up to the end of a round. Raises `Unavailable`: it waits then."""
        if not self._rotations.is_due():
            return
        lease = self._leases.take_new(LEASE, "all")
        if lease is None:
            return
        try:
            self._extend_at = time.monotonic() + self._leases.seconds / 3
            self._try_again(lease)
            self._renew_keys(lease)
            self._go_round(lease)
        except LeaseLost:
            log.warning("reseal.lease_lost")
        finally:
            self._leases.remove(lease)

    def stop(self) -> None:
        """End after the batch that is at work."""
        self._stopping.set()

    def _keep(self, lease: Lease) -> bool:
        """Hold the lease for longer, when a third of its time is over; whether it was."""
        due = time.monotonic() >= self._extend_at
        if due:
            self._leases.extend(lease)
            self._extend_at = time.monotonic() + self._leases.seconds / 3
        return due

    # -- keys ---------------------------------------------------------------------------------

    def _renew_keys(self, lease: Lease) -> None:
        """What sealed before is written down first: a key made in a run that was then killed is
        recognised, and no second one is made.
        """
        after = ""
        while page := self._rotations.in_state("ordered", after, TENANTS):
            for order in page:
                self._keep(lease)
                if self._stopping.is_set():
                    return
                self._renew(order, lease)
            after = page[-1].tenant

    def _renew(self, order: Rotation, lease: Lease) -> None:
        keys, name = self._vault.rotation, order.tenant
        with self._apart(name, lease):
            before = order.before
            if before is None:
                before = keys.sealing(name)
                self._rotations.change(lease, [name], before=before)
            sealing = keys.renew(name, before)
            until = now_ms() + int(self.settle_s * 1000)
            values = {"state": "sealing", "sealing": sealing, "settled_ms": until}
            self._rotations.change(lease, [name], **values)
            log.info("reseal.key_renewed", tenant=name)

    def _retire_keys(self, done: Round, lease: Lease) -> None:
        """Killed before the scrub it is begun again: only the round's end takes its tenants out."""
        after, retired = "", False
        while page := self._rotations.in_state("retiring", after, TENANTS):
            for order in page:
                self._keep(lease)
                if order.round == done.id and order.sealing is not None:
                    self._retire(order, order.sealing, lease)
                    retired = True
            after = page[-1].tenant
        if retired:
            self._vault.rotation.scrub()

    def _retire(self, order: Rotation, sealing: bytes, lease: Lease) -> None:
        with self._apart(order.tenant, lease):
            self._vault.rotation.retire(order.tenant, sealing)
            log.info("reseal.old_keys_removed", tenant=order.tenant)

    def _try_again(self, lease: Lease) -> None:
        """Who is held goes on as soon as all of its keys open."""
        after = ""
        while page := self._rotations.held(after, TENANTS):
            for order in page:
                self._keep(lease)
                if self._stopping.is_set():
                    return
                with self._apart(order.tenant, lease):
                    self._vault.forget(order.tenant)
                    self._vault.tenant(order.tenant)
                    self._rotations.release(lease, order.tenant)
            after = page[-1].tenant

    @contextmanager
    def _apart(self, tenant: str, lease: Lease) -> Iterator[None]:
        """What is wrong with the keys of one tenant holds up that one alone.

        Held, it is in no round, so that none makes it done or retires keys that its rows need.
        Raises `Unavailable` when no tenant's keys could be changed.
        """
        try:
            yield
        except KeyDestroyed as error:
            ended: State = "ended"
            self._rotations.change(lease, [tenant], state=ended, detail=error.reason)
            log.warning("reseal.ended", tenant=tenant, reason=error.reason)
        except (UnknownKey, Tampered, KeyUnavailable) as error:
            if isinstance(error, KeyUnavailable):
                self._vault.rotation.check()
            self._rotations.hold(lease, tenant, error.reason)
            log.warning("reseal.held", tenant=tenant, reason=error.reason, detail=str(error))

    # -- rows ---------------------------------------------------------------------------------

    def _go_round(self, lease: Lease) -> None:
        last = self._rotations.last_round()
        under_way = last is not None and last.finished_at_ms is None
        done = last if under_way else self._rotations.begin_round(lease)
        if done is None:
            return
        names = [column.table.name for column in SEALED]
        for column in SEALED[names.index(done.place) :]:
            if done.place != column.table.name:
                done = done._replace(place=column.table.name, after=None)
            done = self._column(column, done, lease)
            if self._stopping.is_set():
                return
        if not done.left:
            self._retire_keys(done, lease)
        self._rotations.end_round(done, lease)
        log.info("reseal.round_done", resealed=done.resealed, left=done.left)

    def _column(self, column: Sealed, done: Round, lease: Lease) -> Round:
        """Go through one column to its end, or until stopped; how far the round is then."""
        while True:
            upto, count = self._rows.span(column, _key(column, done.after))
            seen = self._span(column, done, upto, lease) if count else done
            if not count or self._stopping.is_set():
                # A span that was not ended is gone through again; what it re-sealed is re-sealed.
                done = done._replace(resealed=seen.resealed)
                self._rotations.save(done, lease)
                return done
            done = seen._replace(after=str(upto), looked_at=seen.looked_at + count)
            if self._keep(lease):
                self._rotations.save(done, lease)

    def _span(self, column: Sealed, done: Round, upto: Any, lease: Lease) -> Round:
        """Re-seal what is old up to `upto`; what changes meanwhile is looked at again."""
        unreadable = left = 0
        for _ in range(LOOKS):
            done, unreadable, left = self._look(column, done, upto, lease)
            if not left or self._stopping.wait(LOOK_S):
                break
        if unreadable:
            log.warning("reseal.unreadable", table=column.table.name, upto=upto, rows=unreadable)
        return done._replace(left=done.left + left, unreadable=done.unreadable + unreadable)

    def _look(self, column: Sealed, done: Round, upto: Any, lease: Lease) -> tuple[Round, int, int]:
        """Once through a span; how many rows did not open, and how many could not be replaced."""
        unreadable = left = 0
        at = _key(column, done.after)
        while rows := self._rows.old(column, done.id, at, upto):
            began = time.monotonic()
            fresh, broken = self._reseal(column, rows, lease)
            put = self._rows.put(column, fresh, done, lease)
            done = done._replace(resealed=done.resealed + put)
            unreadable += broken
            left += len(fresh) - put
            at = rows[-1].key
            self._keep(lease)
            if self._stopping.wait(time.monotonic() - began):
                break
        return done, unreadable, left

    def _reseal(
        self, column: Sealed, rows: Sequence[Old], lease: Lease
    ) -> tuple[list[Resealed], int]:
        """The rows that open, sealed anew, and how many do not open though their tenant's keys do;
        nothing is computed in a write transaction.
        """
        opened: dict[str, TenantKeys | None] = {}
        fresh, broken = list[Resealed](), 0
        for row in rows:
            if row.tenant not in opened:
                self._keep(lease)  # a KMS takes its time for each tenant of the batch
                opened[row.tenant] = None
                with self._apart(row.tenant, lease):
                    opened[row.tenant] = self._keys(row, lease)
            keys = opened[row.tenant]
            if keys is None:
                continue  # ended or held, and in no round any more
            opened[row.tenant] = None  # unless this goes well
            with self._apart(row.tenant, lease):
                try:
                    fresh.append(self._resealed(column, row, keys))
                except (Tampered, UnknownKey):
                    broken += 1  # told by who called
                opened[row.tenant] = keys
        return fresh, broken

    def _resealed(self, column: Sealed, row: Old, keys: TenantKeys) -> Resealed:
        purpose = Purpose(column.purpose)
        if purpose is Purpose.TOKEN:
            self._openings.count(JOB, row.tenant, row.key)
        plain = keys.open(purpose, row.id, row.sealed)
        return Resealed(row.key, row.sealed, keys.seal(purpose, row.id, plain))

    def _keys(self, row: Old, lease: Lease) -> TenantKeys:
        """The tenant's keys, not older than the new one."""
        keys = self._vault.tenant(row.tenant)
        if keys.sealing != row.sealing:
            self._vault.forget(row.tenant)
            keys = self._vault.tenant(row.tenant)
        if keys.sealing != row.sealing:  # the key store came back from a backup
            self._rotations.change(lease, [row.tenant], sealing=keys.sealing)
        return keys


def _key(column: Sealed, text: str | None) -> Any:
    """The key that a round has written down as text."""
    is_number = isinstance(column.key.type, sa.BigInteger)
    return int(text) if text is not None and is_number else text
