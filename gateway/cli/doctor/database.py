"""The main database: reachable, durable, migrated, and how far behind its readers are."""

import time
from collections.abc import Iterator
from typing import Final, Literal

import sqlalchemy as sa

from gateway.cli.doctor.finding import Finding, fault, ok, warn
from gateway.cli.parts import Parts
from storage import migrate
from storage.database import now_ms
from storage.deliveries import Deliveries
from storage.partitions import partitions_ahead

CLOCK_WARN_MS: Final = 1_000
CLOCK_FAULT_MS: Final = 60_000
LAG_WARN_S: Final = 5
LAG_FAULT_S: Final = 60
AHEAD_WARN_DAYS: Final = 4

_DURABLE: Final = {
    "fsync": "a crash of the server's machine loses or breaks the database",
    "synchronous_commit": "a crash loses what was acknowledged",
    "full_page_writes": "a crash of the server's machine may break pages",
}
"""Settings of PostgreSQL that must not be off, and why."""


def reachable(built: Parts) -> Iterator[Finding]:
    """Whether the database answers, and how fast."""
    version = "SELECT version()" if built.any_database.is_postgresql else "SELECT sqlite_version()"
    with built.any_database.read() as connection:
        began = time.perf_counter()
        found = str(connection.scalar(sa.text(version)))
        took_ms = (time.perf_counter() - began) * 1000
    kind = " ".join(found.split()[:2]) if built.any_database.is_postgresql else f"SQLite {found}"
    yield ok("database", f"{kind} answers in {took_ms:.1f} ms")


def clock(built: Parts) -> Iterator[Finding]:
    """How far this machine's clock is from the database's, by whose clock leases run."""
    with built.any_database.read() as connection:
        before = now_ms()
        theirs = connection.scalar(sa.select(built.any_database.clock_ms())) or 0
        after = now_ms()
    apart = max(before - theirs, theirs - after, 0)
    text = f"{apart} ms apart from the database's"
    if apart >= CLOCK_FAULT_MS:
        yield fault("clock", text, "set both by NTP: days and keys go by the clock")
    elif apart >= CLOCK_WARN_MS:
        yield warn("clock", text, "set both by NTP")
    else:
        yield ok("clock", text)


def durability(built: Parts) -> Iterator[Finding]:
    """Whether what is committed survives a crash."""
    if not built.any_database.is_postgresql:
        yield from _sqlite_durability(built)
        return
    with built.any_database.read() as connection:
        shown = {name: connection.scalar(sa.text(f"SHOW {name}")) for name in _DURABLE}
    off = [name for name, value in shown.items() if value == "off"]
    for name in off:
        yield fault("durability", f"{name} is off", _DURABLE[name])
    if not off:
        yield ok("durability", ", ".join(f"{name} {value}" for name, value in shown.items()))


def _sqlite_durability(built: Parts) -> Iterator[Finding]:
    with built.any_database.read() as connection:
        journal = str(connection.scalar(sa.text("PRAGMA journal_mode")))
        synchronous = int(connection.scalar(sa.text("PRAGMA synchronous")) or 0)
    text = f"journal_mode {journal}, synchronous {synchronous}"
    if journal == "wal" and synchronous >= 2:
        yield ok("durability", text)
    else:
        yield fault("durability", text, "WAL and FULL (2) are needed; is it a network disk?")


def migrations(built: Parts) -> Iterator[Finding]:
    """Whether the schema is at least what this version needs."""
    found = migrate.revision(built.any_database)
    if migrate.is_ready(built.any_database):
        yield ok("migrations", f"revision {found}")
    else:
        text = f"revision {found or 'none'}, {migrate.NEEDED} is needed"
        yield fault("migrations", text, "gateway db upgrade")


def partitions(built: Parts) -> Iterator[Finding]:
    """Whether the coming days have a place to be stored in."""
    ahead = partitions_ahead(built.database)
    if ahead is None:
        yield ok("partitions", "SQLite needs none")
    elif ahead <= 1:
        advice = "gateway db upgrade, and start gateway schedule"
        yield fault("partitions", f"for {ahead} days from today on", advice)
    elif ahead < AHEAD_WARN_DAYS:
        yield warn("partitions", f"for {ahead} days from today on", "is the scheduler running?")
    else:
        yield ok("partitions", f"for {ahead} days from today on")


def lag(built: Parts) -> Iterator[Finding]:
    """How long the oldest delivery has waited for a worker."""
    age_s = _age_s(built, "waiting")
    if age_s is None:
        yield ok("lag", "nothing waits")
    elif age_s >= LAG_FAULT_S:
        yield fault("lag", f"the oldest delivery waits for {age_s:.0f} s", "is a worker running?")
    elif age_s >= LAG_WARN_S:
        yield warn("lag", f"the oldest delivery waits for {age_s:.0f} s")
    else:
        yield ok("lag", f"the oldest delivery waits for {age_s:.1f} s")


def unrouted(built: Parts) -> Iterator[Finding]:
    """Deliveries for accounts that nobody has connected."""
    advice = (
        f"gateway connections add; their keys are destroyed after {built.settings.raw_days} days"
    )
    yield _held(built, "unrouted", advice)


def parked(built: Parts) -> Iterator[Finding]:
    """Deliveries whose content could not be read."""
    yield _held(built, "parked", "gateway deliveries list --status parked")


def _held(built: Parts, status: Literal["unrouted", "parked"], advice: str) -> Finding:
    age_s = _age_s(built, status)
    if age_s is None:
        return ok(status, "none")
    count = Deliveries(built.database).counts()[status]
    return warn(status, f"{count}, the oldest for {_span(age_s)}", advice)


def _age_s(built: Parts, status: Literal["waiting", "unrouted", "parked"]) -> float | None:
    oldest = Deliveries(built.database).oldest_ms(status)
    return None if oldest is None else max(0, now_ms() - oldest) / 1000


def _span(seconds: float) -> str:
    for unit, length in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} seconds"
